"""What a user did wrong, told in one sentence instead of a stack trace."""

import logging
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click

logger = logging.getLogger(__name__)


@contextmanager
def command_line() -> Iterator[None]:
    """Run a job for a user: expected errors and warnings become one sentence on stderr.

    The exit code is then 1. An asked-for end (SIGTERM) unwinds, so that temporary files go. The
    stack trace is logged at level DEBUG.
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


def _show_warning(message, category, *_) -> None:
    if issubclass(category, UserWarning):
        click.echo(f"Warning: {message}", err=True)
