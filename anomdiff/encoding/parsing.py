"""Read the cells of one column, whatever their dtype, into one plain type per kind of column."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from anomdiff.encoding.date_formats import infer_date_format, order_that_reads
from anomdiff.encoding.date_texts import iso_format, nanoseconds, parse_dates
from anomdiff.encoding.factors import READABLE, infer_factors, warn_of_factors
from anomdiff.encoding.number_texts import (
    are_codes,
    infer_spelling,
    parse_numbers,
    points_for_thousands,
)
from anomdiff.encoding.spelling import PLAIN, Spelling
from anomdiff.encoding.written import apart, written

__all__ = [
    "MANY_VALUES",
    "MISSING_MARKERS",
    "counted_texts",
    "distinct_texts",
    "infer_kind",
    "infer_spelling_of",
    "plain_values",
    "read_cells",
    "require_distinct_names",
    "shown",
    "storage",
    "unreadable_cells",
    "warn_of_further",
]

# Compared in lower case. Lower-case "none" stays a value: surveys write it for "zero of them".
MISSING_MARKERS = frozenset({"", ".", "?", "-", "na", "n/a", "nan", "null", "<na>"})
MISSING_MARKERS |= {"--", "---", "\u2013", "\u2014", "\\n", "(null)", "#n/a", "#nv", "n.a.", "n.d."}
MISSING_MARKERS |= {"#div/0!", "#value!", "#ref!", "#num!", "#name?", "#null!"}
EXAMPLE = pd.Timestamp(2024, 1, 31, 12)
SHORT_FLOATS = (np.float16, np.float32)
BOOLEAN_TEXTS = {"true": "1", "false": "0"}
# Where some of its cells are none, a column of numbers or dates must have many values: codes of
# which some are digits are categories.
MANY_VALUES = 10
# Of fewer cells none may be unreadable: a wrong cell cannot be told from a wrong column.
FEW_CELLS = 10
QUOTES = "'"
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


def infer_kind(cells: pd.Series, spelling: Spelling = PLAIN) -> str:
    """Kind of a column: as stored, or what nearly all its texts can be read as."""
    stored = storage(cells)
    if stored != "text":
        return stored
    texts, counts = counted_texts(cells, spelling)
    if not len(texts):
        return "category"
    if are_codes(texts, counts):
        return "category"
    numbers = ~np.isnan(spelling.numbers(texts))
    if numbers.all():
        return "number"
    dates = ~np.isnat(parse_dates(texts, spelling.date_format))
    for readable, kind in ((dates, "datetime"), (numbers, "number")):
        nearly = counts[readable].sum() >= READABLE * counts.sum()
        if readable.all() or (nearly and readable.sum() >= MANY_VALUES):
            return kind
    return "category"


def infer_spelling_of(
    cells: pd.Series, missing_values: tuple = (), date_format: str | None = None
) -> Spelling:
    """Find how the numbers or dates of a column of texts are written."""
    spelling = Spelling(missing_values=missing_values, factors=())
    if storage(cells) not in ("text", "category"):
        return spelling
    texts, counts = counted_texts(cells, spelling)
    if not len(texts):
        return spelling
    if not np.isnan(spelling.numbers(texts)).any() and not points_for_thousands(texts):
        return spelling
    decimal, unit = infer_spelling(texts, counts)
    if unit and len(np.unique(parse_numbers(texts, decimal, unit))) < MANY_VALUES:
        unit = ""  # a few values like 5G are names
    unit, factors = infer_factors(texts, counts, decimal, unit)
    warn_of_factors(cells.name, texts, counts, decimal, unit, factors)
    if date_format is None:
        date_format = infer_date_format(texts, counts)
        n_dates, n_iso = ((~np.isnat(parse_dates(texts, f))).sum() for f in (date_format, ""))
        date_format = iso_format(texts) if n_iso == n_dates else date_format
    return Spelling(decimal, unit, date_format, missing_values, factors)


def plain_values(given: Any) -> tuple:
    """Return one value or several as a tuple of plain numbers and texts."""
    several = [given] if isinstance(given, str) or np.isscalar(given) else list(given)
    return tuple(value.item() if isinstance(value, np.generic) else value for value in several)


def read_cells(
    cells: pd.Series, kind: str, spelling: Spelling = PLAIN, max_unreadable: float = 0.0
) -> np.ndarray:
    """Read one column as cells of ``kind``, with missing markers as missing.

    Parameters
    ----------
    cells : Series of shape (row,)
        The column.
    kind : str
        ``"number"``, ``"boolean"``, ``"datetime"`` or ``"category"``.
    spelling : Spelling, optional
        How its texts are written.
    max_unreadable : float, default=0.0
        Share of the cells that may be unreadable, where there are at least 10; they count as
        missing, and a warning tells how many they are.

    Returns
    -------
    plain : array of shape (row,)
        float64 with NaN for numbers and booleans (0 and 1), object with stripped str and None
        for categories, datetime64[ns] in UTC with NaT for datetimes.

    Raises
    ------
    ValueError
        If more cells cannot be read, naming the column, the value and the row.
    """
    plain, unreadable, wanted = _read(cells, kind, spelling)
    if unreadable.any():
        _forgive(unreadable, cells, wanted, max_unreadable, spelling.date_format)
    numbers = [value for value in spelling.missing_values if not isinstance(value, str)]
    if numbers and kind == "number":
        plain = np.where(np.isin(plain, numbers), np.nan, plain)
    return plain


def unreadable_cells(cells: pd.Series, kind: str, spelling: Spelling = PLAIN) -> np.ndarray:
    """Whether each cell of a column is neither missing nor of its kind, bool of shape (row,)."""
    if kind == "category":  # anything is one
        return np.zeros(len(cells), dtype=bool)
    return _read(cells, kind, spelling)[1]


def _read(cells: pd.Series, kind: str, spelling: Spelling) -> tuple[np.ndarray, np.ndarray, str]:
    """Cells of a kind, missing where they are or cannot be read, which cannot, and what can."""
    storage(cells)  # refuses what no kind can read
    readers = {"number": _numbers, "boolean": _booleans, "datetime": _datetimes}
    readable = np.zeros(len(cells), dtype=bool)
    if kind not in readers:
        codes, texts = distinct_texts(cells)
        return _without(texts, spelling.missing_values)[codes], readable, "text"
    plain, wanted = readers[kind](cells, spelling)
    missing = pd.isna(plain)
    unreadable = missing & ~_is_missing(cells, spelling) if missing.any() else readable
    return plain, unreadable, wanted


def counted_texts(cells: pd.Series, spelling: Spelling) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct texts of a column but the missing ones, and how many cells have each."""
    codes, texts = distinct_texts(cells)
    counts = np.bincount(codes + (codes < 0) * len(texts), minlength=len(texts))
    present = ~pd.isna(_without(texts, spelling.missing_values))
    return texts[present], counts[present]


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


