"""Sends the message of a night once to each place, however often the night is scored."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from anomdiff.jobs.alerts.alert_settings import AlertSettings
from anomdiff.jobs.alerts.mail import mail
from anomdiff.jobs.alerts.program import run_program
from anomdiff.jobs.alerts.texts import slack_message
from anomdiff.jobs.alerts.web import post
from anomdiff.jobs.runs.retries import retried
from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.writers import atomic_paths, read_json, write_json

__all__ = ["send"]

logger = logging.getLogger(__name__)


def send(
    alert: AlertSettings, message: Mapping[str, Any], mark: FilePath, retries: int
) -> list[str]:
    """Send a message to all places that have not had it.

    Only who holds the lock of the scored files may call it. A run that is killed after it has sent
    the message, and before that is written down, sends it again, with the same id.

    Parameters
    ----------
    alert : AlertSettings
        The places.
    message : mapping
        From ``message_of``.
    mark : path
        JSON file that keeps which message each place has had.
    retries : int
        How often to try again where a place does not answer.

    Returns
    -------
    failed : list of str
        Places that the message could not be sent to, each of which a warning has named.
    """
    sent = dict(read_json(mark).get("sent", {}))
    failed = []
    for place, call in _calls(alert, message).items():
        if sent.get(place) == message["id"]:
            continue
        try:
            retried(retries, call)
        except (ConnectionError, ValueError) as error:
            logger.warning("the message was not sent (%s): %s", place, error)
            failed.append(place)
            continue
        sent[place] = message["id"]
        _write_mark(mark, {"batch_date": message["batch_date"], "sent": sent}, retries)
    return failed


def _calls(alert: AlertSettings, message: Mapping[str, Any]) -> dict[str, Callable[[], None]]:
    """What sends the message to each place."""
    calls: dict[str, Callable[[], None]] = {}
    if (webhook := alert.webhook_env) is not None:
        calls["webhook"] = lambda: post(webhook, message, message["id"])
    if (slack := alert.slack_env) is not None:
        calls["slack"] = lambda: post(slack, slack_message(message), message["id"])
    if (email := alert.email) is not None:
        calls["email"] = lambda: mail(email, message)
    if (command := alert.command) is not None:
        calls["command"] = lambda: run_program(command, message)
    return calls


def _write_mark(mark: FilePath, values: dict[str, Any], retries: int) -> None:
    """Write down what was sent; where that fails, the next run may send it again."""
    try:
        with atomic_paths(mark, retries=retries) as (path,):
            write_json(path, values)
    except OSError as error:
        logger.warning("the message was sent, but not written down: %s", error)
