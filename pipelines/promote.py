"""Run the job `anomdiff.jobs.promote`: `python -m pipelines.promote --help`."""

from anomdiff.jobs.promote import main

if __name__ == "__main__":
    main()
