"""What object columns hold, and columns of a type that models do not know: read, and given back."""

import datetime
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api import types

from anomdiff.encoding.date_texts import written_zone
from anomdiff.encoding.json_values import from_json, require_storable, to_json
from anomdiff.encoding.parsing import distinct_texts, shown

__all__ = [
    "TEXT",
    "dtype_of",
    "held_type",
    "held_values",
    "is_dictionary",
    "require_given_back",
    "restored",
]

# Begins what texts of dates in a zone hold: the zone as they write it.
TEXT = "text "
# Cells of Python's own types, by their names in pandas.
PYTHON_TYPES = ("date", "time", "decimal", "integer")
DECIMAL = re.compile(r"decimal(128|256)\((\d+), (-?\d+)\)\[pyarrow\]")
DICTIONARY = re.compile(r"dictionary<values=(\w+), indices=(\w+), ordered=([01])>\[pyarrow\]")
SPARSE = re.compile(r"Sparse\[(float\d+), (.+)\]")
# Those that pandas has its own types for, which are subclasses of them.
PLAIN_PYTHON = {"datetime": datetime.datetime, "timedelta": datetime.timedelta}
NUMBERS = (bool, int, float, Decimal, np.number, np.bool_)
LAST_SECOND = 86_399.999_999


def held_type(cells: pd.Series) -> str:
    """Name what the cells of a column are where its dtype does not say it all.

    Returns
    -------
    held : str
        A dtype of pandas, one of ``PYTHON_TYPES``, ``"numbers"`` of several types, ``TEXT`` and
        the zone of dates that are text, or nothing: the dtype says it.
    """
    dtype = cells.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return str(dtype.categories.dtype)
    if isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype) or dtype.kind == "m":
        return str(dtype)
    is_object = types.is_object_dtype(dtype)
    if not is_object and not isinstance(dtype, pd.ArrowDtype | pd.StringDtype):
        return ""
    as_objects = cells.astype(object)
    name = types.infer_dtype(as_objects, skipna=True)
    if name == "string":
        zone = written_zone(as_objects[as_objects.notna()])
        return TEXT + zone if zone else ""
    if is_object and (several := _several_types(as_objects)):
        return several
    if name in PLAIN_PYTHON and _are_all(as_objects, PLAIN_PYTHON[name]):
        return f"{name} of Python"
    if name in PYTHON_TYPES and (name != "integer" or is_object):
        return name
    if name in ("datetime", "datetime64") and not is_object:
        return ""
    inferred = as_objects.infer_objects().dtype
    special = isinstance(inferred, pd.PeriodDtype | pd.IntervalDtype) or inferred.kind in "mM"
    return str(inferred) if special else ""


def held_values(cells: pd.Series) -> tuple | None:
    """Distinct cells of a column that is read as categories, None where all are text already."""
    dtype = cells.dtype
    if isinstance(dtype, pd.CategoricalDtype) or not (
        held_type(cells) or types.is_object_dtype(dtype)
    ):
        return None
    codes, texts = distinct_texts(cells)
    first = np.unique(codes, return_index=True)[1]
    found = cells.iloc[first][pd.notna(texts[codes[first]])].tolist()
    if all(isinstance(value, str) for value in found):
        return None
    return tuple(found) if all(map(_is_stored, found)) else None


def require_given_back(
    cells: pd.Series, kind: str, held: str, values: tuple | None, categories: tuple | None
) -> None:
    """Refuse a column of cells that answers, such as samples, could not have in their type.

    Parameters
    ----------
    cells : Series of shape (row,)
        The column.
    kind, held, values, categories
        What is known of it, as in ``Column``.

    Raises
    ------
    ValueError
        Naming the column and the types. Numbers and dates among texts are texts.
    """
    name, unknown = shown(cells.name), [each for each in categories or () if not _is_stored(each)]
    if types.is_object_dtype(cells.dtype):
        present = cells[cells.notna()]
        if kind == "datetime":
            _require_one_clock(present, name)
        unknown = [] if _is_given_back(present, kind, held, values) else [*present]
    if unknown:
        found = sorted({type(cell).__name__ for cell in unknown})
        raise ValueError(
            f"need text, numbers or dates in column {name}; got {' and '.join(found)}, such as "
            f"{unknown[0]!r:.80}, which cannot be given back: convert them, or set "
            f"kinds={{{name}: 'ignored'}}."
        )


def restored(plain: np.ndarray, held: str, dtype: Any) -> pd.Series:
    """Plain numbers or timestamps as the cells that a column held, in its dtype."""
    if held == "date":
        cells = pd.Series(pd.DatetimeIndex(plain)).dt.date
    elif held == "time":
        cells = pd.Series([_time(value) for value in plain], dtype=object)
    elif held == "decimal":
        cells = pd.Series([_decimal(value, dtype) for value in plain], dtype=object)
    elif held == "datetime of Python":
        stamps = pd.Series(pd.DatetimeIndex(plain))
        cells = pd.Series([_python(stamp) for stamp in stamps], dtype=object)
    elif held == "timedelta of Python":
        spans = _of_dtype(plain, np.dtype("m8[us]"))
        cells = pd.Series([_python(span) for span in spans], dtype=object)
    elif held == "numbers":
        cells = pd.Series([_number(value) for value in plain], dtype=object)
    elif held == "integer":
        whole = [None if np.isnan(value) else round(value) for value in plain]
        cells = pd.Series(whole, dtype=object)
    else:
        cells = _of_dtype(plain, dtype_of(held))
    if types.is_object_dtype(dtype):
        cells = cells.astype(object)
        return cells.where(cells.notna(), None)
    return cells.astype(dtype)


