"""Whether the distribution of a column moves with the rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from anomdiff.encoding.advancing import LAST, MIDDLE, MIN_ROWS

__all__ = ["disagreeing"]

# Categories compared one by one; all others count together.
N_FREQUENT = 10
# Two parts disagree if their distributions are so far apart, and chance is unlikely.
MIN_DISTANCE = 0.05


def disagreeing(columns: Mapping[Any, np.ndarray], places: np.ndarray, level: float) -> tuple:
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
