"""Whether the cells of one column advance with the rows, as ids, counters and dates do."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.blocks import are_blocks

__all__ = [
    "ADVANCING_SHARE",
    "LAST",
    "MIDDLE",
    "MIN_ROWS",
    "advances",
    "advances_within",
    "groups_of",
    "in_turns",
    "is_attribute",
    "is_date_number",
    "is_one_way",
    "is_time_label",
    "is_time_name",
    "keep_coming",
    "new_share",
    "rises",
]

# The last rows are compared with those before, and those in the middle with those before them.
LAST, MIDDLE, FIRST = 0.8, 0.6, 0.4
# A column advances if so many of the later cells are beyond all earlier ones, or texts never seen.
ADVANCING_SHARE = 0.5
MIN_ROWS = 50
# From row to row it moves by no more than this share of its range, as a rule; measurements that
# drift have noise.
STEADY = 0.02
# Where nothing else tells an order, a sorted column was sorted on purpose if its first or last
# fifth spans so many times what the others do, or if its whole numbers repeat so often.
UNEVEN, MOST_REPEATS = 3.0, 10
# Texts that keep coming must then be so many, in each fifth too, and repeat no more than this.
MIN_TEXTS, MIN_NEW_TEXTS, MOST_TEXT_ROWS = 50, 10, 30
# Those of rows that do not stand together were not sorted by: fewer are enough.
MIN_MIXED_TEXTS, MIN_NEW_MIXED_TEXTS = 30, 3
# Dates without a time of day over so many days are those of birth or purchase, not of the row.
DAY = 86_400_000_000_000
LONG_SPAN = 3650 * DAY
# Few dates that come again and again are like categories: later ones count as the last of them.
ROWS_PER_DATE = 10
# What labels of times have: digits where dates tell the order, else a year.
DIGIT, YEAR = r"\d", r"(?:19|20)\d\d"
YEARS, MOST_YEARS = (1900, 2100), 30
TIME_NAME = (
    r"(?i)(?:^|[^a-z])(?:year|quarter|month|week|day|period|season|batch|lot|run|cycle|campaign|"
    r"build|release|version|round|sprint|wave)(?:s|es)?(?:$|[^a-z])"
)
# Numbers of a year and a quarter, month, week or day: what the year is times, and the last part.
PARTS_OF_YEARS = ((10, 4), (100, 53), (1000, 366))
# Seconds since 1970 in the years 2001 to 2096, and what they are multiplied by.
EPOCH, UNITS = (1e9, 4e9), (1, 1e3, 1e6, 1e9)
# Groups of rows looked at one by one, and their rows at least.
MOST_GROUPS, GROUP_ROWS = 100, 20
# Rows that tell whether a closer look pays.
LOOKED_AT = 5000
# So many values may come one after the other by chance: a flag, a change of version.
FEW_VALUES = 2


def advances(cells: np.ndarray, *, is_date: bool = False, known: bool = False) -> bool:
    """Whether cells, in their order, are beyond all earlier ones, at the end and in the middle.

    Parameters
    ----------
    cells : float array of shape (row,)
        NaN where missing.
    is_date : bool
        Dates that never step back advance however few they are, and may be uneven.
    known : bool
        Whether their order is known to be that of time: a file may be sorted by an amount.
    """
    present = cells[~np.isnan(cells)]
    n = len(present)
    if n < MIN_ROWS:
        return False
    if is_date and (np.diff(present) >= 0).all() and present[0] < present[-1]:
        return True
    last, middle, first = (int(share * n) for share in (LAST, MIDDLE, FIRST))
    later = [
        _beyond(sign * present[start:end], sign * present[:start]) > ADVANCING_SHARE
        for sign in (1, -1)
        for start, end in ((last, n), (first, middle))
    ]
    if not ((later[0] and later[1]) or (later[2] and later[3])):
        return False
    moves = np.median(np.abs(np.diff(present)))
    if not is_date and moves > (STEADY + 2 / n) * np.ptp(present):
        return False
    return is_date or known or not _sorted_on_purpose(present)


def is_time_label(name: Any, cells: np.ndarray) -> bool:
    """Whether numbers, in one direction, are years or parts of them, or count what name says."""
    present = cells[~np.isnan(cells)]
    if not is_one_way(present) or (present % 1).any():
        return False
    counts = is_time_name(name) and np.abs(np.diff(present)).max() <= 1
    return _are_years(present) or _are_parts_of_years(present) or bool(counts)


def is_time_name(name: Any) -> bool:
    """Whether columns of such a name tell when rows came to be, as months and batches do."""
    return re.search(TIME_NAME, str(name)) is not None


def is_date_number(cells: np.ndarray) -> bool:
    """Whether numbers are dates like 20250131, or seconds (or their parts) since 1970."""
    present = cells[~np.isnan(cells)]
    if len(present) < MIN_ROWS or (present % 1).any() or len(np.unique(present)) <= ROWS_PER_DATE:
        return False
    low, high = present.min(), present.max()
    if any(EPOCH[0] * unit <= low and high <= EPOCH[1] * unit for unit in UNITS):
        return True
    if low < YEARS[0] * 10_000 or high > (YEARS[1] + 1) * 10_000:
        return False
    texts = pd.Series(present.astype(np.int64)).astype(str)
    return bool(pd.to_datetime(texts, format="%Y%m%d", errors="coerce").notna().all())


def is_attribute(stamps: np.ndarray) -> bool:
    """Whether dates are more likely something about a row than when it came to be."""
    present = stamps[~np.isnan(stamps)]
    if not len(present) or len(np.unique(present)) * ROWS_PER_DATE <= len(present):
        return True
    return bool(np.ptp(present) > LONG_SPAN and not (present % DAY).any())


def rises(ordered: np.ndarray) -> bool:
    """Whether numbers never step back, like years and weeks; flags that were switched on do not."""
    present = ordered[~np.isnan(ordered)]
    return is_one_way(present) and len(np.unique(present)) > FEW_VALUES


def is_one_way(present: np.ndarray) -> bool:
    """Whether numbers, none of them missing, are sorted, and not all the same."""
    steps = np.diff(present)
    return bool(steps.any() and ((steps >= 0).all() or (steps <= 0).all()))


def in_turns(ordered: np.ndarray, names: Iterable, *, known: bool, named: bool = False) -> bool:
    """Whether texts come one after the other and never again, like months; codes as ordered.

    Two are enough if most have digits; where no order is known, most must have a year, or their
    column be named like a time.
    """
    present = ordered[ordered >= 0]
    distinct = len(np.unique(present))
    if distinct < FEW_VALUES or not are_blocks(present):
        return False
    texts = pd.Series(list(names), dtype=object).dropna().astype(str)
    alike = texts.str.contains(DIGIT if known else YEAR).mean() > ADVANCING_SHARE
    return bool(alike) or ((known or named) and distinct > FEW_VALUES)


def new_share(codes: np.ndarray) -> float:
    """Share of the last fifth's texts that are new; codes as ordered, -1 where missing."""
    codes = codes[codes >= 0]
    cut = int(LAST * len(codes))
    return float((~np.isin(codes[cut:], codes[:cut])).mean()) if len(codes) >= MIN_ROWS else 0.0


