"""Keys of settings that the command line assigns: `--set detector.alpha=0.05`."""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from anomdiff.jobs.exit_codes import SettingsError

__all__ = ["with_assignments"]


def with_assignments(values: Mapping[str, object], assignments: Iterable[str]) -> dict[str, object]:
    """Values with those of texts such as "detector.alpha=0.05" put in their places.

    What is right of the first "=" is read as TOML; if it is none, as text.

    Raises
    ------
    ValueError
        If a text has no key, or its place is in what is no table.
    """
    found: dict[str, Any] = {**values}
    for text in assignments:
        path, sign, written = text.partition("=")
        *tables, key = path.strip().split(".")
        if not sign or not all([*tables, key]):
            raise SettingsError(
                f"need --set as KEY=VALUE, such as detector.alpha=0.05; got {text!r}."
            )
        place = found
        for name in tables:
            inner = place.get(name, {})
            if not isinstance(inner, Mapping):
                raise SettingsError(f"need a table at {name!r} for --set {text}; got {inner!r}.")
            place[name] = {**inner}
            place = place[name]
        place[key] = _toml_or_text(written.strip())
    return found


def _toml_or_text(written: str) -> object:
    try:
        return tomllib.loads(f"value = {written}")["value"]
    except tomllib.TOMLDecodeError:
        return written
