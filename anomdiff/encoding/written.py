"""How single cells are written: the text that stands for a number, a flag, a date or a span."""

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["apart", "flags_as_numbers", "number_texts", "written"]

# A float64 of so many digits that is a float32 too came from one, and is written as that.
LONG = 12
# Numbers as they are written without padding: "0042" is a name, and no spelling of 42.
NUMBER = r"-?(?:0|[1-9]\d*)(?:\.\d+)?"


def written(value: Any) -> str:
    """Return a cell as text, the same for values that are equal in whatever type they are stored.

    Whole floats are written as integers, short floats by their own digits, durations and times
    of day in seconds, periods as their first moment. True is "True" and not "1".

    Examples
    --------
    >>> [written(value) for value in (12.0, np.float32(0.1), float(np.float32(0.1)), True)]
    ['12', '0.1', '0.1', 'True']
    >>> written(pd.Timedelta("90s")), written(datetime.time(1, 0)), written(pd.Interval(0.0, 1))
    ('90', '3600', '(0, 1]')
    >>> written(pd.Period("2026-02", "M"))
    '2026-02-01 00:00:00'
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating):
        return _written_float(value)
    if isinstance(value, Decimal):
        return f"{value.normalize():f}" if value.is_finite() else str(value)
    if isinstance(value, datetime.timedelta | np.timedelta64):
        return _written_float(pd.Timedelta(value).as_unit("ns").value / 1e9)
    if isinstance(value, datetime.time):
        return _written_float(_seconds(value))
    if isinstance(value, pd.Period):
        return str(value.start_time)
    if isinstance(value, np.datetime64):
        return str(pd.Timestamp(value))
    if isinstance(value, pd.Interval):
        left, right = "[" if value.closed_left else "(", "]" if value.closed_right else ")"
        return f"{left}{written(value.left)}, {written(value.right)}{right}"
    return str(value)


def apart(cells: pd.Series) -> pd.Series:
    """Cells whose equal values may be taken for each other: flags among others become text.

    ``pd.factorize`` holds True and 1 for equal, and keeps the one that comes first.
    """
    return _with_flags(cells, written)


def flags_as_numbers(cells: pd.Series) -> pd.Series:
    """Cells of a column of numbers, in which True is 1 beside others as it is alone."""
    return _with_flags(cells, int)


def _with_flags(cells: pd.Series, change: Callable[[Any], Any]) -> pd.Series:
    """Cells of which the flags, where there are others too, are changed."""
    if cells.dtype != object or not pd.api.types.infer_dtype(cells).startswith("mixed"):
        return cells
    values = cells.to_numpy(copy=True)
    flags = np.fromiter((isinstance(v, bool | np.bool_) for v in values), bool, len(values))
    values[flags] = [change(flag) for flag in values[flags]]
    return pd.Series(values, index=cells.index, name=cells.name, dtype=object)


def number_texts(texts: np.ndarray) -> np.ndarray:
    """Texts (or None) as numbers are written, "1.0" as "1", where they are numbers."""
    codes, distinct = pd.factorize(texts)
    spelled = pd.Series(distinct, dtype=object).str.fullmatch(NUMBER).to_numpy(dtype=bool)
    plain = [
        written(float(text)) if is_number else text
        for text, is_number in zip(distinct, spelled, strict=True)
    ]
    return np.array([*plain, None], dtype=object)[codes]


def _written_float(value: float | np.floating) -> str:
    if value.is_integer():
        return str(int(value))  # 12.0 is the category 12: integers turn float beside missing cells
    text = str(value)
    if len(text) > LONG and float(np.float32(value)) == value:
        return str(np.float32(value))
    return text


def _seconds(time: datetime.time) -> float:
    """Seconds since midnight."""
    return time.hour * 3600 + time.minute * 60 + time.second + time.microsecond / 1e6
