"""What the commands of all jobs share: options, and mistakes reported in one sentence."""

import logging
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

__all__ = ["PATH", "config", "header", "label", "normal", "reported_errors"]

logger = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)
config = click.argument("config", required=False, type=PATH)
header = click.option(
    "--header/--no-header", default=None, help="Does a CSV file name its columns?"
)
label = click.option("--label", help="Column with the known truth, if there is one.")
normal = click.option("--normal", multiple=True, help="Value of the label that means normal.")


@contextmanager
def reported_errors() -> Iterator[None]:
    """Run a job for a user: expected errors and warnings become one sentence on stderr.

    The exit code is then 1. SIGTERM unwinds, so that temporary files are removed. The stack trace
    is logged at level DEBUG.
    """
    from mlflow.exceptions import MlflowException  # takes seconds

    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except (ValueError, OSError, MlflowException) as error:
            logger.debug("the job failed", exc_info=error)
            sentence = re.sub(r"^\[Errno \d+\] ", "", " ".join(str(error).split()))
            raise click.ClickException(sentence) from None
        finally:
            signal.signal(signal.SIGTERM, before)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, UserWarning):
        click.echo(f"Warning: {message}", err=True)
