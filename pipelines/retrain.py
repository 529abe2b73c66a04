"""Run `anomdiff retrain`: `python -m pipelines.retrain --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("retrain")()
