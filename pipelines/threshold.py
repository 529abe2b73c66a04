"""Run `anomdiff threshold`: `python -m pipelines.threshold --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("threshold")()
