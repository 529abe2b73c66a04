"""Run `anomdiff init`: `python -m pipelines.init --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("init")()
