"""The order of training rows in time, and the columns that advance with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import chi2_contingency, ks_2samp

__all__ = ["RowOrder", "find_order"]

# The last rows are compared with those before, and those in the middle with those before them.
LAST, MIDDLE, FIRST = 0.8, 0.6, 0.4
# A column advances if so many of the later cells are beyond all earlier ones, or texts never seen.
ADVANCING_SHARE = 0.5
MIN_ROWS = 50
# Texts that keep coming must be so many in each fifth where nothing else tells an order.
MIN_NEW_TEXTS = 10
# A sorted column whose last fifth spans so many times what its middle does was sorted on purpose.
UNEVEN = 3.0
# Dates without a time of day over so many days are those of birth or purchase, not of the row.
DAY = 86_400_000_000_000
LONG_SPAN = 3650 * DAY
# Few dates that come again and again are like categories: later ones count as the last of them.
ROWS_PER_DATE = 10
# What labels of times have: digits where dates tell the order, else a year.
DIGIT, YEAR = r"\d", r"(?:19|20)\d\d"
# Groups of rows looked at one by one.
MOST_GROUPS = 100
# So many values may come one after the other by chance: a flag, a change of version.
FEW_VALUES = 2
# Categories compared one by one; all others count together.
N_FREQUENT = 10
# Two parts disagree if their distribution functions are so far apart, and chance is unlikely.
MIN_DISTANCE, LEVEL, UNORDERED_LEVEL = 0.05, 1e-3, 1e-8


@dataclass(frozen=True)
class RowOrder:
    """What is known about the order of rows in time.

    Attributes
    ----------
    places : ndarray of shape (row,) or None
        Row numbers, the earliest first; None where nothing tells an order.
    advancing : frozenset
        Columns whose later cells are beyond the earlier ones.
    novelty : dict from column to float
        Share of the last fifth's texts that are new, by column.
    disagreeing : tuple
        Columns whose distribution in the last fifth is not that of the rows before.
    """

    places: np.ndarray | None = None
    advancing: frozenset = frozenset()
    novelty: dict = field(default_factory=dict)
    disagreeing: tuple = ()


def find_order(columns: Mapping[Any, np.ndarray]) -> RowOrder:
    """Find the order of rows and the columns that advance with it.

    The order is that of the file if some column of numbers or dates advances through it, else
    that of the first column of dates; without either it is that of the file if a column has
    clearly drifted and no column is sorted.

    Parameters
    ----------
    columns : mapping from name to array of shape (row,)
        Read cells: float64 for numbers, datetime64 for dates, object for texts.

    Returns
    -------
    order : RowOrder
    """
    n = len(next(iter(columns.values()), ()))
    numeric = {name: _as_floats(cells) for name, cells in columns.items() if cells.dtype != object}
    texts = {name: pd.factorize(cells)[0] for name, cells in columns.items() if name not in numeric}
    dates = [name for name, cells in columns.items() if cells.dtype.kind == "M"]
    if n < MIN_ROWS:
        return RowOrder()
    places, advancing = _time_order(numeric, dates)
    novelty = {name: _new_share(codes, places) for name, codes in texts.items()}
    if places is None:
        advancing = {
            name
            for name, share in novelty.items()
            if share > ADVANCING_SHARE and _keep_coming(texts[name])
        }
        advancing |= {name for name, c in texts.items() if _in_turns(c, columns[name], YEAR)}
        if not _is_sorted(numeric, novelty):
            drifted = _disagreeing(numeric, np.arange(n), UNORDERED_LEVEL)
            places = np.arange(n) if drifted else None
    else:
        advancing |= {name for name, share in novelty.items() if share > ADVANCING_SHARE}
        advancing |= {name for name, c in numeric.items() if _rises(c[places])}
        advancing |= {
            name for name, c in texts.items() if _in_turns(c[places], columns[name], DIGIT)
        }
    if places is None:
        return RowOrder(advancing=frozenset(advancing))
    stay = {name: c for name, c in (numeric | texts).items() if name not in advancing}
    disagreeing = _disagreeing(stay, places, LEVEL)
    by_group = {
        name
        for name in disagreeing
        for codes in (texts.values() if name in numeric else ())
        if _advances_within(numeric[name][places], codes[places])
    }
    disagreeing = tuple(name for name in disagreeing if name not in by_group)
    return RowOrder(places, frozenset(advancing | by_group), novelty, disagreeing)


def _time_order(
    numeric: Mapping[Any, np.ndarray], dates: list
) -> tuple[np.ndarray | None, set[Any]]:
    """Row numbers in the order of time, None if nothing tells it, and what advances in it."""
    n = len(next(iter(numeric.values()), ()))
    advancing = {name for name, cells in numeric.items() if _advances(cells, name in dates)}
    if advancing:
        return np.arange(n), advancing
    events = [name for name in dates if not _is_attribute(numeric[name])]
    if not events:
        return None, set()
    places = np.argsort(numeric[events[0]], kind="stable")
    moved = {name for name, cells in numeric.items() if _advances(cells[places], name in dates)}
    return places, moved | {events[0]}


def _rises(ordered: np.ndarray) -> bool:
    """Whether numbers never step back, like years and weeks; flags that were switched on do not."""
    present = ordered[~np.isnan(ordered)]
    steps = np.diff(present)
    one_way = (steps >= 0).all() or (steps <= 0).all()
    return bool(one_way and len(np.unique(present)) > FEW_VALUES)


def _in_turns(ordered: np.ndarray, cells: np.ndarray, pattern: str) -> bool:
    """Whether texts come one after the other and never again, like months; codes as ordered.

    Of texts with the pattern two are enough; if it is that of a year all must have it.
    """
    present = ordered[ordered >= 0]
    turns, distinct = int((np.diff(present) != 0).sum()) + 1, len(np.unique(present))
    if turns != distinct:
        return False
    names = pd.Series(pd.unique(cells), dtype=object).dropna()
    alike = names.str.contains(pattern).mean() > ADVANCING_SHARE
    return distinct > 1 if alike else (pattern == DIGIT and distinct > FEW_VALUES)


def _as_floats(cells: np.ndarray) -> np.ndarray:
    """Numbers, and dates in nanoseconds; NaN where missing."""
    if cells.dtype.kind != "M":
        return cells.astype(float)
    stamps = cells.astype("datetime64[ns]")
    return np.where(np.isnat(stamps), np.nan, stamps.view(np.int64).astype(float))


def _advances(cells: np.ndarray, is_date: bool) -> bool:
    """Whether cells, in their order, are beyond all earlier ones, at the end and in the middle.

    Dates that never step back do too, however few they are.
    """
    present = cells[~np.isnan(cells)]
    n = len(present)
    if n < MIN_ROWS:
        return False
    if is_date and (np.diff(present) >= 0).all() and present[0] < present[-1]:
        return True
    last, middle, first = (int(share * n) for share in (LAST, MIDDLE, FIRST))
    rises = [
        _beyond(sign * present[start:end], sign * present[:start]) > ADVANCING_SHARE
        for sign in (1, -1)
        for start, end in ((last, n), (first, middle))
    ]
    if not ((rises[0] and rises[1]) or (rises[2] and rises[3])):
        return False
    return is_date or not _sorted_on_purpose(present)


def _advances_within(cells: np.ndarray, codes: np.ndarray) -> bool:
    """Whether most cells are of groups in which they advance, as the readings of each meter do."""
    counts = np.bincount(codes[codes >= 0])
    if len(counts) > MOST_GROUPS:
        return False
    moving = [n for group, n in enumerate(counts) if _advances(cells[codes == group], False)]
    return sum(moving) > ADVANCING_SHARE * len(cells)


def _beyond(later: np.ndarray, earlier: np.ndarray) -> float:
    return float((later > earlier.max()).mean())


def _sorted_on_purpose(cells: np.ndarray) -> bool:
    """Whether rows were sorted by what spreads unevenly, as amounts do and numbering does not."""
    steps = np.diff(cells)
    if (steps < 0).any() and (steps > 0).any():
        return False
    spans = [abs(part[-1] - part[0]) for part in np.array_split(cells, 5)]
    return max(spans[0], spans[-1]) > UNEVEN * np.median(spans)


def _is_attribute(stamps: np.ndarray) -> bool:
    """Whether dates are more likely something about a row than when it came to be."""
    present = stamps[~np.isnan(stamps)]
    if not len(present) or len(np.unique(present)) * ROWS_PER_DATE <= len(present):
        return True
    return bool(np.ptp(present) > LONG_SPAN and not (present % DAY).any())


def _new_share(codes: np.ndarray, places: np.ndarray | None) -> float:
    """Share of the last fifth's texts that are new; codes are -1 where missing."""
    codes = codes if places is None else codes[places]
    codes = codes[codes >= 0]
    cut = int(LAST * len(codes))
    return float((~np.isin(codes[cut:], codes[:cut])).mean()) if len(codes) >= MIN_ROWS else 0.0


