"""What per cent, thousand and million after a number count, beside numbers that have no mark."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.number_texts import parse_numbers, parse_spelled

__all__ = ["READABLE", "Factors", "infer_factors", "warn_of_factors"]

Factors = tuple[tuple[str, float], ...]

PER_CENT = {"%": 0.01, "\u2030": 0.001}
THOUSANDS = {"k": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "b": 1e9, "bn": 1e9}
# A reading of marks is clear if it brings both groups closer, by this factor in logarithms.
CLEAR = 2.0
# Abbreviated numbers begin where the others end: the gap is this factor at most.
MAX_GAP = 3.0
# A column of texts is one of numbers or dates if so many of its cells are.
READABLE = 0.95


def infer_factors(
    texts: np.ndarray, counts: np.ndarray, decimal: str, unit: str
) -> tuple[str, Factors]:
    """Return the unit of a column, and what the marks after its numbers multiply them by.

    ``%`` is a factor of 0.01 and ``K`` one of 1,000 only beside numbers without a mark, if these
    are then of the same size. Where neither reading is clear, cells with a mark are unreadable.

    Parameters
    ----------
    texts : object array of shape (text,)
        Distinct texts, none of them missing.
    counts : int array of shape (text,)
        How many cells have each.
    decimal, unit : str
        As found by ``infer_spelling``.

    Examples
    --------
    >>> texts = np.array(["3.2K", "602", "1.4K", "745"], dtype=object)
    >>> infer_factors(texts, np.ones(4, dtype=int), ".", "k")
    ('', (('k', 1000.0),))
    """
    numbers, units = parse_spelled(pd.Series(texts, dtype=str), decimal)
    numbers = np.abs(np.where(numbers == 0, np.nan, numbers))  # zero is of any size
    by_unit = pd.Series(counts).groupby(units).sum()
    marks = [mark for mark in by_unit.index if mark in (THOUSANDS if unit in THOUSANDS else [unit])]
    per_cent = [mark for mark in by_unit.index if mark in PER_CENT]
    if by_unit[per_cent].sum() > by_unit[[mark for mark in marks if mark]].sum():
        return "", _factors(numbers, units, PER_CENT, per_cent)
    if unit not in THOUSANDS:
        return unit, ()
    factors = _factors(numbers, units, THOUSANDS, marks)
    return (unit, ()) if factors == ((unit, 1.0),) else ("", factors)


def warn_of_factors(
    name: Any, texts: np.ndarray, counts: np.ndarray, decimal: str, unit: str, factors: Factors
) -> None:
    """Say how marks are read that stand after some numbers of a column only."""
    known = (*factors, (unit, 1.0)) if unit in THOUSANDS else factors
    read = ~np.isnan(parse_numbers(texts, decimal, unit, factors))
    _, units = parse_spelled(pd.Series(texts, dtype=str), decimal)
    marked = np.isin(units, [mark for mark, _ in known])
    bare = np.flatnonzero(read & (units == ""))
    if not known or not marked.any() or not len(bare):
        return
    if counts[read].sum() < READABLE * counts.sum():
        return
    listed = " and ".join(f"{mark!r} multiplies it by {factor:g}" for mark, factor in known)
    examples = f"{texts[marked.argmax()]!r} beside {texts[bare[0]]!r}"
    warnings.warn(
        f"column {name!r} has numbers with and without a mark, such as {examples}: after a "
        f"number {listed}; if that is wrong, write all its numbers in one unit.",
        UserWarning,
        stacklevel=6,
    )


def _factors(
    numbers: np.ndarray, units: np.ndarray, nominal: dict[str, float], marks: list[str]
) -> Factors:
    """Factors of marks as their names say, or 1, or none where that is not clear."""
    named = tuple((mark, nominal[mark]) for mark in marks)
    plain = tuple((mark, 1.0) for mark in marks)
    bare = numbers[(units == "") & ~np.isnan(numbers)]
    if len(marks) > 1:
        return named
    if not len(bare):
        return plain
    marked = numbers[np.isin(units, marks) & ~np.isnan(numbers)]
    if not len(marked):
        return ()
    factor = nominal[marks[0]]
    adjoin = nominal is THOUSANDS and bare.max() < factor <= factor * marked.min()
    if adjoin and factor * marked.min() <= MAX_GAP * bare.max():
        return named
    shift = np.median(np.log(marked)) - np.median(np.log(bare))
    as_plain, as_named = abs(shift), abs(shift + np.log(factor))
    if CLEAR * as_named < as_plain:
        return named
    return plain if CLEAR * as_plain < as_named else ()
