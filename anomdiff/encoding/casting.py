"""Write plain cells back in the dtype that the column of the training frame had."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
from pandas.api import types

from anomdiff.encoding.cell_types import TEXT, dtype_of, is_dictionary, restored
from anomdiff.encoding.date_texts import parse_dates, write_dates
from anomdiff.encoding.parsing import distinct_texts
from anomdiff.encoding.schema import Column

__all__ = ["fill_missing", "holds_whole_numbers", "restore_cells", "write_cells"]


def restore_cells(plain: np.ndarray, column: Column) -> pd.Series:
    """Give plain cells of one column, as `read_cells` returns them, their dtype in training.

    Integers are rounded and kept within their dtype. Numbers and dates that came as text become
    text again, without the original padding. A dtype that pandas cannot build from its name
    (sparse, decimal) becomes the plain one.
    """
    dtype = dtype_of(column.dtype)
    if column.kind == "boolean":
        plain = np.where(np.isnan(plain), np.nan, plain > 0.5)
    if column.categories is not None:
        return _categorical(plain, column)
    if column.values is not None:
        return _one_of(plain, column.values, dtype)
    if column.held and column.kind in ("number", "datetime") and not column.held.startswith(TEXT):
        return restored(plain, column.held, dtype)
    if column.numeric_text or types.is_string_dtype(dtype) or is_dictionary(dtype):
        # pandas calls object a string dtype: numbers and booleans in it are not text
        if column.numeric_text or column.kind in ("category", "datetime"):
            return pd.Series(_texts(plain, column), dtype=dtype)
    if column.kind == "category":
        plain = _from_texts(plain, dtype)
    if plain.dtype.kind == "M":
        return _timestamps(plain, dtype)
    if types.is_bool_dtype(dtype) or (types.is_object_dtype(dtype) and column.kind == "boolean"):
        flags = pd.Series(plain > 0.5, dtype="boolean").mask(np.isnan(plain))
        return _cast(flags, dtype)
    if types.is_integer_dtype(dtype):
        stored = dtype.subtype if isinstance(dtype, pd.SparseDtype) else dtype
        plain = _round_within(plain, np.iinfo(getattr(stored, "numpy_dtype", stored)))
    return _cast(pd.Series(plain), dtype)


def fill_missing(frame: pd.DataFrame, missing: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Copy of a frame with cells written where it has none, row by row whatever the indices.

    ``missing`` and ``cells`` are of shape (row, used column).
    """
    filled = frame.copy()
    for name in frame.columns:
        if name in missing and missing[name].any():
            places = np.flatnonzero(missing[name])
            write_cells(filled, name, places, cells[name].iloc[places])
    return filled


def holds_whole_numbers(dtype: np.dtype | pd.api.extensions.ExtensionDtype) -> bool:
    """Tell whether numbers have to be rounded to go into a column of a dtype."""
    return types.is_numeric_dtype(dtype) and not types.is_float_dtype(dtype)


def write_cells(frame: pd.DataFrame, name: Hashable, places: np.ndarray, new: pd.Series) -> None:
    """Put new cells into a column of ``frame``, in its old dtype if that holds them.

    Categories that the column does not have are added.
    """
    column = frame.columns.get_loc(name)
    cells = frame.iloc[:, column]
    if holds_whole_numbers(cells.dtype) and types.is_float_dtype(new.dtype):
        new = new.round()
    mixed = cells.astype(object).to_numpy(copy=True)
    mixed[places] = new.astype(object).to_numpy()
    written = pd.Series(mixed, index=cells.index, dtype=object)
    try:
        written = written.astype(_widened(cells.dtype, new))
    except (TypeError, ValueError):  # a gap in a column of integers
        written = written.infer_objects()
    frame.isetitem(column, written)


def _widened(dtype, new: pd.Series):
    """Return a dtype, or the categories that also hold the new cells."""
    if not isinstance(dtype, pd.CategoricalDtype):
        return dtype
    unknown = [cell for cell in new.dropna().unique() if cell not in dtype.categories]
    if not unknown:
        return dtype
    return pd.CategoricalDtype([*dtype.categories, *unknown], dtype.ordered)


def _cast(cells: pd.Series, dtype) -> pd.Series:
    if types.is_object_dtype(dtype):
        cells = cells.astype(object)
        return cells.where(cells.notna(), None)
    return cells.astype(dtype)


def _round_within(plain: np.ndarray, limits: np.iinfo) -> np.ndarray:
    """Nearest integers that the dtype holds; floats next to a 64-bit limit lie outside it."""
    high = limits.max if limits.bits < 64 else limits.max - 2047
    return np.clip(np.round(plain), limits.min, high)


def _texts(plain: np.ndarray, column: Column) -> np.ndarray:
    """Cells as text, None where missing."""
    texts = np.full(len(plain), None, dtype=object)
    present = ~pd.isna(plain)
    if plain.dtype.kind == "f":
        texts[present] = [f"{value:.12g}".replace(".", column.decimal) for value in plain[present]]
    elif plain.dtype.kind == "M":
        pattern = column.date_format or "%Y-%m-%d %H:%M:%S"
        texts[present] = write_dates(plain[present], pattern, column.held.removeprefix(TEXT))
    else:
        texts[present] = plain[present]
    return texts


def _categorical(plain: np.ndarray, column: Column) -> pd.Series:
    held = dtype_of(column.held) if column.held else None
    categories = pd.Index(column.categories, dtype=held)
    if plain.dtype.kind == "M":  # one date may be written in several ways
        codes, texts = distinct_texts(pd.Series(categories))
        known = pd.Index(parse_dates(texts, column.date_format)[codes])
        first = np.flatnonzero(~known.duplicated() & known.notna())
        places = known[first].get_indexer(pd.Index(plain))
        found = [*np.append(first, -1)[places]]  # where none is, the place is -1
    else:
        found = _places(_texts(plain, column), pd.Series(categories))
    return pd.Series(pd.Categorical.from_codes(found, categories, ordered=column.ordered))


def _one_of(texts: np.ndarray, values: tuple, dtype) -> pd.Series:
    """Those of the values that the texts stand for, None for others."""
    known = pd.Series([*values], dtype=object)
    found = np.array(_places(texts, known))
    cells = pd.Series(known.reindex(found).to_numpy(), dtype=object)
    return _cast(cells, dtype)


def _places(texts: np.ndarray, values: pd.Series) -> list[int]:
    """Place of the value that each text stands for, -1 where none does."""
    codes, names = distinct_texts(values)
    places = reversed([*enumerate(names[codes])])  # the first of several counts
    at = {name: place for place, name in places if name is not None}
    return [at.get(text, -1) for text in texts]


def _from_texts(texts: np.ndarray, dtype) -> np.ndarray:
    """Cells of a column of numbers, booleans or datetimes that was read as categories."""
    if types.is_datetime64_any_dtype(dtype):
        timestamps = pd.to_datetime(pd.Series(texts, dtype=object), utc=True)
        return pd.DatetimeIndex(timestamps).tz_localize(None).as_unit("ns").to_numpy()
    texts = pd.Series(texts, dtype=object).replace({"True": "1", "False": "0"})
    return pd.to_numeric(texts).to_numpy(dtype=float)


def _timestamps(plain: np.ndarray, dtype) -> pd.Series:
    timestamps = pd.Series(pd.DatetimeIndex(plain))
    zoned = isinstance(dtype, pd.DatetimeTZDtype)
    return (timestamps.dt.tz_localize("UTC") if zoned else timestamps).astype(dtype)
