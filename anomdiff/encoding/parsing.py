"""Read the cells of one column, whatever their dtype, into one plain type per kind of column."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from anomdiff.encoding.written import apart, written

__all__ = [
    "distinct_texts",
    "infer_date_format",
    "infer_kind",
    "read_cells",
    "require_distinct_names",
    "shown",
    "storage",
    "warn_of_further",
]

# Compared in lower case. Lower-case "none" stays a value: surveys write it for "zero of them".
MISSING_MARKERS = frozenset({"", ".", "?", "-", "na", "n/a", "nan", "null", "<na>"})
ISO_DATE = r"\d{4}([-/])\d{1,2}\1\d{1,2}(?:[T ].*)?$"
SHORT_FLOATS = (np.float16, np.float32)
BOOLEAN_TEXTS = {"true": "1", "false": "0"}
BOUNDS_US = (pd.Timestamp.min.value // 1000 + 1, pd.Timestamp.max.value // 1000)
PLAIN_KINDS = {
    "string": "text",
    "empty": "text",
    "mixed": "text",
    "mixed-integer": "text",
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "datetime": "datetime",
    "datetime64": "datetime",
    "date": "datetime",
    # Read by way of text: durations and times of day as seconds, periods as their first moment.
    "timedelta": "text",
    "timedelta64": "text",
    "time": "text",
    "period": "text",
    "interval": "text",
}


def storage(cells: pd.Series) -> str:
    """Say how the cells are stored: number, boolean, datetime, category or text.

    Anything else is refused: complex numbers, bytes, lists.
    """
    dtype = cells.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if types.is_complex_dtype(dtype):
        raise ValueError(
            f"Complex data not supported: column {shown(cells.name)} has dtype {dtype}."
        )
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_numeric_dtype(dtype):
        return "number"
    if types.is_datetime64_any_dtype(dtype):
        return "datetime"
    arrow = isinstance(dtype, pd.ArrowDtype)  # dictionaries and decimals show what they hold
    plain = types.infer_dtype(cells.astype(object) if arrow else cells, skipna=True)
    if plain not in PLAIN_KINDS:
        raise _unreadable(cells, f"{plain}: convert it to one of these")
    return PLAIN_KINDS[plain]


def infer_kind(cells: pd.Series) -> str:
    """Kind of a column: as stored, or what all its texts can be read as."""
    stored = storage(cells)
    if stored != "text":
        return stored
    _, texts = distinct_texts(cells)
    texts = texts[~pd.isna(texts)]
    if len(texts) and not np.isnan(_parse_numbers(texts)).any():
        return "number"
    if len(texts) and not np.isnat(_parse_dates(texts)).any():
        return "datetime"
    return "category"


def infer_date_format(cells: pd.Series) -> str:
    """Pattern for ``strftime`` of dates that came as text, from the longest text."""
    _, texts = distinct_texts(cells)
    longest = max((text for text in texts if text is not None), key=len, default="")
    day = "%Y/%m/%d" if "/" in longest else "%Y-%m-%d"
    if ":" not in longest:
        return day
    fraction = ".%f" if "." in longest else ""
    return f"{day}{'T' if 'T' in longest else ' '}%H:%M:%S{fraction}"


def read_cells(cells: pd.Series, kind: str) -> np.ndarray:
    """Read one column as cells of ``kind``, with missing markers as missing.

    Returns
    -------
    plain : array of shape (row,)
        float64 with NaN for numbers and booleans (0 and 1), object with stripped str and None
        for categories, datetime64[ns] in UTC with NaT for datetimes.

    Raises
    ------
    ValueError
        If a cell cannot be read, naming the column, the value and the row.
    """
    storage(cells)  # refuses what no kind can read
    readers = {"number": _numbers, "boolean": _booleans, "datetime": _datetimes}
    if kind in readers:
        return readers[kind](cells)
    codes, texts = distinct_texts(cells)
    return texts[codes]


def distinct_texts(cells: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the rows, and the stripped text (None where missing) of each code, -1 included."""
    if isinstance(cells.dtype, pd.CategoricalDtype):
        codes, distinct = pd.factorize(cells.cat.codes.where(cells.notna()))
        distinct = cells.cat.categories[distinct.astype(int)]
        return codes, np.array([*map(_text, distinct), None], dtype=object)
    try:
        codes, distinct = pd.factorize(apart(cells))
    except (TypeError, NotImplementedError):  # lists, and those of Arrow
        example = cells[cells.notna()].iloc[0]
        found = f"{type(example).__name__} {example!r}: convert it to one of these"
        raise _unreadable(cells, found) from None
    if getattr(distinct.dtype, "numpy_dtype", distinct.dtype) in SHORT_FLOATS:
        distinct = np.asarray(distinct, dtype=np.float32)  # as object they would be float64
    return codes, np.array([*map(_text, distinct), None], dtype=object)  # code -1 picks the last


