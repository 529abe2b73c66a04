"""Run the job `anomdiff.jobs.train`: `python -m pipelines.train --help`."""

from anomdiff.jobs.train import main

if __name__ == "__main__":
    main()
