"""Run `anomdiff inspect`: `python -m pipelines.inspect --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("inspect")()
