"""What can be the time of a series: timestamps, periods, durations, numbers."""

import numpy as np
import pandas as pd
from pandas.api import types

__all__ = ["clock", "has_times", "is_duration", "later_times", "require_no_levels"]

DURATIONS = ("timedelta", "timedelta64")
# What indices hold that are read as times; the labels of others only name the rows.
TIMES = ("datetime", "datetime64", "date", "period", *DURATIONS)


def has_times(index: pd.Index) -> bool:
    """Tell whether the labels of rows are times, as a dtype or as objects."""
    return not isinstance(index, pd.MultiIndex) and index.inferred_type in TIMES


def clock(cells: pd.Series) -> pd.Series:
    """Return times as timestamps or numbers: periods as their first moment, durations in ns."""
    if is_duration(cells):
        spans = pd.to_timedelta(cells.astype(object)).dt.as_unit("ns")
        missing = spans.isna()
        numbers = spans.astype("int64")
        return numbers.astype("Int64").mask(missing) if missing.any() else numbers
    if types.infer_dtype(cells, skipna=True) == "period":
        periods = pd.PeriodIndex(cells)
        return pd.Series(periods.to_timestamp(), index=cells.index, name=cells.name)
    return cells


def is_duration(cells: pd.Series) -> bool:
    """Tell whether cells are durations."""
    arrow = isinstance(cells.dtype, pd.ArrowDtype)
    plain = cells.astype(object) if arrow else cells
    return types.infer_dtype(plain, skipna=True) in DURATIONS


def later_times(cells: pd.Index, step: float, horizon: int, *, whole: bool) -> pd.Index:
    """Times after the last of those of a series, of the same type.

    Parameters
    ----------
    cells : Index
        Times of the steps so far, ascending.
    step : float
        Usual difference, in nanoseconds or as numbers; of periods it is counted anew.
    horizon : int
        Steps to come.
    whole : bool
        Whether numbers are integers.
    """
    last, later = cells[-1], np.arange(1, horizon + 1) * step
    if isinstance(last, pd.Period):
        ordinals = pd.PeriodIndex(cells).asi8
        apart = round(float(np.median(np.diff(ordinals)))) if len(ordinals) > 1 else 1
        return pd.PeriodIndex([last + apart * each for each in range(1, horizon + 1)])
    if types.is_number(last):
        return pd.Index(last + (later.astype(np.int64) if whole else later))
    if isinstance(last, pd.Timedelta | np.timedelta64):
        return pd.Timedelta(last) + pd.to_timedelta(later, unit="ns")
    return pd.Timestamp(last) + pd.to_timedelta(later, unit="ns")


def require_no_levels(index: pd.Index) -> None:
    """Refuse rows whose labels have several levels with a time among them."""
    if not isinstance(index, pd.MultiIndex):
        return
    timed = [
        name for name, level in zip(index.names, index.levels, strict=True) if has_times(level)
    ]
    if timed:
        raise ValueError(
            f"need series and time as columns; got an index of the levels {list(index.names)}: "
            "call reset_index() and name these columns in series= and time=."
        )