def _numbers(cells: pd.Series, spelling: Spelling) -> tuple[np.ndarray, str]:
    stored = storage(cells)
    typed = cells.astype("boolean") if stored == "boolean" else cells
    if stored in ("number", "boolean") and typed.dtype != object:
        values = typed.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        codes, texts = distinct_texts(cells)
        values = spelling.numbers(texts)[codes]
        if spelling.decimal == ",":  # among texts, numbers have a point
            plain = np.array([isinstance(value, int | float) for value in cells], dtype=bool)
            values[plain] = cells[plain].astype(float)
    if (values == np.inf).any() or (values == -np.inf).any():
        values = np.where(np.isinf(values), np.nan, values)
    return values, "numbers"


def _booleans(cells: pd.Series, spelling: Spelling) -> tuple[np.ndarray, str]:
    if storage(cells) in ("number", "boolean"):
        values = _numbers(cells, spelling)[0]
    else:
        codes, texts = distinct_texts(cells)
        lower = pd.Series(texts, dtype=object).str.lower().replace(BOOLEAN_TEXTS)
        values = parse_numbers(lower.to_numpy())[codes]
    return np.where(np.isin(values, [0, 1]), values, np.nan), "true or false"


def _datetimes(cells: pd.Series, spelling: Spelling) -> tuple[np.ndarray, str]:
    wanted = f"dates like {EXAMPLE.strftime(spelling.date_format or '%Y-%m-%d %H:%M:%S')}"
    if storage(cells) == "datetime":
        return nanoseconds(pd.to_datetime(cells, utc=True)), wanted
    codes, texts = distinct_texts(cells)
    return parse_dates(texts, spelling.date_format)[codes], wanted


def _without(texts: np.ndarray, missing_values: tuple) -> np.ndarray:
    """Texts, None for those that stand for a missing cell."""
    if not missing_values:
        return texts
    names = [str(value) for value in missing_values]
    kept = texts.copy()
    kept[np.isin(texts.astype(str), names)] = None
    return kept


def _is_missing(cells: pd.Series, spelling: Spelling) -> np.ndarray:
    """Whether each cell is missing as it is written, bool of shape (row,)."""
    missing = cells.isna().to_numpy()
    if storage(cells) in ("text", "category"):
        codes, texts = distinct_texts(cells)
        return missing | pd.isna(_without(texts, spelling.missing_values))[codes]
    return missing


def _forgive(
    unreadable: np.ndarray, cells: pd.Series, wanted: str, most: float, date_format: str
) -> None:
    """Warn of unreadable cells, or raise for the first if they are too many."""
    n, at = int(unreadable.sum()), unreadable.argmax()
    name, value, row = shown(cells.name), shown(cells.iloc[at]), shown(cells.index[at])
    if "inf" in value.lower() and wanted == "numbers":
        wanted, value = "finite numbers", f"{value.strip(QUOTES)} (infinity)"
    texts = distinct_texts(cells[unreadable])[1][:-1]
    other = order_that_reads(texts, date_format)
    order = f"train with date_format={other!r}, or on timestamps, if that is the order"
    if n > (math.ceil(most * len(cells)) if len(cells) >= FEW_CELLS else 0):
        further = f", and {n - 1} more of {len(cells)} cells cannot be read" if n > 1 else ""
        format_too = " or, of dates, date_format" if wanted.startswith("dates") else ""
        advice = (
            "name what stands for missing in missing_values, or another kind in kinds" + format_too
        )
        raise ValueError(
            f"need {wanted} in column {name}; got {value} in row {row}{further}: "
            f"{order if other else advice}."
        )
    examples = ", ".join(map(shown, pd.unique(cells[unreadable].astype(object))[:3]))
    warnings.warn(
        f"{n} of {len(cells)} cells of column {name} are no {wanted.split(' like')[0]} and count "
        f"as missing, such as {examples}, first in row {row}{': ' + order if other else ''}.",
        UserWarning,
        stacklevel=4,
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
