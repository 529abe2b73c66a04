"""Run `anomdiff monitor`: `python -m pipelines.monitor --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("monitor")()
