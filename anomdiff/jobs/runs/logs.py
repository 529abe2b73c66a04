"""What a job says on stderr: plain on a terminal, else with time and level, or as JSON lines."""

import json
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Literal, TextIO

import click

__all__ = ["LogFormat", "choose_format", "heartbeat", "told_on_stderr"]

LogFormat = Literal["plain", "text", "json"]

logger = logging.getLogger("anomdiff.jobs")


class Echo(logging.Handler):
    """Show lines of the log on stderr, in a format that may change when settings are read."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.format_: LogFormat = "plain" if sys.stderr.isatty() else "text"

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line."""
        click.echo(self._line(record), err=True)

    def _line(self, record: logging.LogRecord) -> str:
        message, level = record.getMessage(), record.levelname.capitalize()
        when = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="seconds")
        if self.format_ == "json":
            cells = {"time": when, "level": level.lower(), "logger": record.name}
            return json.dumps({**cells, "message": message}, ensure_ascii=False)
        told = message if level == "Info" else f"{level}: {message}"
        return told if self.format_ == "plain" else f"{when} {told}"


@contextmanager
def told_on_stderr() -> Iterator[None]:
    """Show what the package logs from level INFO on, and its warnings, on stderr."""
    shown, level = Echo(), logger.level
    logger.addHandler(shown)
    logger.setLevel(logging.INFO)
    with warnings.catch_warnings():
        warnings.showwarning = _log_warning
        try:
            yield
        finally:
            logger.setLevel(level)
            logger.removeHandler(shown)


def choose_format(wanted: LogFormat | None) -> None:
    """Write further lines in a format; None keeps that of the terminal, or of no terminal."""
    for handler in logger.handlers:
        if isinstance(handler, Echo) and wanted is not None:
            handler.format_ = wanted


class Heartbeat:
    """What a long step is at, told now and then where no progress bar is seen."""

    def __init__(self, step: str):
        self.step, self.at = step, ""
        self._since = time.monotonic()

    def beat(self) -> None:
        """Log how long the step has been running, and what it is at."""
        minutes, seconds = divmod(round(time.monotonic() - self._since), 60)
        place = f", {self.at}" if self.at else ""
        logger.info("%s: running for %d min %d s%s", self.step, minutes, seconds, place)


@contextmanager
def heartbeat(step: str, every: float) -> Iterator[Heartbeat]:
    """Log a line every so many seconds while the block runs, unless stderr is a terminal.

    Parameters
    ----------
    step : str
        What the block does.
    every : float
        Seconds between two lines; 0 for none.

    Yields
    ------
    beating : Heartbeat
        Its ``at`` may say how far the step is.
    """
    beating, done = Heartbeat(step), threading.Event()

    def beat() -> None:
        while not done.wait(every):
            beating.beat()

    thread = threading.Thread(target=beat, daemon=True)
    if every > 0 and not sys.stderr.isatty():
        thread.start()
    try:
        yield beating
    finally:
        done.set()


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, UserWarning):
        logger.warning("%s", message)
