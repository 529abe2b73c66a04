"""Where the message of a night goes: the table `[alert]` of the settings of `anomdiff score`."""

import os
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from anomdiff.jobs.exit_codes import SettingsError

__all__ = ["AlertSettings", "EmailSettings", "secret"]

Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Address = Annotated[str, StringConstraints(pattern=r"^[^\s@<>,;]+@[^\s@<>,;]+$")]


class _Table(BaseModel):
    """A table of settings; a key that is not known is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class EmailSettings(_Table):
    """Mail server, sender and recipients."""

    host: str
    """Mail server."""
    port: int = Field(default=587, gt=0, lt=65536)
    """Its port."""
    sender: Address
    """Address that the message comes from."""
    recipients: tuple[Address, ...] = Field(min_length=1)
    """Addresses that it goes to."""
    starttls: bool = True
    """Whether the connection is encrypted by STARTTLS."""
    user: str | None = None
    """User of the mail server, if it wants one."""
    password_env: Variable | None = None
    """Environment variable with the password of `user`."""

    @model_validator(mode="after")
    def _keeps_the_password_secret(self) -> Self:
        if (self.user is None) != (self.password_env is None):
            raise ValueError("need `user` and `password_env` together; got one")
        if self.user is not None and not self.starttls:
            raise ValueError("need `starttls` for a password; got starttls = false")
        return self


class AlertSettings(_Table):
    """One message a night: when, about how many alarms, and where to."""

    when: Literal["alarms", "always"] = "alarms"
    """'alarms': if there are new ones, or more than make sense; 'always': every night."""
    top: int = Field(default=5, ge=1, le=20)
    """Cases that the message shows, the first of the alarm table."""
    report: str | None = None
    """Address or path of the report to link to; `{batch_date}` in it is replaced."""
    webhook_env: Variable | None = None
    """Environment variable with the address that the message is posted to, as JSON."""
    slack_env: Variable | None = None
    """Environment variable with the address of an incoming webhook of Slack, or of its like."""
    email: EmailSettings | None = None
    """Mail: `host`, `port`, `sender`, `recipients`, `starttls`, `user`, `password_env`."""
    command: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Program and arguments, run without a shell, with the message as JSON on its input."""

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if not self.places:
            raise ValueError("need `webhook_env`, `slack_env`, `email` or `command`; got none")
        return self

    @property
    def places(self) -> list[str]:
        """Names of the places that the message goes to."""
        asked = {
            "webhook": self.webhook_env,
            "slack": self.slack_env,
            "email": self.email,
            "command": self.command,
        }
        return [name for name, value in asked.items() if value is not None]

    def require_secrets(self) -> None:
        """Ask for all environment variables before anything is scored.

        Raises
        ------
        SettingsError
            If one is not set, or an address is not one of the web.
        """
        for variable in (self.webhook_env, self.slack_env):
            if variable is not None and not secret(variable).startswith(("http://", "https://")):
                raise SettingsError(
                    f"need an address that begins with https:// in the environment variable "
                    f"{variable}; got another text."
                )
        if self.email is not None and self.email.password_env is not None:
            secret(self.email.password_env)


def secret(variable: str) -> str:
    """Value of an environment variable.

    Raises
    ------
    SettingsError
        If it is not set, or empty.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise SettingsError(
            f"need the environment variable {variable}, which [alert] names; it is not set."
        )
    return value
