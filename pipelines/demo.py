"""Run the job `anomdiff.jobs.demo`: `python -m pipelines.demo --help`."""

from anomdiff.jobs.demo import main

if __name__ == "__main__":
    main()
