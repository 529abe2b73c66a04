"""What the commands of all jobs share: options, and mistakes reported in one sentence."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import IO, Any, TypeVar

import click
from pydantic.fields import FieldInfo

from anomdiff.jobs import readers
from anomdiff.jobs.base_settings import Settings
from anomdiff.jobs.exit_codes import ExitCode, exit_code
from anomdiff.jobs.runs.logs import choose_format, told_on_stderr
from anomdiff.jobs.runs.stopping import ends_on_signals

__all__ = ["PATH", "loaded", "reported_errors", "with_file_options", "with_options"]

logger = logging.getLogger(__name__)

Wanted = TypeVar("Wanted", bound=Settings)

PATH = click.Path(path_type=Path)
# For a settings file only.
TABLES = ("kinds", "detector", "rule", "rules", "limits", "alert", "spark")


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


def loaded(settings: type[Wanted], config: Path | None, options: Mapping[str, Any]) -> Wanted:
    """Read the settings of a command, and write the log as they say."""
    found = settings.load(config, options)
    choose_format(found.log)
    return found


@contextmanager
def reported_errors() -> Iterator[None]:
    """Run a job for a user: expected errors and warnings become one sentence on stderr.

    The exit code tells what kind of error it was, see `exit_codes`. How files are written, where it
    was found, is said on stderr too. SIGTERM and Ctrl-C unwind, so that temporary files are
    removed, and end the job in any case. The stack trace is logged at level DEBUG.
    """
    from mlflow.exceptions import MlflowException  # takes seconds

    with told_on_stderr(), ends_on_signals():
        try:
            yield
        except (ValueError, OSError, MlflowException) as error:
            logger.debug("the job failed", exc_info=error)
            sentence = re.sub(r"^\[Errno \d+\] ", "", " ".join(str(error).split()))
            logger.error("%s", sentence)
            raise _Ended(sentence, exit_code(error)) from None


class _Ended(click.ClickException):
    """An expected error that was told, with its exit code."""

    def __init__(self, message: str, code: ExitCode):
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]

    def show(self, file: IO | None = None) -> None:
        """Show nothing more."""
