"""Messages that a program of one's own takes."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from anomdiff.jobs.alerts.web import why
from anomdiff.jobs.errors import StoreError
from anomdiff.jobs.exit_codes import ExitCode

__all__ = ["run_program"]

LONGEST_RUN = 60.0  # seconds


def run_program(command: Sequence[str], message: Mapping[str, Any]) -> None:
    """Run a program, without a shell, with the message as JSON on its input.

    What it prints is left alone, because it may hold secrets.

    Raises
    ------
    StoreError
        If it does not end in time, or ends with 75, which says to try again.
    ValueError
        If it cannot be started, or ends with another code than 0.
    """
    told, text = f"the command {command[0]}", json.dumps(message, allow_nan=False) + "\n"
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=LONGEST_RUN, check=False
        )
    except subprocess.TimeoutExpired:
        raise StoreError(f"{told} has not ended in {LONGEST_RUN:g} s.") from None
    except OSError as error:
        raise ValueError(f"need a program to run as {told}; got: {why(error)}.") from None
    if done.returncode == ExitCode.STORE:
        raise StoreError(f"{told} says to try again.")
    if done.returncode:
        raise ValueError(f"need {told} to end with 0; got {done.returncode}.")
