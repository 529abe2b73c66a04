"""Which wall clock times go by, as a calendar needs to know."""

import pandas as pd

from anomdiff.encoding.date_texts import written_zone
from anomdiff.encoding.parsing import storage

__all__ = ["zone_of"]


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
    zones = _zones(cells)
    if len(zones) > 1:
        raise ValueError(
            f"need times of one zone for calendar= and holidays=; got {sorted(zones)} in "
            f"column {cells.name!r}: set it to pandas.to_datetime(times, utc=True)"
            ".dt.tz_convert('Europe/Berlin'), or the zone whose clock counts."
        )
    return next(iter(zones), "")


def _zones(cells: pd.Series) -> set[str]:
    """Zones of times, as a dtype, one by one, or as written; without none."""
    if storage(cells) != "datetime":
        texts = pd.unique(cells.dropna().astype(str))
        return {written_zone([text]) for text in texts.tolist()} - {""}
    if cells.dtype != object:
        found = {getattr(cells.dtype, "tz", None) or getattr(cells.dt, "tz", None)}
    else:
        found = {getattr(cell, "tzinfo", None) for cell in cells.dropna()}
    return {str(each) for each in found} - {"None"}
