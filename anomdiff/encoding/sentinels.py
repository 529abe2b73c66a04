"""Numbers that stand for a missing cell, such as -999."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["likely_sentinel", "warn_of_sentinels"]

MIN_REPEATS = 3
# How far a sentinel lies from all other numbers, in their range.
MIN_GAP = 0.5


def likely_sentinel(cells: np.ndarray) -> float | None:
    """Whole number that repeats far outside all others: negative where they are not, or nines.

    Parameters
    ----------
    cells : array of shape (row,)
        Numbers, NaN where missing.

    Examples
    --------
    >>> likely_sentinel(np.array([0.5, 3.0, -200, 2.5, -200, 1.5, -200]))
    -200.0
    """
    values, counts = np.unique(cells[~np.isnan(cells)], return_counts=True)
    if len(values) < 4:  # flags and grades
        return None
    for end, next_to, others in ((0, 1, values[1:]), (-1, -2, values[:-1])):
        value = float(values[end])
        gap, spread = abs(value - values[next_to]), others.max() - others.min()
        digits = f"{abs(value):.0f}"
        unlike = (value < -1 and others.min() >= 0) or (set(digits) == {"9"} and len(digits) > 1)
        if counts[end] >= MIN_REPEATS and value % 1 == 0 and unlike and gap > MIN_GAP * spread:
            return value
    return None


def warn_of_sentinels(columns: Mapping[Any, np.ndarray]) -> None:
    """Say which columns of numbers hold a likely sentinel."""
    suspects = {name: likely_sentinel(cells) for name, cells in columns.items()}
    found = {name: value for name, value in suspects.items() if value is not None}
    if found:
        listed = ", ".join(f"{name!r}: [{value:g}]" for name, value in found.items())
        warnings.warn(
            "numbers far outside that repeat may stand for missing cells; if so set "
            f"missing_values={{{listed}}}.",
            UserWarning,
            stacklevel=6,
        )
