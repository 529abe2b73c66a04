"""Rows of a series that share their time: refused, or one step of them."""

from typing import NamedTuple

import numpy as np

__all__ = ["DUPLICATE_TIMES", "MOST_REPEATED", "OrderedRows", "one_per_time"]

# What may become of rows that share their time.
DUPLICATE_TIMES = ("warn", "error", "first", "last", "mean")
# Share of the rows that may repeat the time of another with a warning.
MOST_REPEATED = 0.05


class OrderedRows(NamedTuple):
    """Rows of one series, in the order of their time."""

    rows: np.ndarray  # places in the frame, (step,)
    times: np.ndarray  # (step,)
    values: np.ndarray  # (step, channel), NaN where missing


def one_per_time(ordered: OrderedRows, how: str) -> OrderedRows:
    """Keep one row of each time.

    Parameters
    ----------
    ordered : OrderedRows
        Times ascend; rows of one time are in the order of the frame.
    how : {"first", "last", "mean"}
        Which row stays; of ``"mean"``, the first, with the mean of what each channel has.

    Returns
    -------
    distinct : OrderedRows
        Times that strictly ascend.
    """
    starts = np.flatnonzero(np.append(True, np.diff(ordered.times) > 0))
    if how == "last":
        kept = np.append(starts[1:], len(ordered.times)) - 1
        return OrderedRows(*(each[kept] for each in ordered))
    rows, times, values = (each[starts] for each in ordered)
    if how == "mean":
        present = ~np.isnan(ordered.values)
        counts = np.add.reduceat(present.astype(int), starts)
        totals = np.add.reduceat(np.where(present, ordered.values, 0.0), starts)
        values = np.where(counts > 0, totals / np.maximum(counts, 1), np.nan)
    return OrderedRows(rows, times, values)
