"""Whether blocks of rows with equal cells are numbered in time: batches, lots, rare events."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, kruskal, kstest

__all__ = ["are_blocks", "as_numbers", "depends_on_blocks", "is_block_number", "is_event_count"]

# Blocks of one size are batches if they are more than categories tend to be, and their sizes vary
# by less than this share of what chance would make of them (Poisson).
MOST_CATEGORIES, SAME_SIZE = 30, 0.25
# A count of events has at least so many values, and waits from event to event as chance makes
# them: the shortest, in means, the distance from an exponential distribution, times the root of
# their number (Lilliefors, 1 %), and how unlike neighbours are (von Neumann).
MIN_EVENTS, SHORTEST, DISTANCE, NEIGHBOURS = 12, 0.25, 1.25, 1.0
# Numbers that count have no step larger than this many of the usual ones.
LARGEST_STEP = 3.0
# Chance of saying that a column depends on blocks where it does not.
DEPENDENCE_LEVEL = 1e-3
# Categories at most of a column of which that is asked.
MOST_VALUES = 10


def are_blocks(codes: np.ndarray) -> bool:
    """Whether the rows of each group stand together; codes are -1 where missing."""
    present = codes[codes >= 0]
    return int((np.diff(present) != 0).sum()) + 1 == len(np.unique(present))


def as_numbers(codes: np.ndarray, names: Iterable) -> np.ndarray | None:
    """Numbers that blocks of texts like LOT-7 or 1.4.3 count by, None if not only digits differ.

    Versions of several parts are numbered from the first to the last, if they rise in turn.
    """
    texts = [str(name) for name in names]
    if 2 * len(texts) > len(codes) or not are_blocks(codes):
        return None
    if len({re.sub(r"\d+", "0", text) for text in texts}) != 1:
        return None
    parts = [tuple(map(int, re.findall(r"\d{1,18}", text))) for text in texts]
    if not parts[0]:
        return None
    varying = [place for place in range(len(parts[0])) if len({each[place] for each in parts}) > 1]
    if len(varying) == 1:
        numbers = np.array([each[varying[0]] for each in parts], dtype=float)
    else:
        rank = {part: place for place, part in enumerate(sorted(set(parts)))}
        numbers = np.array([rank[each] for each in parts], dtype=float)
    return np.where(codes >= 0, numbers[codes], np.nan)


def is_block_number(cells: np.ndarray) -> bool:
    """Whether numbers count many blocks of one size, as those of batches and cycles do."""
    values, sizes = _blocks(cells)
    if len(values) <= MOST_CATEGORIES or not _are_even(values):
        return False
    return bool(sizes.var() < SAME_SIZE * sizes.mean())


def is_event_count(cells: np.ndarray) -> bool:
    """Whether numbers rise by even steps at random times, as counters of rare events do.

    Sizes of the groups of a sorted file are more alike (ages), or change little by little.
    """
    values, sizes = _blocks(cells)
    if len(values) < MIN_EVENTS or not _are_even(values):
        return False
    mean, unlike = sizes.mean(), (np.diff(sizes) ** 2).mean() / max(sizes.var(), 1e-9)
    distance = kstest(sizes, "expon", args=(0, mean)).statistic * np.sqrt(len(sizes))
    return bool(sizes.min() <= SHORTEST * mean and distance < DISTANCE and unlike > NEIGHBOURS)


def depends_on_blocks(cells: np.ndarray, others: Mapping[Any, np.ndarray]) -> bool:
    """Whether another column differs between the blocks, as the groups of a sorted file do."""
    block = np.unique(cells, return_inverse=True)[1]
    level = DEPENDENCE_LEVEL / max(len(others), 1)
    differ = {"i": _shares_differ, "f": _numbers_differ}
    return any(differ[each.dtype.kind](each, block) < level for each in others.values())


def _blocks(cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Value of each block in turn, none if they are not one way; sizes of all inner blocks."""
    present = cells[~np.isnan(cells)]
    starts = np.flatnonzero(np.diff(present, prepend=np.nan) != 0)
    values = present[starts]
    steps = np.diff(values)
    if len(values) < MIN_EVENTS or not ((steps > 0).all() or (steps < 0).all()):
        return values[:0], values[:0]
    return values, np.diff(starts)[1:].astype(float)


def _are_even(values: np.ndarray) -> bool:
    """Whether steps are much alike."""
    steps = np.abs(np.diff(values))
    return bool(steps.max() <= LARGEST_STEP * np.median(steps))


def _numbers_differ(cells: np.ndarray, block: np.ndarray) -> float:
    """p-value of numbers that are alike in all blocks (Kruskal and Wallis)."""
    present = ~np.isnan(cells)
    cells, block = cells[present], block[present]
    groups = [cells[block == each] for each in np.unique(block)]
    if len(groups) < 2 or np.ptp(cells) == 0:
        return 1.0
    return float(kruskal(*groups).pvalue)


def _shares_differ(codes: np.ndarray, block: np.ndarray) -> float:
    """p-value of categories that are as frequent in all blocks."""
    present = codes >= 0
    codes, block = codes[present], block[present]
    n_values = len(np.unique(codes))
    if not 2 <= n_values <= MOST_VALUES:
        return 1.0
    table = np.zeros((block.max() + 1, codes.max() + 1))
    np.add.at(table, (block, codes), 1)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    return float(chi2_contingency(table).pvalue) if len(table) > 1 else 1.0
