"""Which columns of training cannot be channels, because they are no numbers."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.parsing import shown, storage

__all__ = ["require_numbers"]


def require_numbers(
    frame: pd.DataFrame, channels: Sequence, read: Callable[[pd.Series, Any], np.ndarray]
) -> None:
    """Refuse columns of text, dates or categories that ``read`` finds no numbers in, all at once.

    Raises
    ------
    ValueError
        Naming the columns, and the parameter that leaves them out.
    """
    refused = [name for name in channels if not _is_readable(frame[name], name, read)]
    if not refused:
        return
    cells = frame[refused[0]].dropna()
    dates = [name for name in refused if storage(frame[name]) == "datetime"]
    if dates:
        raise ValueError(
            f"need numbers in the channels; got dates in the columns {dates}: set "
            f"time={dates[0]!r} if it is the time of steps, or drop={refused} to leave them out."
        )
    raise ValueError(
        f"need numbers in the channels; got others in the columns {refused}, such as "
        f"{shown(cells.iloc[0])} in column {shown(refused[0])}, row {shown(cells.index[0])}: set "
        f"drop={refused} to leave them out, or missing_values to what stands for a missing number."
    )


def _is_readable(cells: pd.Series, name: Any, read: Callable) -> bool:
    """Whether a column is one of numbers, as it is stored or as its texts are read."""
    if storage(cells) in ("number", "boolean"):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is read is read again, with its warnings
        try:
            read(cells, name)
        except ValueError:
            return False
    return True
