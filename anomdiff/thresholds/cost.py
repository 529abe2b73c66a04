"""Thresholds from labelled scores: the least expected loss, and what analysts' verdicts tell.

A row is flagged where ``score > threshold``. Costs are in any one unit, such as euros or minutes.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from anomdiff.thresholds.checks import check_scores, check_share, check_weights

__all__ = ["cost_threshold", "expected_loss", "verdict_threshold"]


def expected_loss(
    threshold: float | ArrayLike,
    scores: ArrayLike,
    anomalous: ArrayLike,
    *,
    cost_of_miss: float,
    cost_of_alarm: float,
    anomaly_rate: float | None = None,
    weights: ArrayLike | None = None,
) -> float | np.ndarray:
    """Expected loss of a row: ``cost_of_miss * P(miss) + cost_of_alarm * P(false alarm)``.

    Parameters
    ----------
    threshold : array-like
        One threshold or many.
    scores : array-like of shape (row,)
        Scores of labelled rows.
    anomalous : bool array-like of shape (row,)
        True for anomalies.
    cost_of_miss, cost_of_alarm : float
        Cost of an anomaly that is not flagged and of a normal row that is, in any one unit.
    anomaly_rate : float, optional
        Share of anomalies among rows to come, where that of the labelled rows is another, say
        because anomalies were collected; needs rows of both kinds.
    weights : array-like of shape (row,), optional
        How many rows each labelled row stands for: one over the share of such rows that was
        labelled.

    Returns
    -------
    loss : float or ndarray of the shape of ``threshold``
        In the unit of the costs.

    Raises
    ------
    ValueError
        If a cost is negative, or the arrays or the rate cannot be used.

    References
    ----------
    Elkan (2001), "The Foundations of Cost-Sensitive Learning". Weights: Horvitz and Thompson
    (1952), "A Generalization of Sampling Without Replacement from a Finite Universe".
    """
    scores, anomalous = _labelled(scores, anomalous)
    if min(cost_of_miss, cost_of_alarm) < 0:
        raise ValueError(
            f"need costs of at least 0; got cost_of_miss={cost_of_miss}, "
            f"cost_of_alarm={cost_of_alarm}."
        )
    shares = _shares(anomalous, anomaly_rate, weights)
    missed = _share_up_to(threshold, scores[anomalous], shares[anomalous])
    silent = _share_up_to(threshold, scores[~anomalous], shares[~anomalous])
    return cost_of_miss * missed + cost_of_alarm * (shares[~anomalous].sum() - silent)


def cost_threshold(
    scores: ArrayLike,
    anomalous: ArrayLike,
    *,
    cost_of_miss: float,
    cost_of_alarm: float,
    anomaly_rate: float | None = None,
    weights: ArrayLike | None = None,
    lowest: float = -math.inf,
) -> float:
    """Threshold of the least expected loss on labelled rows.

    Parameters
    ----------
    scores, anomalous, cost_of_miss, cost_of_alarm, anomaly_rate, weights
        As in ``expected_loss``.
    lowest : float, default=-inf
        No threshold below this one is considered.

    Returns
    -------
    threshold : float
        Halfway between two neighbouring scores; the largest score where no alarm is worth its
        cost, ``lowest`` where every one is. Of equally good ones the highest.

    Raises
    ------
    ValueError
        As in ``expected_loss``.
    """
    scores, anomalous = _labelled(scores, anomalous)
    # The loss is constant from one score up to the next.
    steps = np.unique(np.append(scores[scores > lowest], lowest))
    losses = np.asarray(
        expected_loss(
            steps,
            scores,
            anomalous,
            cost_of_miss=cost_of_miss,
            cost_of_alarm=cost_of_alarm,
            anomaly_rate=anomaly_rate,
            weights=weights,
        )
    )
    best = len(steps) - 1 - losses[::-1].argmin()
    if best in (0, len(steps) - 1):
        return float(steps[best])
    return float((steps[best] + steps[best + 1]) / 2)


def verdict_threshold(
    scores: ArrayLike,
    anomalous: ArrayLike,
    *,
    threshold: float,
    n_scored: int | float,
    calibration: ArrayLike,
    cost_of_miss: float,
    cost_of_alarm: float,
) -> float:
    """Threshold of the least loss after analysts have reviewed the alarms.

    Nobody looked below the threshold in force: the anomalies there are unknown, and the same
    for every higher threshold. Thus the verdicts tell whether to raise the threshold, never
    whether to lower it. For that, have a random share of the other rows reviewed too, and pass
    all verdicts to ``cost_threshold``, with one over the share reviewed as weights.

    Parameters
    ----------
    scores : array-like of shape (alarm,)
        Scores of the reviewed alarms: all of a period, or a random part.
    anomalous : bool array-like of shape (alarm,)
        The verdicts: True for confirmed anomalies.
    threshold : float
        The threshold that raised the alarms.
    n_scored : float
        Rows scored in the period, times the share of its alarms that was reviewed.
    calibration : array-like of shape (n,)
        Scores of held-out normal rows. False alarms are rare; these rows tell, together with
        the false alarms, how often a threshold is exceeded. Empty after a drift.
    cost_of_miss, cost_of_alarm : float
        As in ``expected_loss``.

    Returns
    -------
    threshold : float
        At least the one in force.

    Raises
    ------
    ValueError
        If a score is not above the threshold, or there are fewer rows than verdicts.
    """
    scores, anomalous = _labelled(scores, anomalous)
    calibration = np.asarray(calibration, dtype=float)
    if scores.min() <= threshold:
        raise ValueError(
            f"need verdicts on alarms, with scores above {threshold:g}; got {scores.min():g}."
        )
    if n_scored < len(scores):
        raise ValueError(f"need n_scored of at least {len(scores)} verdicts; got {n_scored}.")
    n_normal = max(n_scored - anomalous.sum(), 1)
    # Normal rows of the period and calibration rows, all together, stand for the former.
    share = n_normal / (n_normal + len(calibration))
    labels = np.append(anomalous, np.zeros(len(calibration), dtype=bool))
    return cost_threshold(
        np.append(scores, calibration),
        labels,
        cost_of_miss=cost_of_miss,
        cost_of_alarm=cost_of_alarm,
        weights=np.where(labels, 1.0, share),
        lowest=threshold,
    )


def _share_up_to(threshold, scores, shares) -> float | np.ndarray:
    """Sum of the shares of scores that are at most the threshold."""
    order = np.argsort(scores)
    sums = np.append(0.0, np.cumsum(shares[order]))
    return sums[np.searchsorted(scores[order], threshold, side="right")]


def _shares(anomalous, anomaly_rate, weights) -> np.ndarray:
    """Share of all rows that each labelled row stands for; they add up to 1."""
    weights = np.ones(len(anomalous)) if weights is None else weights
    weights = check_weights("weights", weights, anomalous)
    if anomaly_rate is None:
        return weights / weights.sum()
    check_share("anomaly_rate", anomaly_rate)
    if anomalous.all() or not anomalous.any():
        raise ValueError(
            f"need anomalies and normal rows to use anomaly_rate; got {anomalous.sum()} anomalies "
            f"among {len(anomalous)} rows."
        )
    rates = [(anomalous, anomaly_rate), (~anomalous, 1 - anomaly_rate)]
    return sum(rate * kind * weights / weights[kind].sum() for kind, rate in rates)


def _labelled(scores, anomalous) -> tuple[np.ndarray, np.ndarray]:
    """Scores and as many labels; a row without a verdict is no anomaly, nor is it normal."""
    scores, anomalous = check_scores("scores", scores), np.asarray(anomalous)
    if anomalous.shape != scores.shape:
        raise ValueError(f"need one label per score; got {anomalous.shape} for {scores.shape}.")
    if unknown := [label for label in anomalous.tolist() if label not in (True, False)]:
        raise ValueError(f"need labels that are True or False; got {unknown[0]!r}.")
    return scores, anomalous.astype(bool)
