"""How well anomaly scores put the anomalies first."""

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, roc_auc_score


def average_precision(labels: ArrayLike, scores: ArrayLike) -> float:
    r"""Precision, averaged over the anomalies in the order of their scores.

    .. math:: AP = \sum_n (R_n - R_{n-1}) P_n

    over the distinct scores, from the largest down, with precision P and recall R. A random
    order gives the rate of anomalies.

    Parameters
    ----------
    labels : array of shape (row,)
        1 or True for an anomaly, 0 or False for a normal row.
    scores : array of shape (row,)
        Larger is more anomalous.

    Raises
    ------
    ValueError
        If shapes differ, a score is not finite, or labels hold other than both of 0 and 1.
    """
    return float(average_precision_score(*_checked(labels, scores)))


def auroc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Chance that an anomaly scores above a normal row; a tie counts half.

    Parameters and errors as in `average_precision`.
    """
    return float(roc_auc_score(*_checked(labels, scores)))


def precision_at_k(labels: ArrayLike, scores: ArrayLike, k: int) -> float:
    """Share of anomalies among the `k` largest scores, ties in expectation.

    A tie across the k-th place counts with the share of anomalies among the tied rows, so that
    the order of the rows does not matter.

    Parameters
    ----------
    labels, scores
        As in `average_precision`.
    k : int
        Number of rows that can be looked at, from 1 to the number of rows.
    """
    labels, scores = _checked(labels, scores)
    if not 1 <= k <= len(labels):
        raise ValueError(f"need k between 1 and {len(labels)}, the number of rows; got {k}.")
    cut = np.partition(scores, -k)[-k]
    above, tied = scores > cut, scores == cut
    return float((labels[above].sum() + (k - above.sum()) * labels[tied].mean()) / k)


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    labels, scores = np.asarray(labels), np.asarray(scores)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise ValueError(
            f"need one label and one score per row; got shapes {labels.shape} and {scores.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"need finite scores; row {np.argmin(np.isfinite(scores))} has none.")
    found = np.unique(labels)
    if not np.array_equal(found, [0, 1]):
        raise ValueError(f"need labels of both classes, 0 and 1; got only {found[:5].tolist()}.")
    return labels.astype(int), scores
