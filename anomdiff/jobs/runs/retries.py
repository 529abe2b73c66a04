"""Calls that are made again, after longer and longer waits, while a store does not answer."""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
)

from anomdiff.jobs.errors import BusyError
from anomdiff.jobs.exit_codes import ModelError

__all__ = ["retried"]

logger = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds; each wait is twice the one before
Result = TypeVar("Result")


def retried(retries: int, call: Callable[..., Result], *words: Any) -> Result:
    """Call, and call again if a store is away, up to `retries` times.

    Parameters
    ----------
    retries : int
        Most further calls.
    call : callable
        What may raise a ``ConnectionError``; it must do all or nothing.
    *words
        Its arguments.

    Returns
    -------
    result
        What ``call`` returns.

    Raises
    ------
    ConnectionError
        If the last call raises one.
    """
    attempts = Retrying(
        stop=stop_after_attempt(retries + 1),
        wait=wait_exponential(FIRST_WAIT, max=LONGEST_WAIT),
        retry=retry_if_exception(_is_away),
        before_sleep=_tell,
        reraise=True,
    )
    return attempts(call, *words)


def _is_away(error: BaseException) -> bool:
    """Whether it may help to try again: a missing model or another run's lock stay for long."""
    return isinstance(error, ConnectionError) and not isinstance(error, BusyError | ModelError)


def _tell(state: RetryCallState) -> None:
    wait = state.next_action.sleep if state.next_action else 0.0
    said = state.outcome.exception() if state.outcome else None
    logger.warning("%s Trying again in %.0f s.", said, wait)
