"""What the commands of all jobs share: options, and mistakes reported in one sentence."""

import logging
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TextIO

import click
from pydantic.fields import FieldInfo

from anomdiff.jobs import readers
from anomdiff.jobs.exit_codes import ExitCode, exit_code
from anomdiff.jobs.settings import Settings

__all__ = ["PATH", "reported_errors", "with_file_options", "with_options"]

logger = logging.getLogger(__name__)

PATH = click.Path(path_type=Path)
TABLES = ("kinds", "detector", "rule", "rules", "limits")  # for a settings file only


def with_options(settings: type[Settings]) -> Callable[[Callable], Callable]:
    """Give a command the argument CONFIG, an option for each plain setting, and --set."""

    def decorate(command: Callable) -> Callable:
        for name, field in reversed(settings.model_fields.items()):
            if name not in TABLES:
                command = _option(name, field)(command)
        command = click.option(
            "--set",
            "assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="A key of the settings, also in a table: --set detector.alpha=0.05.",
        )(command)
        return click.argument("config", required=False, type=PATH)(command)

    return decorate


def with_file_options(command: Callable) -> Callable:
    """Give a command the options that say how text files are written, and no others."""
    for field in reversed(fields(readers.FileOptions)):
        command = _option(field.name, Settings.model_fields[field.name])(command)
    return command


def _option(name: str, field: FieldInfo) -> Callable[[Callable], Callable]:
    """Option of a setting, None if it is not given."""
    flag = f"--{name.removeprefix('registered_').replace('_', '-')}"
    if field.annotation in (bool, bool | None):
        return click.option(f"{flag}/--no-{flag[2:]}", default=None, help=field.description)
    kinds = {Path: PATH, int: int}
    kind = next((kinds[each] for each in kinds if field.annotation in (each, each | None)), str)
    return click.option(flag, name, type=kind, multiple=field.default == (), help=field.description)


@contextmanager
def reported_errors() -> Iterator[None]:
    """Run a job for a user: expected errors and warnings become one sentence on stderr.

    The exit code tells what kind of error it was, see `exit_codes`. How files are written, where it
    was found, is said on stderr too. SIGTERM unwinds, so that temporary files are removed. The
    stack trace is logged at level DEBUG.
    """
    from mlflow.exceptions import MlflowException  # takes seconds

    shown = _Echo(logging.INFO)
    readers.logger.addHandler(shown)
    level = readers.logger.level
    readers.logger.setLevel(logging.INFO)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            yield
        except (ValueError, OSError, MlflowException) as error:
            logger.debug("the job failed", exc_info=error)
            sentence = re.sub(r"^\[Errno \d+\] ", "", " ".join(str(error).split()))
            raise _Ended(sentence, exit_code(error)) from None
        finally:
            signal.signal(signal.SIGTERM, before)
            readers.logger.setLevel(level)
            readers.logger.removeHandler(shown)


class _Ended(click.ClickException):
    """An expected error, with its exit code."""

    def __init__(self, message: str, code: ExitCode):
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]


class _Echo(logging.Handler):
    """Show a line of the log on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message."""
        click.echo(record.getMessage(), err=True)


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
