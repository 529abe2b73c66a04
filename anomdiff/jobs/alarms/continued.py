"""The same incident night after night: it keeps its id and its start, and is new once."""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.parsing import storage

__all__ = ["MAY_GO_ON", "continue_incidents", "incident_times"]

ID_LENGTH = 12
# End of a time with its distance from UTC: 23:59:00+01:00.
OFFSET = re.compile(r":\d\d(\.\d+)?\s?(Z|[+-]\d\d:?\d\d)$")
WANTED = ["incident_id", "new", "batch_date", "start", "end", "ongoing"]
MAY_GO_ON = "may_go_on"  # tables of earlier versions have `ongoing` only


class Known(NamedTuple):
    """An incident of last night's table; its times as numbers."""

    id: str
    new: bool
    batch_date: str
    start: float
    end: float
    may_go_on: bool


def incident_times(layout: PanelLayout, rows: pd.DataFrame) -> tuple[pd.Index, pa.DataType]:
    """Times of the rows as an incident shows them, and their Arrow type.

    They are timestamps, those with a zone in UTC; numbers; or the numbers of the rows where the
    model has no time.
    """
    cells = layout.clock(rows)
    if cells is None:
        return pd.Index(rows.index), pa.int64()
    values = layout.times(rows)
    if storage(cells) == "number":
        whole = np.issubdtype(np.asarray(values).dtype, np.integer)
        return pd.Index(values), pa.int64() if whole else pa.float64()
    zone = "UTC" if _has_zone(cells) else None
    times = pd.to_datetime(np.asarray(values), unit="ns", utc=zone is not None)
    return pd.DatetimeIndex(times).as_unit("ns"), pa.timestamp("ns", tz=zone)


def continue_incidents(
    found: pd.DataFrame, previous: pd.DataFrame | None, layout: PanelLayout, most_apart: int
) -> pd.DataFrame:
    """Name tonight's incidents, and give those that go on the id and the start of last night.

    Parameters
    ----------
    found : DataFrame
        Tonight's incidents: ``series`` (None if there is one), ``start``, ``end``, ``begins``
        (whether scores are high from the first row of the series on) and ``batch_date``.
    previous : DataFrame, optional
        Last night's table, all cells as text. An incident of the same series is the same one
        where both overlap in time, or where the earlier one may go on, tonight's begins with its
        series, and so few steps are between them. Without times their number does not count.
    layout : PanelLayout
        Whether there are times, and the usual step of each series.
    most_apart : int
        Most usual steps between the parts of an incident in two nights.

    Returns
    -------
    continued : DataFrame
        ``found`` with ``incident_id`` and ``new``. One that is split in two tonight keeps its id
        in the first part, and neither is new. What a run for the same ``batch_date`` wrote is
        new as it was.

    Raises
    ------
    ValueError
        If ``previous`` lacks columns of a table of incidents.
    """
    timed = layout.time is not None
    known = {} if previous is None else _by_series(previous, layout.series is not None)
    starts = found["start"].copy()
    ids, new = [""] * len(found), [True] * len(found)
    taken: set[str] = set()
    for place in np.argsort(_as_numbers(found["start"]), kind="stable"):
        incident = found.iloc[place]
        day = str(incident["batch_date"])
        apart = most_apart * (layout.steps.of(incident["series"]) or 0)
        same = [
            each
            for each in known.get(str(incident["series"]), [])
            if _is_same(each, incident, apart, timed)
        ]
        free = [each for each in same if each.id not in taken]
        own = _identity(incident["series"], incident["start"], None if timed else day)
        ids[place] = free[0].id if free else own
        new[place] = all(each.new and each.batch_date == day for each in same)
        taken.add(ids[place])
        if free and timed:
            starts.iloc[place] = _earlier(starts, place, free[0].start)
    return found.assign(incident_id=ids, new=new, start=starts)


def _has_zone(cells: pd.Series) -> bool:
    """Whether timestamps have a zone; texts do if the first has."""
    if storage(cells) == "datetime":
        return isinstance(cells.dtype, pd.DatetimeTZDtype)
    return bool(OFFSET.search(str(cells.iloc[0]).strip()))


def _is_same(known: Known, incident: pd.Series, apart: float, timed: bool) -> bool:
    """Whether an incident of last night goes on in one of tonight."""
    if not timed:
        return known.may_go_on and bool(incident["begins"])
    start, end = _as_numbers(pd.Series([incident["start"], incident["end"]]))
    if known.start <= end and start <= known.end:
        return True
    adjoins = known.may_go_on and bool(incident["begins"])
    return adjoins and 0 < start - known.end <= apart


def _by_series(previous: pd.DataFrame, several: bool) -> dict[str, list[Known]]:
    """Last night's incidents of each series, in the order of their start."""
    wanted = [*WANTED, "series"] if several else WANTED
    if lacking := [column for column in wanted if column not in previous]:
        raise ValueError(
            f"need last night's table of incidents with the columns {wanted}; {lacking} are "
            "missing: name that table in `previous`, or another file in `alarms`."
        )
    labels = previous["series"].map(str) if several else ["None"] * len(previous)
    parts: Sequence[Any] = (
        previous["incident_id"],
        previous["new"] == "True",
        previous["batch_date"].str[:10],
        _text_as_numbers(previous["start"]),
        _text_as_numbers(previous["end"]),
        previous[MAY_GO_ON if MAY_GO_ON in previous else "ongoing"] == "True",
    )
    known: dict[str, list[Known]] = {}
    rows = zip(labels, *parts, strict=True)
    for label, *cells in sorted(rows, key=lambda row: row[4]):
        known.setdefault(label, []).append(Known(*cells))
    return known


def _identity(label: Any, start: Any, day: str | None) -> str:
    """Id of an incident by its series and start; of a day where starts are only row numbers."""
    text = start.isoformat() if isinstance(start, pd.Timestamp) else str(start)
    key = json.dumps([None if label is None else str(label), text, day])
    return hashlib.sha256(key.encode()).hexdigest()[:ID_LENGTH]


def _as_numbers(times: pd.Series) -> np.ndarray:
    """Times as numbers, timestamps in nanoseconds since 1970."""
    if not isinstance(times.iloc[0], pd.Timestamp):
        return times.to_numpy()
    return pd.DatetimeIndex(pd.to_datetime(times, utc=True)).as_unit("ns").asi8


def _text_as_numbers(texts: pd.Series) -> np.ndarray:
    """Times that were written as text, as numbers."""
    numbers = pd.to_numeric(texts, errors="coerce")
    if numbers.notna().all():
        return numbers.to_numpy()
    return _as_numbers(pd.to_datetime(texts, utc=True, format="ISO8601"))


def _earlier(starts: pd.Series, place: int, known: float) -> Any:
    """Earlier one of a start and a known one, as starts are."""
    start = starts.iloc[place]
    if not isinstance(start, pd.Timestamp):
        return min(start, type(start)(known))
    earlier = pd.Timestamp(int(known), unit="ns", tz="UTC" if start.tz is not None else None)
    return min(start, earlier)
