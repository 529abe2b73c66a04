"""The command `anomdiff`, with one subcommand per job."""

import importlib
import os

import click

__all__ = ["ENVIRONMENT", "JOBS", "job", "main"]

# What torch and MLflow read when they are imported; the user's own settings win.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads sleep: worth a factor of ten on a busy machine
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",  # else a machine without git prints 45 lines of warning
}
JOBS = {
    "init": "Write settings files from a table that is looked at.",
    "train": "Train a detector, log the run and register the model.",
    "score": "Score a table with a registered model.",
    "explain": "Say why rows of a table are alarms.",
    "inspect": "Say what a model is.",
    "threshold": "Show how many alarms thresholds raise on a scored file.",
    "feedback": "Take in verdicts on alarms, which mute false ones.",
    "monitor": "Look for drift in a scored batch.",
    "retrain": "Train again where monitoring has found drift.",
    "promote": "Promote the challenger if it is no worse than the champion.",
    "mcp": "Offer tools to an assistant (Model Context Protocol).",
    "demo": "Train, register and score on built-in tables, or on your own.",
}


def job(name: str) -> click.Command:
    """Command of a job, loaded now; the environment is set before torch and MLflow are imported."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    return importlib.import_module(f"anomdiff.jobs.{name}").main


class Jobs(click.Group):
    """Subcommands that are loaded when they are asked for: torch and MLflow take seconds."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the jobs."""
        return list(JOBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one job."""
        return job(cmd_name) if cmd_name in JOBS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the jobs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(JOBS.items()))


@click.group(cls=Jobs)
@click.version_option(package_name="anomdiff")
def main() -> None:
    """Detect anomalies in tables and time series."""


if __name__ == "__main__":
    main()
