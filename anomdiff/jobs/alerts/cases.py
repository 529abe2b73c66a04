"""The new alarms of an alarm table, as a message shows them."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import pandas as pd

__all__ = ["cases_of", "clean", "new_alarms"]

# Characters of a text from a table, and of a sentence.
LONGEST_CELL, LONGEST_SENTENCE = 80, 300
# Control characters, also those that turn the direction of writing, and ends of lines.
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def new_alarms(table: pd.DataFrame) -> pd.DataFrame:
    """Lines of an alarm table that are to be told: not muted, and incidents that are new."""
    told = pd.Series(True, index=table.index)
    if "muted_by" in table:
        told &= table["muted_by"].fillna("") == ""
    if "new" in table:
        told &= table["new"].astype(bool)
    return table[told]


def cases_of(alarms: pd.DataFrame, keys: Sequence[Any], top: int) -> list[dict[str, Any]]:
    """Describe the first alarms, as JSON values.

    Parameters
    ----------
    alarms : DataFrame
        Lines of an alarm table.
    keys : sequence
        Columns that tell rows apart; without them it is the number of the row.
    top : int
        Most cases.

    Returns
    -------
    cases : list of dict
        ``name`` (key, or series), ``severity``, ``sentence``; of incidents also ``incident_id``,
        ``start``, ``end``, ``ongoing``, ``channels`` and ``kind``. Texts are of one line and of
        limited length.
    """
    shown = alarms.head(top)
    of_series = "incident_id" in shown
    return [(_incident if of_series else _row)(line, keys) for _, line in shown.iterrows()]


def clean(value: Any, longest: int = LONGEST_CELL) -> str:
    """A cell as text of one line, without characters that cannot be seen, cut to a length."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    if isinstance(value, pd.Timestamp):
        value = value.isoformat()
    seen = (" " if unicodedata.category(each) in UNSEEN else each for each in str(value))
    text = " ".join("".join(seen).split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _row(line: pd.Series, keys: Sequence[Any]) -> dict[str, Any]:
    named = [f"{clean(key)} {clean(line[str(key)])}" for key in keys]
    return {"name": ", ".join(named) or f"row {line['row']}", **_said(line)}


def _incident(line: pd.Series, keys: Sequence[Any]) -> dict[str, Any]:
    name = clean(line["series"]) if "series" in line else ""
    return {
        "name": name or f"incident {line['incident_id']}",
        "incident_id": clean(line["incident_id"]),
        "start": clean(line["start"]),
        "end": clean(line["end"]),
        "ongoing": bool(line["ongoing"]),
        "channels": clean(line["channels"]),
        "kind": clean(line["kind"]),
        **_said(line),
    }


def _said(line: pd.Series) -> dict[str, Any]:
    severity = line["severity"]
    return {
        "severity": None if pd.isna(severity) else round(float(severity), 1),
        "sentence": clean(line["sentence"], LONGEST_SENTENCE),
    }
