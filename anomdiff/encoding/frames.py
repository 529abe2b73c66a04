"""Tables of other libraries (Polars, Arrow, DuckDB, ...) as pandas frames, in one place."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

__all__ = ["as_pandas"]


def as_pandas(X: Any) -> Any:
    """Return a table of another library as a pandas frame; anything else comes back as it is.

    Parameters
    ----------
    X : object
        Whatever gives an Arrow stream (tables of pyarrow and Polars, DuckDB results), or has
        the older ``__dataframe__`` of the interchange protocol; a masked array of NumPy; or a
        pandas frame, an array, a list, which are not touched.

    Returns
    -------
    frame : DataFrame, Series or object
        A frame, with numbered rows; a Series where ``X`` is a single column; an array where it
        is masked, whose masked cells are missing.

    Raises
    ------
    TypeError
        If ``X`` is a query that has not been run.

    Examples
    --------
    >>> as_pandas(pa.table({"size": [1, 3], "sold": [True, False]}))
       size   sold
    0     1   True
    1     3  False
    """
    if isinstance(X, pd.DataFrame | pd.Series):
        return X
    if isinstance(X, np.ma.MaskedArray):
        return _unmasked(X)
    if isinstance(X, type) or not hasattr(X, "__arrow_c_stream__"):
        if hasattr(X, "__dataframe__"):
            return _interchanged(X)
        if type(X).__name__ == "LazyFrame":
            raise TypeError("need rows, not a query; got a LazyFrame: call its collect().")
        return X
    try:
        return pa.table(X).to_pandas()
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, TypeError):
        column = X if isinstance(X, pa.ChunkedArray) else pa.chunked_array(X)
    return pd.Series(column.to_pandas(), name=getattr(X, "name", None))


def _unmasked(X: np.ma.MaskedArray) -> np.ndarray:
    """Array of which the masked cells are missing, whatever numbers lie under the mask."""
    mask, cells = np.ma.getmaskarray(X), np.asarray(X.data)
    if not mask.any():
        return cells
    missing = {"f": np.nan, "m": np.timedelta64("NaT"), "M": np.datetime64("NaT")}
    if cells.dtype.kind in "biu":
        cells = cells.astype(float)
    elif cells.dtype.kind not in missing:
        return np.where(mask, np.array(None, dtype=object), cells.astype(object))
    return np.where(mask, np.asarray(missing.get(cells.dtype.kind), dtype=cells.dtype), cells)


def _interchanged(X: Any) -> pd.DataFrame:
    """Frame of the interchange protocol, which pandas means to drop in favour of Arrow's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return pd.api.interchange.from_dataframe(X)
