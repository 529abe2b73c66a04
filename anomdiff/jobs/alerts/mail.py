"""Messages that are sent as mail."""

import logging
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any

from anomdiff.jobs.alerts.alert_settings import EmailSettings, secret
from anomdiff.jobs.alerts.texts import plain_text
from anomdiff.jobs.alerts.web import TIMEOUT, why
from anomdiff.jobs.errors import StoreError

__all__ = ["mail"]

logger = logging.getLogger(__name__)


def mail(email: EmailSettings, message: Mapping[str, Any]) -> None:
    """Send a message to all recipients.

    Its ``Message-ID`` is made from the id of the message. If a server takes the message for some
    recipients only, a warning says for how many.

    Raises
    ------
    StoreError
        If the server does not answer, or says that it cannot now.
    ValueError
        If it refuses user, sender, all recipients or the message.
    """
    told = f"the mail server {email.host}:{email.port}"
    try:
        refused = _send(email, _letter(email, message))
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise _refusal(told, min(codes)) from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(told, error.smtp_code) from None
    except smtplib.SMTPNotSupportedError:
        raise ValueError(f"need {told} to offer STARTTLS or a login; it does not.") from None
    except OSError as error:
        raise StoreError(f"{told} does not answer: {why(error)}.") from None
    if refused:
        logger.warning("%s refused %d of the recipients.", told, len(refused))


def _letter(email: EmailSettings, message: Mapping[str, Any]) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = f"anomdiff {message['subject']}"
    letter["From"], letter["To"] = email.sender, ", ".join(email.recipients)
    letter["Date"] = formatdate()
    letter["Message-ID"] = f"<{message['id']}@anomdiff>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(plain_text(message))
    return letter


def _send(email: EmailSettings, letter: EmailMessage) -> dict[str, Any]:
    """Return the recipients that are refused while others are not."""
    server = smtplib.SMTP(email.host, email.port, timeout=TIMEOUT)
    try:
        if email.starttls:
            server.starttls(context=ssl.create_default_context())
        if email.user is not None and email.password_env is not None:
            server.login(email.user, secret(email.password_env))
        refused = server.send_message(letter, email.sender, email.recipients)
        with suppress(OSError):  # it has the message
            server.quit()
        return refused
    finally:
        server.close()


def _refusal(told: str, code: int) -> Exception:
    """An error by the first figure of a code: 4 says to try again."""
    if code // 100 == 5:
        return ValueError(f"need {told} to take the message; it answers {code}.")
    return StoreError(f"{told} cannot take the message now: it answers {code}.")
