"""Write plain cells back in the dtype that the column of the training frame had."""

import numpy as np
import pandas as pd
from pandas.api import types

from anomdiff.encoding.parsing import distinct_texts
from anomdiff.encoding.schema import Column

__all__ = ["fill_missing", "restore_cells"]


def restore_cells(plain: np.ndarray, column: Column) -> pd.Series:
    """Give plain cells of one column the dtype of the training frame.

    Parameters
    ----------
    plain : array of shape (row,)
        Cells as `read_cells` returns them.
    column : Column
        Where they come from.

    Returns
    -------
    cells : Series
        Integers rounded and kept within their dtype, missing cells as the dtype has them.
        Numbers and dates that came as text become text again, without the original padding.
        A dtype that pandas cannot build from its name (sparse, decimal) becomes the plain one.
    """
    dtype = _dtype(column.dtype)
    if column.kind == "boolean":
        plain = np.where(np.isnan(plain), np.nan, plain > 0.5)
    if column.categories is not None:
        return _categorical(_texts(plain, column.date_format), column)
    if column.numeric_text or types.is_string_dtype(dtype):
        # pandas calls object a string dtype: numbers and booleans in it are not text
        if column.numeric_text or column.kind in ("category", "datetime"):
            return pd.Series(_texts(plain, column.date_format), dtype=dtype)
    if column.kind == "category":
        plain = _from_texts(plain, dtype)
    if plain.dtype.kind == "M":
        return _timestamps(plain, dtype)
    if types.is_bool_dtype(dtype) or (types.is_object_dtype(dtype) and column.kind == "boolean"):
        flags = pd.Series(plain > 0.5, dtype="boolean").mask(np.isnan(plain))
        return _cast(flags, dtype)
    if types.is_integer_dtype(dtype):
        plain = _round_within(plain, np.iinfo(getattr(dtype, "numpy_dtype", dtype)))
    return _cast(pd.Series(plain), dtype)


def fill_missing(frame: pd.DataFrame, missing: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Write cells into a frame where it has none.

    Parameters
    ----------
    frame : DataFrame of shape (row, column)
        Rows; not changed.
    missing : DataFrame of bool, of shape (row, used column)
        Where to write.
    cells : DataFrame of shape (row, used column)
        What to write there, row by row whatever the indices.

    Returns
    -------
    filled : DataFrame
        A copy in the dtypes of ``frame``; categories that it does not have are added.
    """
    filled = frame.copy()
    for place, name in enumerate(frame.columns):
        if name in missing and missing[name].any():
            merged = _merged(frame[name], missing[name].to_numpy(), cells[name])
            filled.isetitem(place, merged)
    return filled


def _merged(cells: pd.Series, missing: np.ndarray, new: pd.Series) -> pd.Series:
    """Cells with new ones where they are missing, in their dtype."""
    dtype, unlike = cells.dtype, new.astype(object).to_numpy()
    if isinstance(dtype, pd.CategoricalDtype):
        added = pd.Index(pd.unique(unlike[missing])).dropna().difference(dtype.categories)
        dtype = pd.CategoricalDtype(dtype.categories.append(added), dtype.ordered)
    merged = np.where(missing, unlike, cells.astype(object).to_numpy())
    return pd.Series(merged, index=cells.index, dtype=object).astype(dtype)


def _dtype(name: str):
    if name in ("string[pyarrow]", "large_string[pyarrow]"):  # pandas reads the first as its own
        import pyarrow

        return pd.ArrowDtype(getattr(pyarrow, name.removesuffix("[pyarrow]"))())
    try:
        dtype = types.pandas_dtype(name)
    except (TypeError, ValueError, NotImplementedError):
        return np.dtype(object)
    return np.dtype(object) if dtype.kind == "U" and isinstance(dtype, np.dtype) else dtype


def _cast(cells: pd.Series, dtype) -> pd.Series:
    if types.is_object_dtype(dtype):
        cells = cells.astype(object)
        return cells.where(cells.notna(), None)
    return cells.astype(dtype)


def _round_within(plain: np.ndarray, limits: np.iinfo) -> np.ndarray:
    """Nearest integers that the dtype holds; floats next to a 64-bit limit lie outside it."""
    high = limits.max if limits.bits < 64 else limits.max - 2047
    return np.clip(np.round(plain), limits.min, high)


def _texts(plain: np.ndarray, date_format: str = "") -> np.ndarray:
    """Cells as text, None where missing."""
    texts = np.full(len(plain), None, dtype=object)
    present = ~pd.isna(plain)
    if plain.dtype.kind == "f":
        texts[present] = [f"{value:.12g}" for value in plain[present]]
    elif plain.dtype.kind == "M":
        pattern = date_format or "%Y-%m-%d %H:%M:%S"
        texts[present] = pd.DatetimeIndex(plain[present]).strftime(pattern)
    else:
        texts[present] = plain[present]
    return texts


def _categorical(texts: np.ndarray, column: Column) -> pd.Series:
    categories = pd.Index(column.categories)
    codes, names = distinct_texts(pd.Series(categories))
    at = {name: i for i, name in enumerate(names[codes]) if name is not None}
    found = [at.get(text, -1) for text in texts]
    return pd.Series(pd.Categorical.from_codes(found, categories, ordered=column.ordered))


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