def _unreadable(cells: pd.Series, found: str) -> ValueError:
    name = shown(cells.name)
    return ValueError(f"need numbers, text, booleans or dates in column {name}; got {found}.")


def _text(value) -> str | None:
    text = written(value).strip()
    return None if text == "None" or text.lower() in MISSING_MARKERS else text


def _numbers(cells: pd.Series) -> np.ndarray:
    if storage(cells) in ("number", "boolean"):
        typed = cells.astype("boolean") if storage(cells) == "boolean" else cells
        if typed.dtype != object:
            return _finite(typed.to_numpy(dtype=np.float64, na_value=np.nan), cells)
    codes, texts = distinct_texts(cells)
    parsed = _parse_numbers(texts)
    _require(~np.isnan(parsed), codes, texts, cells, "numbers")
    return _finite(parsed[codes], cells)


def _booleans(cells: pd.Series) -> np.ndarray:
    if storage(cells) in ("number", "boolean"):
        values, codes = _numbers(cells), np.arange(len(cells))
        texts = values
    else:
        codes, texts = distinct_texts(cells)
        values = _parse_numbers(pd.Series(texts, dtype=object).str.lower().replace(BOOLEAN_TEXTS))
    _require(np.isin(values, [0, 1]), codes, texts, cells, "true or false")
    return values[codes]


def _datetimes(cells: pd.Series) -> np.ndarray:
    if storage(cells) == "datetime":
        return _nanoseconds(pd.to_datetime(cells, utc=True))
    codes, texts = distinct_texts(cells)
    parsed = _parse_dates(texts)
    _require(~np.isnat(parsed), codes, texts, cells, "dates like 2024-01-31 12:00:00")
    return parsed[codes]


def _parse_numbers(texts) -> np.ndarray:
    return np.asarray(pd.to_numeric(np.asarray(texts, dtype=object), errors="coerce"), dtype=float)


def _parse_dates(texts: np.ndarray) -> np.ndarray:
    """ISO dates, NaT for the rest; the pattern keeps bare numbers such as 201410 out."""
    series = pd.Series(texts, dtype=object)
    iso = series.str.match(ISO_DATE).eq(True)
    return _nanoseconds(
        pd.to_datetime(series.where(iso, None), format="ISO8601", utc=True, errors="coerce")
    )


def _nanoseconds(timestamps: pd.Series) -> np.ndarray:
    """Naive UTC datetime64[ns]; timestamps outside its range (9999-12-31) move to its ends."""
    timestamps = pd.DatetimeIndex(timestamps).tz_convert("UTC").tz_localize(None)
    if timestamps.unit == "ns":
        return timestamps.to_numpy()
    micros = timestamps.as_unit("us").asi8
    clipped = np.clip(micros, *BOUNDS_US) * 1000
    return np.where(timestamps.isna(), np.datetime64("NaT", "ns"), clipped.view("datetime64[ns]"))


def _finite(values: np.ndarray, cells: pd.Series) -> np.ndarray:
    infinite = np.isinf(values)
    if infinite.any():
        at = infinite.argmax()
        raise ValueError(
            f"need finite numbers in column {shown(cells.name)}; "
            f"got {values[at]} (infinity) in row {shown(cells.index[at])}."
        )
    return values


def _require(readable, codes, texts, cells, wanted: str) -> None:
    """Raise for the first row whose text is present but not readable."""
    bad = (~readable & ~pd.isna(texts))[codes]
    if bad.any():
        at = bad.argmax()
        raise ValueError(
            f"need {wanted} in column {shown(cells.name)}; "
            f"got {shown(cells.iloc[at])} in row {shown(cells.index[at])}."
        )


def require_distinct_names(columns: pd.Index) -> None:
    """Refuse columns of the same name."""
    if not columns.is_unique:
        repeated = columns[columns.duplicated()].unique().tolist()
        raise ValueError(f"need distinct column names; got {repeated} more than once.")


def warn_of_further(frame: pd.DataFrame, known: Sequence) -> None:
    """Warn the caller's caller of columns that training did not show."""
    names = set(known)
    if extra := [name for name in frame.columns.tolist() if name not in names]:
        sentence = f"columns {extra} were not in the training rows and are ignored."
        warnings.warn(sentence, UserWarning, stacklevel=3)


def shown(label: Any) -> str:
    """Label of a column or row as a user writes it."""
    return repr(label.item() if isinstance(label, np.generic) else label)
