"""Intervals of time that training leaves out, such as known incidents."""

import datetime
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from anomdiff.encoding.date_texts import parse_dates, written_zone
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.wall_clock import zones

__all__ = ["Interval", "excluded_rows", "intervals"]

ENDS = ["start", "end"]
# Text of a day without a time: as the end of an interval, all of the day.
DAY = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")
WHOLE_DAY = pd.Timedelta(days=1) - pd.Timedelta(1, "ns")


class Interval(NamedTuple):
    """Times from ``start`` to ``end``, both included, of one series or, None, of all."""

    start: Any
    end: Any
    series: Any = None


def intervals(exclude: Any) -> list[Interval]:
    """Read the parameter ``exclude``.

    Parameters
    ----------
    exclude : list of tuple, DataFrame or None
        ``(start, end)`` or ``(start, end, series)``; or these as columns, ``start``, ``end`` and
        at most one further, that of the series.

    Returns
    -------
    found : list of Interval
        With what was given; a missing series is None.

    Raises
    ------
    TypeError, ValueError
        If it is no such list or frame.
    """
    if exclude is None:
        return []
    if isinstance(exclude, pd.DataFrame):
        further = [name for name in exclude.columns if name not in ENDS]
        if len(further) > 1 or not {*ENDS} <= {*exclude.columns}:
            raise ValueError(
                "need exclude with the columns start, end and at most one more, that of the "
                f"series; got {list(exclude.columns)}."
            )
        rows: Iterable = exclude[[*ENDS, *further]].itertuples(index=False, name=None)
    else:
        rows = exclude
    if isinstance(rows, str | Mapping) or not np.iterable(rows):
        raise TypeError(f"exclude must be a list of (start, end), or None; got {exclude!r:.80}.")
    return [_interval(row) for row in rows]


def excluded_rows(
    layout: PanelLayout, frame: pd.DataFrame, exclude: Any, *, warn: bool = False
) -> np.ndarray | None:
    """Tell which rows lie in an interval.

    Parameters
    ----------
    layout : PanelLayout
        The columns.
    frame : DataFrame
        Rows of training. Where they are in order only, their numbers from 0 count as times.
    exclude : list of tuple, DataFrame or None
        As of ``intervals``.
    warn : bool, default=False
        Whether to warn of intervals that no row lies in.

    Returns
    -------
    left_out : bool ndarray of shape (row,), or None
        None where there are no intervals.

    Raises
    ------
    ValueError
        If the end of an interval is no time as those of the frame, or nothing is left.
    """
    if not (several := intervals(exclude)):
        return None
    times, scale = layout.times(frame), _Scale(layout, frame)
    moments = np.arange(len(frame)) if times is None else times
    left_out = np.zeros(len(frame), dtype=bool)
    for each in several:
        start, end = scale.read(each.start, is_end=False), scale.read(each.end, is_end=True)
        if start > end:
            raise ValueError(f"need intervals of exclude that begin before they end; got {each}.")
        inside = (moments >= start) & (moments <= end)
        if each.series is not None:
            inside &= _of_series(layout, frame, each)
        if warn and not inside.any():
            warnings.warn(
                f"the interval {tuple(each)} of exclude holds no training row.",
                UserWarning,
                stacklevel=2,
            )
        left_out |= inside
    if left_out.all():
        raise ValueError(
            f"need rows outside of the intervals of exclude; all {len(frame)} rows lie in one."
        )
    return left_out


class _Scale:
    """Reads ends of intervals as numbers on the scale of a frame's times."""

    def __init__(self, layout: PanelLayout, frame: pd.DataFrame):
        cells = layout.clock(frame)
        self.dates = cells is not None and not pd.api.types.is_numeric_dtype(cells)
        self.durations, self.date_format = layout.durations, layout.date_format
        self.zones = zones(cells) if self.dates else set()
        self.naive = self.zones == {""}

    def read(self, value: Any, *, is_end: bool) -> float:
        """Number of one end."""
        try:
            if self.durations:
                return pd.Timedelta(value).as_unit("ns").value
            if self.dates:
                return self._instant(value, is_end).as_unit("ns").value
            return float(value)
        except (TypeError, ValueError):
            kind = "duration" if self.durations else "date" if self.dates else "number"
            advice = ", without a zone as the times have none" if self.naive else ""
            advice = ", with a zone as the times have several" if len(self.zones) > 1 else advice
            raise ValueError(
                f"need each end of the intervals of exclude as a {kind}, as the times of the "
                f"series are{advice}; got {value!r}."
            ) from None

    def _instant(self, value: Any, is_end: bool) -> pd.Timestamp:
        if isinstance(value, pd.Period):
            stamp = (value + 1).start_time - pd.Timedelta(1, "ns") if is_end else value.start_time
        else:
            stamp = self._stamp(value)
            day = isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)
            if is_end and (day or (isinstance(value, str) and DAY.fullmatch(value.strip()))):
                stamp = stamp.as_unit("ns") + WHOLE_DAY
        if stamp is pd.NaT or (self.naive and stamp.tz is not None):
            raise ValueError
        if stamp.tz is None and not self.naive:  # of an hour that comes twice, all of it
            (zone,) = self.zones
            stamp = stamp.tz_localize(zone, ambiguous=not is_end, nonexistent="shift_forward")
        return stamp

    def _stamp(self, value: Any) -> pd.Timestamp:
        if not isinstance(value, str):
            if isinstance(value, int | float):
                raise TypeError
            return pd.Timestamp(value)
        text = value.strip()
        (read,) = parse_dates(np.array([text], dtype=object), self.date_format)
        stamp = pd.Timestamp(read)
        return stamp.tz_localize("UTC") if written_zone([text]) else stamp


def _interval(row: Any) -> Interval:
    parts = () if isinstance(row, str) or not np.iterable(row) else tuple(row)
    if len(parts) not in (2, 3):
        raise ValueError(
            f"need exclude as (start, end) or (start, end, series) each; got {row!r:.80}."
        )
    start, end, *of = parts
    missing = not of or (pd.api.types.is_scalar(of[0]) and pd.isna(of[0]))
    return Interval(start, end, None if missing else of[0])


def _of_series(layout: PanelLayout, frame: pd.DataFrame, interval: Interval) -> np.ndarray:
    if layout.series is None:
        raise ValueError(
            f"need intervals of exclude without a series, as there is one only; got "
            f"{tuple(interval)}: set series=, or leave it out."
        )
    return (frame[layout.series] == interval.series).to_numpy(dtype=bool)
