"""Run `anomdiff demo`: `python -m pipelines.demo --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("demo")()
