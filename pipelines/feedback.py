"""Run `anomdiff feedback`: `python -m pipelines.feedback --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("feedback")()
