"""Run `anomdiff mcp`: `python -m pipelines.mcp --help`."""

from anomdiff.cli import job

if __name__ == "__main__":
    job("mcp")()
