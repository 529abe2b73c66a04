"""Numbers that stand for a missing cell, such as -999."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["likely_sentinels", "warn_of_sentinels"]

MIN_REPEATS = 3
MOST_PER_END = 3
# How far sentinels lie from all other numbers, in their range: those that look like one (negative
# where no other is, or nines), and any.
LIKELY_GAP, MIN_GAP = 0.5, 2.0
# The others, where nothing but the distance tells a sentinel: fewer are flags and grades.
FEWEST, MANY = 3, 10


def likely_sentinels(cells: np.ndarray) -> list[float]:
    """Numbers that repeat far outside all others, at most three above and three below.

    Parameters
    ----------
    cells : array of shape (row,)
        Numbers, NaN where missing.

    Examples
    --------
    >>> likely_sentinels(np.array([0.5, 3.0, -200, 2.5, -200, 1.5, -200]))
    [-200.0]
    """
    values, counts = np.unique(cells[~np.isnan(cells)], return_counts=True)
    values = values.astype(float)
    ends = [_repeated(counts), _repeated(counts[::-1])]
    pairs = [(low, high) for low in range(ends[0] + 1) for high in range(ends[1] + 1)]
    for low, high in sorted(pairs, key=sum, reverse=True):
        first, last = low, len(values) - high
        if low + high and last - first >= FEWEST and _far_outside(values, first, last):
            return [*values[:first].tolist(), *values[last:].tolist()]
    return []


def _repeated(counts: np.ndarray) -> int:
    """How many of the first values repeat, at most three."""
    often = counts[:MOST_PER_END] >= MIN_REPEATS
    return int(np.logical_and.accumulate(often).sum())


def _far_outside(values: np.ndarray, first: int, last: int) -> bool:
    """Whether all of ``values`` but those from ``first`` to ``last`` lie far from these."""
    others = values[first:last]
    outside = np.concatenate([values[:first], values[last:]])
    gaps = np.maximum(others[0] - outside, outside - others[-1]) / max(np.ptp(others), 1e-300)
    far = np.array([_gap_needed(float(value), others) for value in outside])
    return bool((gaps > far).all())


def _gap_needed(value: float, others: np.ndarray) -> float:
    """How far a number has to lie outside to be taken for a sentinel, in the range of others."""
    digits = repr(abs(value)).removesuffix(".0").replace(".", "")
    nines = set(digits) == {"9"} and len(digits) > 1
    negative = value < -1 and value % 1 == 0 and others[0] >= 0
    if nines or negative:
        return LIKELY_GAP
    return MIN_GAP if len(others) >= MANY else np.inf


def warn_of_sentinels(columns: Mapping[Any, np.ndarray]) -> None:
    """Say which columns of numbers hold a likely sentinel."""
    suspects = {name: likely_sentinels(cells) for name, cells in columns.items()}
    found = {name: values for name, values in suspects.items() if values}
    if found:
        listed = ", ".join(f"{name!r}: [{_listed(values)}]" for name, values in found.items())
        warnings.warn(
            "numbers far outside that repeat may stand for missing cells; if so set "
            f"missing_values={{{listed}}}.",
            UserWarning,
            stacklevel=6,
        )


def _listed(values: list[float]) -> str:
    """Numbers as they are set, without a fraction of zero."""
    return ", ".join(repr(value).removesuffix(".0") for value in values)
