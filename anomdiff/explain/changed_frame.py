"""Repaired frames: which columns may change, their new cells, and which rows stay flagged."""

import warnings
from collections.abc import Hashable, Iterable

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool
from pandas.api import types
from torch import Tensor

__all__ = ["holds_whole_numbers", "mutable_columns", "warn_of_rest", "write_cells"]

# Row labels that a warning names.
NAMED = 10


def mutable_columns(
    kind: str,
    names: list,
    judged: list,
    most: int | None,
    immutable: str | Iterable[Hashable],
) -> Bool[Tensor, "column"]:
    """Tell the judged columns that may change; ``kind`` is what errors call a column.

    Raises
    ------
    ValueError
        If ``most`` is below 1, or ``immutable`` names an unknown column or all judged ones.
    """
    if most is not None and most < 1:
        raise ValueError(f"need max_{kind}s of at least 1, or None; got {most}.")
    fixed = {immutable} if isinstance(immutable, str) else set(immutable)
    if unknown := sorted(fixed.difference(names), key=str):
        raise ValueError(f"need immutable {kind}s among {names}; got {unknown}.")
    mutable = torch.tensor([name not in fixed for name in judged])
    if not mutable.any():
        raise ValueError(f"need a {kind} that may change among {judged}; got all as immutable.")
    return mutable


def holds_whole_numbers(dtype: np.dtype | pd.api.extensions.ExtensionDtype) -> bool:
    """Tell whether numbers have to be rounded to go into a column of a dtype."""
    return types.is_numeric_dtype(dtype) and not types.is_float_dtype(dtype)


def write_cells(frame: pd.DataFrame, name: Hashable, places: np.ndarray, new: pd.Series) -> None:
    """Put new cells into a column of ``frame``, in its old dtype if that holds them."""
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


def warn_of_rest(kind: str, before: int, rest: list) -> None:
    """Warn the caller of ``repair`` of the rows of ``before`` that are still anomalies, if any."""
    if rest:
        labels = f"{rest[:NAMED]}{' and more' if len(rest) > NAMED else ''}"
        warnings.warn(
            f"{len(rest)} rows stay above the threshold, of {before} before, as near to it as "
            f"these {kind}s allow: rows {labels}.",
            UserWarning,
            stacklevel=4,
        )


def _widened(dtype, new: pd.Series):
    """Return a dtype, or the categories that also hold the new cells."""
    if not isinstance(dtype, pd.CategoricalDtype):
        return dtype
    unknown = pd.Index(new.dropna().unique()).difference(dtype.categories)
    return pd.CategoricalDtype(dtype.categories.append(unknown), dtype.ordered)
