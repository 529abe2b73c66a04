"""Run the job `anomdiff.jobs.monitor`: `python -m pipelines.monitor --help`."""

from anomdiff.jobs.monitor import main

if __name__ == "__main__":
    main()
