"""The message of a night: a subject, the worst new alarms, and what went wrong, as JSON values."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from anomdiff.jobs.alerts.alert_settings import AlertSettings
from anomdiff.jobs.alerts.cases import cases_of, clean, new_alarms

__all__ = ["message_of"]

# Digits of the id: with them a Message-ID fits into a line.
ID_DIGITS = 32
# Characters of a warning, and failed series that one names.
LONGEST_WARNING, NAMED_SERIES = 500, 3


def message_of(
    alert: AlertSettings,
    summary: Mapping[str, Any],
    table: pd.DataFrame,
    keys: Sequence[Any],
    senseless: str | None,
) -> dict[str, Any] | None:
    """What is to be told of a night; None if there is nothing to tell.

    Parameters
    ----------
    alert : AlertSettings
        When there is a message, and how many cases it shows.
    summary : mapping
        Counts, model and record of a scored table.
    table : DataFrame
        Its alarm table.
    keys : sequence
        Columns that tell rows apart.
    senseless : str or None
        Sentence on more alarms than make sense, if there are.

    Returns
    -------
    message : dict or None
        ``id`` (a digest of all else: the same night has the same), ``subject``, ``batch_date``,
        ``model``, ``rows``, ``alarms``, ``alarms_expected``, ``new``, ``cases``, ``warnings`` and
        ``report``.
    """
    new = new_alarms(table)
    if alert.when == "alarms" and not len(new) and senseless is None:
        return None
    day = summary["record"]["batch_date"] or summary["scored_at"][:10]
    judged = summary["rows"] - summary["rows_not_judged"]
    message = {
        "batch_date": day,
        "model": {key: summary["model"][key] for key in ("uri", "version")},
        "rows": summary["rows"],
        "alarms": summary["alarms"],
        "alarms_expected": round(summary["alpha"] * judged, 1),
        "new": len(new),
        "cases": cases_of(new, keys, alert.top),
        "warnings": _warnings(summary, senseless),
        "report": None if alert.report is None else alert.report.replace("{batch_date}", day),
    }
    message["subject"] = _subject(message, summary["alpha"], "incident_id" in table)
    digest = hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()
    return {"id": digest[:ID_DIGITS], **message}


def _subject(message: Mapping[str, Any], alpha: float, of_series: bool) -> str:
    """How many alarms of how many rows, and how many normal rows alone would raise."""
    word, unit = ("incident", "steps") if of_series else ("alarm", "rows")
    several = "" if message["new"] == 1 else "s"
    # Flagged steps and rows, of which the budget and rules may mute some.
    return (
        f"{message['batch_date']}: {message['new']:,} new {word}{several}; "
        f"{message['alarms']:,} of {message['rows']:,} {unit} flagged, "
        f"{message['alarms_expected']:,g} expected by alpha {alpha:g}"
    )


def _warnings(summary: Mapping[str, Any], senseless: str | None) -> list[str]:
    """Sentences on what makes the night doubtful."""
    told = []
    if senseless is not None:
        told.append(senseless)
    failed = summary.get("series", {}).get("failed", 0)
    if failed:
        statuses = summary["series_status"].items()
        names = [clean(name) for name, status in statuses if str(status).startswith("failed")]
        more = ", ..." if failed > NAMED_SERIES else ""
        told.append(f"{failed:,} series failed: {', '.join(names[:NAMED_SERIES])}{more}")
    if summary["rows_quarantined"]:
        told.append(f"{summary['rows_quarantined']:,} rows could not be read")
    return [clean(each, LONGEST_WARNING) for each in told]
