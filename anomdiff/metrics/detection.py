"""How well anomaly scores put the anomalies first, row by row or, in series, run by run.

Nowhere are the flags adjusted to the labels ("point adjustment"), which lets random scores win.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import average_precision_score, roc_auc_score

from anomdiff.metrics.ranges import event_rates, range_rates, volumes

__all__ = [
    "auroc",
    "average_precision",
    "event_f1",
    "period",
    "precision_at_k",
    "range_f1",
    "vus_pr",
    "vus_roc",
]


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


def vus_pr(anomalous: ArrayLike, scores: ArrayLike, window: int) -> float:
    r"""Volume under the precision-recall surface over thresholds and buffer widths.

    The mean, over the widths w from 0 to `window`, of the range average precision: rows up to
    w/2 before or after an anomaly count as anomalous to the degree :math:`\sqrt{1 - d/w}` at
    distance d, and recall is multiplied by the share of anomalies that are touched at all. A
    score that is a little early or late so loses little. Thresholds are 250 evenly spaced ranks
    of the scores; a row is flagged at or above one. Only the order of the scores counts.

    Parameters
    ----------
    anomalous : array of shape (row,)
        True or 1 where the row of one series, in the order of time, belongs to an anomaly.
    scores : array of shape (row,)
        Larger is more anomalous.
    window : int
        Largest buffer width in rows, at least 0; see `period`.

    Returns
    -------
    volume : float
        From 0 to 1; flagging exactly the anomalous rows gives 1 at every width.

    Raises
    ------
    ValueError
        As in `average_precision`, or if `window` is not a whole number of at least 0.

    References
    ----------
    Paparrizos et al. (2022), "Volume Under the Surface", PVLDB 15(11); details as in the TSB-AD
    benchmark, Liu and Paparrizos (2024), NeurIPS.
    """
    return _volumes(anomalous, scores, window)[1]


def vus_roc(anomalous: ArrayLike, scores: ArrayLike, window: int) -> float:
    """Volume under the ROC surface over thresholds and buffer widths.

    Parameters, errors and source as in `vus_pr`.
    """
    return _volumes(anomalous, scores, window)[0]


def period(values: ArrayLike) -> int:
    """Period of a series, by which TSB-AD chooses the window of `vus_pr`.

    The lag of the highest local maximum of the autocorrelation at lags 4 to 399, from the first
    20,000 rows; 125 where there is none or it lies outside lags 6 to 303.

    Parameters
    ----------
    values : array of shape (row,) or (row, channel)
        A series in the order of time; of several channels the first counts.

    Returns
    -------
    window : int
        Period in rows.

    Raises
    ------
    ValueError
        If there is no row, or a value that counts is not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"need values of shape (row,) or (row, channel); got {values.shape}.")
    values = values.reshape(len(values), -1)[:20_000, 0]
    if not np.isfinite(values).all():
        raise ValueError(f"need finite values; row {np.argmin(np.isfinite(values))} has none.")
    if np.ptp(values) == 0:
        return 125  # else rounding errors of the mean would have peaks
    spectrum = np.fft.rfft(values - values.mean(), 2 * len(values))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[: min(401, len(values))]
    left, middle, right = correlation[3:-2], correlation[4:-1], correlation[5:]
    lags = 4 + np.flatnonzero((middle > left) & (middle > right))
    if not len(lags):
        return 125
    highest = int(lags[np.argmax(correlation[lags])])
    return highest if 6 <= highest <= 303 else 125


def range_f1(
    anomalous: ArrayLike, scores: ArrayLike, *, thresholds: ArrayLike | None = None
) -> float:
    r"""Best harmonic mean of range precision and range recall over the thresholds.

    An anomaly of which a share o is flagged, in x segments, is recalled to the degree
    :math:`0.2 [x > 0] + 0.8\, o / x`; a flagged run of which a share o is anomalous, in x segments,
    is precise to the degree o / x. Both are averaged over their runs, long or short. TSB-AD's
    "R-based-F1".

    Parameters
    ----------
    anomalous, scores
        As in `vus_pr`.
    thresholds : array of shape (threshold,), optional
        Rows above a threshold are flagged. By default, as in TSB-AD, 100 evenly spaced from the
        smallest to the largest score: then the scale of the scores counts, not only their order.

    Returns
    -------
    f1 : float
        From 0, where nothing true is flagged, to 1.

    Raises
    ------
    ValueError
        As in `average_precision`, or if `thresholds` is empty.

    References
    ----------
    Tatbul et al. (2018), "Precision and Recall for Time Series", with flat positional bias,
    alpha = 0.2 and gamma(x) = 1/x. https://arxiv.org/abs/1803.03639
    """
    return _best_f1(range_rates, anomalous, scores, thresholds)


def event_f1(
    anomalous: ArrayLike, scores: ArrayLike, *, thresholds: ArrayLike | None = None
) -> float:
    """Best harmonic mean of precision in rows and recall in anomalies over the thresholds.

    An anomaly is found if any of its rows is flagged, and recall is the share of anomalies that
    are found; precision is the share of flagged rows that are anomalous, so that a false alarm
    costs as many rows as it lasts. TSB-AD's "Event-based-F1", except that an anomaly at the very
    end of a series keeps its last row.

    Parameters and errors as in `range_f1`.
    """
    return _best_f1(event_rates, anomalous, scores, thresholds)


def _volumes(anomalous: ArrayLike, scores: ArrayLike, window: int) -> tuple[float, float]:
    labels, scores = _checked(anomalous, scores)
    if not isinstance(window, int | np.integer) or window < 0:
        raise ValueError(f"need a window of 0 or more whole rows; got {window!r}.")
    return volumes(labels.astype(bool), scores.astype(float), int(window))


def _best_f1(
    rates: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
    anomalous: ArrayLike,
    scores: ArrayLike,
    thresholds: ArrayLike | None,
) -> float:
    labels, scores = _checked(anomalous, scores)
    labels, scores = labels.astype(bool), scores.astype(float)
    if thresholds is None:
        thresholds = np.linspace(scores.min(), scores.max(), 100)
    pairs = [rates(labels, scores > threshold) for threshold in np.atleast_1d(thresholds)]
    if not pairs:
        raise ValueError("need at least one threshold; got none.")
    return max(2 * p * r / (p + r) if p + r else 0.0 for p, r in pairs)


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
