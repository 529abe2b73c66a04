"""Run `anomdiff score`: `python -m pipelines.score --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("score")()
