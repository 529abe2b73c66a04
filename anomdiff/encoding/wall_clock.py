"""Which wall clock times go by, as a calendar needs to know."""

import re

import pandas as pd

from anomdiff.encoding.date_texts import written_zone
from anomdiff.encoding.parsing import storage

__all__ = ["require_zone", "zone_of", "zones"]

# An offset from UTC in whole hours behind a clock, as PostgreSQL writes it.
HOURS_AWAY = r"(:\d\d(?:\.\d+)? ?[+-]\d\d)$"


def zone_of(cells: pd.Series | None, durations: bool = False) -> str:
    """Zone of times that are dates; ``""`` where they have none.

    Parameters
    ----------
    cells : Series or None
        Times as timestamps, texts or numbers; None of rows that are only in order.
    durations : bool
        Whether the numbers are durations.

    Raises
    ------
    ValueError
        If these are no dates, or of several zones.
    """
    if cells is None or durations or storage(cells) == "number":
        got = "rows that are only in order"
        if cells is not None:
            got = f"{'durations' if durations else 'numbers'} in column {cells.name!r}"
        raise ValueError(
            f"need times as dates for calendar= and holidays=; got {got}: name a column of "
            "timestamps in time=, or give the frame a DatetimeIndex."
        )
    found = zones(cells)
    if len(found) > 1:
        raise ValueError(
            f"need times of one zone for calendar= and holidays=; got "
            f"{sorted(each or 'none' for each in found)} in column {cells.name!r}: set it to "
            "pandas.to_datetime(times, utc=True).dt.tz_convert('Europe/Berlin'), or the zone whose "
            "clock counts."
        )
    return next(iter(found), "")


def require_zone(cells: pd.Series | None, zone: str) -> None:
    """Refuse times to score that have a zone where training had none, or the other way round.

    Parameters
    ----------
    cells : Series or None
        Times as of ``zone_of``; rows without dates are left to what needs them.
    zone : str
        That of the times of training, ``""`` for none; times of other zones are other spellings
        of the same moments.

    Raises
    ------
    ValueError
        If the clock of the times is not known.
    """
    if cells is None or storage(cells) == "number":
        return
    other = sorted(each for each in zones(cells) if bool(each) != bool(zone))
    if not other:
        return
    if zone:
        needed, got = f"with a zone, as in training ({zone})", "times without one"
        advice = f"set it by tz_localize({zone!r}), or that of their clock"
    else:
        needed, got = "without a zone, as in training", f"times of the zone {other[0]}"
        advice = "move them to the clock of training by tz_convert(zone).tz_localize(None)"
    raise ValueError(
        f"need times {needed}, for calendar= and holidays=; got {got} in column {cells.name!r}: "
        f"{advice}."
    )


def zones(cells: pd.Series) -> set[str]:
    """Zones of dates, as a dtype, one by one, or as written; ``""`` of those that have none."""
    if storage(cells) != "datetime":
        texts = pd.unique(cells.dropna().astype(str)).tolist()
        written = {written_zone([re.sub(HOURS_AWAY, r"\1:00", text)]) for text in texts}
        return {"UTC" if zone == "Z" else zone for zone in written}
    if cells.dtype != object:
        found = {getattr(cells.dtype, "tz", None) or getattr(cells.dt, "tz", None)}
    else:
        found = {getattr(cell, "tzinfo", None) for cell in cells.dropna()}
    return {"" if each is None else str(each) for each in found}
