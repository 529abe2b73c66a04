"""Drift of all columns together: how well a classifier tells a batch from rows of training."""

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

__all__ = ["auc_by_chance", "classifier_drift"]

# Each row is seen by a classifier of the other folds; another division gives another AUC, and the
# mean of three varies as chance alone does.
N_FOLDS, N_DIVISIONS = 5, 3
# Cells of each of the two samples: more tell hardly more, and take longer.
MOST_CELLS = 300_000
# Rows of each sample below which nothing is told.
FEWEST_OF_EACH = 50


def classifier_drift(known: np.ndarray, batch: np.ndarray, odd: float = 0.0) -> dict[str, float]:
    r"""Area under the ROC curve of a classifier of rows, and its p-value (two-sample test).

    Each row is judged by gradient-boosted trees that saw neither it nor an equal row. Without
    drift the area is one half but for chance. A share :math:`\epsilon` of odd rows, whatever
    these are, makes it :math:`(1 + \epsilon) / 2` at most, from where the p-value counts.

    Parameters
    ----------
    known, batch : ndarray of shape (row, coord)
        Encoded rows of training and of the batch; NaN where nothing is observed.
    odd : float
        Share of odd rows in the batch, :math:`\epsilon`.

    Returns
    -------
    drift : dict
        ``auc``, 0.5 to 1 as a rule, and ``p_value``; one half and 1 where rows, or different
        ones, are too few.

    References
    ----------
    Lopez-Paz and Oquab (2017), "Revisiting Classifier Two-Sample Tests". The variance of the area:
    Hanley and McNeil (1982), "The Meaning and Use of the Area under a ROC Curve", equation 1.
    """
    samples = [_some(each) for each in (known, batch)]
    values = np.concatenate(samples)
    _, groups = np.unique(np.nan_to_num(values, nan=np.inf), axis=0, return_inverse=True)
    is_new, groups = np.arange(len(values)) >= len(samples[0]), groups.ravel()
    n_known, n_batch = (_different(groups[is_new == new]) for new in (False, True))
    if min(n_known, n_batch) < FEWEST_OF_EACH or not values.shape[1]:
        return {"auc": 0.5, "p_value": 1.0}
    auc = float(np.mean(list(_areas(values, is_new, groups))))
    expected, spread = auc_by_chance(n_known, n_batch, odd)
    return {"auc": auc, "p_value": float(norm.sf((auc - expected) / spread))}


def auc_by_chance(n_known: float, n_batch: float, odd: float) -> tuple[float, float]:
    """Largest area that so many odd rows explain, and its standard deviation by chance."""
    area = (1 + odd) / 2
    both_known, both_new = 2 * area**2 / (1 + area), area / (2 - area)
    variance = area * (1 - area)
    variance += (n_batch - 1) * (both_new - area**2) + (n_known - 1) * (both_known - area**2)
    return area, float(np.sqrt(variance / (n_known * n_batch)))


def _some(rows: np.ndarray) -> np.ndarray:
    """Rows drawn without replacement, as many as have ``MOST_CELLS``; always the same ones."""
    most = max(FEWEST_OF_EACH, MOST_CELLS // max(rows.shape[1], 1))
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(0).choice(len(rows), most, replace=False))]


def _different(groups: np.ndarray) -> float:
    """How many rows without equal ones tell as much: equal rows are judged alike."""
    counts = np.unique(groups, return_counts=True)[1]
    return float(counts.sum() ** 2 / np.square(counts, dtype=float).sum())


def _areas(values: np.ndarray, is_new: np.ndarray, groups: np.ndarray) -> Iterator[float]:
    """Areas of every fold of every division."""
    for seed in range(N_DIVISIONS):
        # A few small trees: as for the weights of a covariate shift.
        trees = HistGradientBoostingClassifier(max_iter=50, max_depth=3, random_state=seed)
        folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed)
        for train, test in folds.split(values, is_new, groups):
            chances = trees.fit(values[train], is_new[train]).predict_proba(values[test])
            yield float(roc_auc_score(is_new[test], chances[:, 1]))