def _keep_coming(codes: np.ndarray) -> bool:
    """Whether new texts keep coming, many of them: a file may be sorted by a category."""
    present = codes[codes >= 0]
    first = pd.Series(np.arange(len(present))).groupby(present).min().to_numpy()
    if 2 * len(first) > len(present):  # hardly any comes twice, in whatever order
        return False
    brought = np.bincount(first * 5 // len(present), minlength=5)[1:].min()
    return bool(brought >= MIN_NEW_TEXTS)


def _is_sorted(numeric: Mapping[Any, np.ndarray], novelty: Mapping[Any, float]) -> bool:
    """Whether the file is sorted by some column, or grouped by some text."""
    for cells in numeric.values():
        steps = np.diff(cells[~np.isnan(cells)])
        if steps.any() and ((steps >= 0).all() or (steps <= 0).all()):
            return True
    return any(share > ADVANCING_SHARE for share in novelty.values())


def _disagreeing(columns: Mapping[Any, np.ndarray], places: np.ndarray, level: float) -> tuple:
    """Columns whose distribution moves with the rows; texts as codes, -1 where missing."""
    found = []
    for name, cells in columns.items():
        ordered = cells[places]
        ordered = ordered[ordered >= 0 if cells.dtype.kind == "i" else ~np.isnan(ordered)]
        if len(ordered) >= MIN_ROWS and _drifts(ordered, level / len(columns)):
            found.append(name)
    return tuple(found)


def _drifts(cells: np.ndarray, level: float) -> bool:
    """Whether the last fifth differs from the cells before, and the fourth fifth too.

    Where only the last rows are unlike all others they may be anomalies.
    """
    n, last, middle = len(cells), int(LAST * len(cells)), int(MIDDLE * len(cells))
    compare = _compared_codes if cells.dtype.kind == "i" else _compared_numbers
    for start, end in ((last, n), (middle, last)):
        distance, p_value = compare(cells[:start], cells[start:end])
        if distance <= MIN_DISTANCE or p_value >= level:
            return False
    return True


def _compared_numbers(earlier: np.ndarray, later: np.ndarray) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance and p-value."""
    test = ks_2samp(earlier, later, method="asymp")
    return float(test.statistic), float(test.pvalue)


def _compared_codes(earlier: np.ndarray, later: np.ndarray) -> tuple[float, float]:
    """Total variation distance of the frequent values, and the p-value of a chi-square test."""
    values, counts = np.unique(np.append(earlier, later), return_counts=True)
    frequent = values[np.argsort(-counts, kind="stable")[:N_FREQUENT]]
    table = np.array([[(part == value).sum() for value in frequent] for part in (earlier, later)])
    others = [[len(part)] for part in (earlier, later)] - table.sum(1, keepdims=True)
    table = np.hstack([table, others])
    table = table[:, table.sum(0) > 0]
    shares = table / table.sum(1, keepdims=True)
    if table.shape[1] < 2:
        return 0.0, 1.0
    return float(np.abs(shares[0] - shares[1]).sum() / 2), float(chi2_contingency(table).pvalue)
