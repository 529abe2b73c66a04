"""What is said of columns of dates, or of texts that look like dates, in training rows."""

import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.columns import Column
from anomdiff.encoding.date_formats import infer_date_format, look_like_dates, other_date_format
from anomdiff.encoding.date_texts import parse_dates
from anomdiff.encoding.parsing import MANY_VALUES, shown

__all__ = ["warn_of_dates"]


def warn_of_dates(
    columns: Iterable[Column],
    read: Mapping[Any, tuple[Column, np.ndarray | None]],
    kinds: Collection,
    date_format: str | None,
) -> None:
    """Say which dates may be meant in another order, and which texts may be dates.

    Parameters
    ----------
    columns : iterable of Column
        As they are used.
    read : mapping from name to (column, cells)
        What each column is by itself, and its read cells.
    kinds, date_format
        As for ``Schema.infer``.
    """
    present = {name: cells for name, (_, cells) in read.items() if cells is not None}
    orders = {}
    for column in columns if date_format is None else ():
        if column.kind == "datetime" and column.name in present:
            orders[column.name] = other_date_format(present[column.name], column.date_format)
    if unsure := [column for column in columns if orders.get(column.name)]:
        used = {column.name: column.date_format for column in unsure}
        warnings.warn(
            f"the dates of columns {[*used]} can be read in several orders of day, month and year, "
            f"and nothing in the training rows tells which is meant; they are read by {used}: set "
            f"date_format, such as {orders[unsure[0].name]!r}, if that is wrong.",
            UserWarning,
            stacklevel=5,
        )
    texts = {name: pd.unique(cells) for name, cells in present.items() if cells.dtype == object}
    if likely := [n for n, found in texts.items() if n not in kinds and _may_be_dates(found)]:
        warnings.warn(
            f"columns {likely} look like dates and are read as texts, because no known format "
            f"reads cells such as {_unread(texts[likely[0]])}: set date_format, or convert them "
            "to timestamps.",
            UserWarning,
            stacklevel=5,
        )


def _may_be_dates(texts: np.ndarray) -> bool:
    present = texts[~pd.isna(texts)]
    return len(present) >= MANY_VALUES and look_like_dates(present)


def _unread(texts: np.ndarray) -> str:
    """Show a text that is read by no format, not even by the one that reads most."""
    present = texts[~pd.isna(texts)]
    found = infer_date_format(present, np.ones(len(present), dtype=int))
    unread = present[np.isnat(parse_dates(present, found))]
    return shown((unread if len(unread) else present)[0])
