"""Run the job `anomdiff.jobs.score`: `python -m pipelines.score --help`."""

from anomdiff.jobs.score import main

if __name__ == "__main__":
    main()
