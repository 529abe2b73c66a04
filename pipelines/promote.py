"""Run `anomdiff promote`: `python -m pipelines.promote --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("promote")()
