"""Run `anomdiff explain`: `python -m pipelines.explain --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("explain")()