def dtype_of(name: str) -> Any:
    """Dtype of a name, plain object where pandas cannot build it."""
    if name in ("string[pyarrow]", "large_string[pyarrow]"):  # pandas reads the first as its own
        return pd.ArrowDtype(getattr(pa, name.removesuffix("[pyarrow]"))())
    if found := DECIMAL.fullmatch(name):
        bits, precision, scale = found.groups()
        return pd.ArrowDtype(getattr(pa, f"decimal{bits}")(int(precision), int(scale)))
    if found := DICTIONARY.fullmatch(name):
        values, indices, ordered = found.groups()
        kinds = (pa.type_for_alias(indices), pa.type_for_alias(values))
        return pd.ArrowDtype(pa.dictionary(*kinds, ordered == "1"))
    if found := SPARSE.fullmatch(name):
        return pd.SparseDtype(found[1], float(found[2]))
    try:
        dtype = types.pandas_dtype(name)
    except (TypeError, ValueError, NotImplementedError):
        return np.dtype(object)
    return np.dtype(object) if dtype.kind == "U" and isinstance(dtype, np.dtype) else dtype


def is_dictionary(dtype: Any) -> bool:
    """Tell whether a dtype is Arrow's of categories."""
    return isinstance(dtype, pd.ArrowDtype) and pa.types.is_dictionary(dtype.pyarrow_dtype)


def _of_dtype(plain: np.ndarray, dtype: Any) -> pd.Series:
    """Timestamps as periods or with their zone, seconds as durations."""
    if isinstance(dtype, pd.PeriodDtype):
        return pd.Series(pd.DatetimeIndex(plain).to_period(dtype.freq))
    if plain.dtype.kind == "M":
        cells = pd.Series(pd.DatetimeIndex(plain))
        zoned = isinstance(dtype, pd.DatetimeTZDtype)
        return (cells.dt.tz_localize("UTC") if zoned else cells).astype(dtype)
    nanoseconds = pd.Series(plain * 1e9).round().astype("Int64")
    return pd.to_timedelta(nanoseconds, unit="ns").astype(dtype)


def _is_given_back(present: pd.Series, kind: str, held: str, values: tuple | None) -> bool:
    """Whether decoding gives cells of a column of objects in their type."""
    found = set(map(type, present))
    texts = [issubclass(each, str) for each in found]
    if kind == "category":
        return values is not None or all(texts)
    plain = kind != "datetime" and all(issubclass(each, NUMBERS) for each in found)
    return bool(held) or not found or any(texts) or plain


def _several_types(cells: pd.Series) -> str:
    """What objects of several types, or dates of several zones, are given back as."""
    present = cells[cells.notna()]
    found = set(map(type, present))
    if len(found) > 1 and all(issubclass(each, NUMBERS) for each in found):
        return "numbers"
    if not found or not all(issubclass(each, datetime.date) for each in found):
        return ""
    zones = {str(getattr(cell, "tzinfo", None)) for cell in present}
    if zones == {"None"}:
        return "datetime of Python" if datetime.date in found and len(found) > 1 else ""
    return "datetime64[ns, UTC]" if len(zones) > 1 and "None" not in zones else ""


def _require_one_clock(present: pd.Series, name: str) -> None:
    """Refuse timestamps of a zone beside such of none."""
    stamps = [cell for cell in present if isinstance(cell, datetime.datetime)]
    if len({stamp.tzinfo is None for stamp in stamps}) > 1:
        raise ValueError(
            f"need timestamps that all have a zone, or none, in column {name}; got both: convert "
            "them by pandas.to_datetime(..., utc=True)."
        )


def _is_stored(value: Any) -> bool:
    """Whether a cell is the same after storage."""
    try:
        require_storable("cell", value)
        return bool(from_json(to_json(value)) == value)
    except (TypeError, ValueError):
        return False


def _number(value: float) -> int | float | None:
    if np.isnan(value):
        return None
    number = float(f"{value:.12g}")
    return int(number) if number.is_integer() else number


def _are_all(cells: pd.Series, kind: type) -> bool:
    """Whether present cells are of this very type, without a zone of time."""
    present = cells[cells.notna()]
    return all(type(cell) is kind and not getattr(cell, "tzinfo", None) for cell in present)


def _python(value: Any) -> Any:
    """Datetime or timedelta of Python, None where missing."""
    if pd.isna(value):
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value.to_pytimedelta()


def _time(seconds: float) -> datetime.time | None:
    if np.isnan(seconds):
        return None
    since = datetime.timedelta(seconds=float(np.clip(seconds, 0.0, LAST_SECOND)))
    return (datetime.datetime.min + since).time()


def _decimal(value: float, dtype: Any) -> Decimal | None:
    if np.isnan(value):
        return None
    number = Decimal(f"{value:.12g}")
    if not isinstance(dtype, pd.ArrowDtype):
        return number
    return number.quantize(Decimal(1).scaleb(-dtype.pyarrow_dtype.scale))