def keep_coming(codes: np.ndarray, *, mixed: bool = False) -> bool:
    """Whether new texts keep coming, many of them; a file may be sorted by a category.

    Fewer are enough if they are mixed: in a file that is not sorted, and not in blocks.
    """
    present = codes[codes >= 0]
    first = pd.Series(np.arange(len(present))).groupby(present).min().to_numpy()
    each = len(present) / max(len(first), 1)
    many, coming = (
        (MIN_TEXTS, MIN_NEW_TEXTS) if not mixed else (MIN_MIXED_TEXTS, MIN_NEW_MIXED_TEXTS)
    )
    if len(first) <= many or each < 2 or (each > MOST_TEXT_ROWS and not mixed):
        return False
    return bool(np.bincount(first * 5 // len(present), minlength=5)[1:].min() >= coming)


def groups_of(cells: np.ndarray) -> np.ndarray | None:
    """Codes of the groups that texts or whole numbers make, None where they make none."""
    if cells.dtype.kind == "f" and (cells % 1)[~np.isnan(cells)].any():
        return None
    codes = pd.factorize(cells)[0]
    present = codes[codes >= 0]
    n_groups = int(present.max()) + 1 if len(present) else 0
    fits = 2 <= n_groups <= MOST_GROUPS and len(present) >= GROUP_ROWS * n_groups
    return codes if fits else None


def advances_within(cells: np.ndarray, codes: np.ndarray) -> bool:
    """Whether most cells are of groups in which they advance, as the readings of each meter do."""
    if not _one_way_within(cells[:LOOKED_AT], codes[:LOOKED_AT]):
        return False
    groups = [cells[codes == group] for group in range(int(codes.max()) + 1)]
    moving = [len(group) for group in groups if advances(group)]
    return sum(moving) > ADVANCING_SHARE * len(cells)


def _one_way_within(cells: np.ndarray, codes: np.ndarray) -> bool:
    """Whether most steps from row to row of the same group are one way."""
    order = np.argsort(codes, kind="stable")
    steps = np.diff(cells[order])[np.diff(codes[order]) == 0]
    steps = steps[~np.isnan(steps)]
    return len(steps) > 0 and max((steps > 0).mean(), (steps < 0).mean()) >= LAST


def _are_years(present: np.ndarray) -> bool:
    inside = YEARS[0] <= present.min() and present.max() <= YEARS[1]
    return bool(inside and np.ptp(present) <= MOST_YEARS)


def _are_parts_of_years(present: np.ndarray) -> bool:
    """Whether numbers are like 202412, a year and a month, and more than a few."""
    if len(np.unique(present)) <= FEW_VALUES:
        return False
    return any(
        _are_years(present // times)
        and (present % times).min() >= 1
        and (present % times).max() <= last
        for times, last in PARTS_OF_YEARS
    )


def _beyond(later: np.ndarray, earlier: np.ndarray) -> float:
    return float((later > earlier.max()).mean())


def _sorted_on_purpose(cells: np.ndarray) -> bool:
    """Whether rows were sorted by what spreads unevenly or repeats: amounts, ages, shops."""
    spans = [abs(part[-1] - part[0]) for part in np.array_split(cells, 5)]
    if max(spans[0], spans[-1]) > UNEVEN * np.median(spans):
        return True
    whole = not (cells % 1).any()
    return whole and is_one_way(cells) and len(np.unique(cells)) * MOST_REPEATS < len(cells)
