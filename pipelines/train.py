"""Run `anomdiff train`: `python -m pipelines.train --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("train")()
