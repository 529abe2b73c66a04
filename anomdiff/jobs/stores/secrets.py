"""Texts without the passwords that they may hold."""

import re

__all__ = ["masked"]

USER = re.compile(r"([A-Za-z][\w+.-]*:/{1,3}[^:/@\s]*):.*@")
WORDS = r"\w*pass(?:word|wd)?|pwd|\w*secret\w*|\w*token\w*|\w*key|sig(?:nature)?"
PARAMETER = re.compile(rf"\b({WORDS})=([^&\s'\"]+)", re.IGNORECASE)


def masked(text: object) -> str:
    """Text with `***` for the passwords of addresses, and for parameters that are secret.

    A password may hold any character, so that all up to the last `@` of a line is taken for one.

    Examples
    --------
    >>> masked("postgresql://me:p@ss/word@host/db?sslkey=a")
    'postgresql://me:***@host/db?sslkey=***'
    """
    return PARAMETER.sub(r"\1=***", USER.sub(r"\1:***@", str(text)))
