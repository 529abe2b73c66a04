"""Messages that are posted to a web address, which is a secret of its own."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from anomdiff.jobs.alerts.alert_settings import secret
from anomdiff.jobs.errors import StoreError

__all__ = ["TIMEOUT", "post", "why"]

TIMEOUT = 10.0  # seconds without an answer
# Answers after which it may help to try again.
TRY_AGAIN = (408, 425, 429)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes no redirect: what is posted would be lost there, or go to somebody else."""

    def redirect_request(self, *request: Any) -> None:
        """Follow none."""


def post(variable: str, message: Mapping[str, Any], identity: str) -> None:
    """Post JSON to the address that an environment variable holds.

    Parameters
    ----------
    variable : str
        Name of the variable.
    message : mapping
        JSON values.
    identity : str
        Of the message, as the header ``Idempotency-Key``.

    Raises
    ------
    StoreError
        If nothing answers, or the answer says to try again.
    ValueError
        If the answer is another one than 2xx.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "anomdiff",
        "Idempotency-Key": identity,
    }
    told = f"the address in {variable}"
    try:
        body = json.dumps(message, allow_nan=False).encode()
        request = urllib.request.Request(secret(variable), body, headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
            return
    except urllib.error.HTTPError as error:
        error.close()
        code = error.code
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, http.client.InvalidURL):
            raise ValueError(f"need a web address in {variable}; got another text.") from None
        raise StoreError(f"{told} does not answer: {why(error)}.") from None
    kind = StoreError if code >= 500 or code in TRY_AGAIN else ValueError
    raise kind(f"need an answer 2xx of {told}; got {code}.")


def why(error: BaseException) -> str:
    """What went wrong with a connection, in words that hold no address."""
    reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return "no answer in time"
    text = getattr(reason, "strerror", None)
    return str(text) if text else type(reason).__name__
