"""Thresholds beyond ``alpha``: false discoveries, drifted rows, rare alarms, alarm budgets.

Each reads scores (larger is more anomalous; a row is flagged where ``score > threshold``) and
returns flags or a threshold. None needs the detector: thresholds change without a refit.
"""

import math
import warnings
from bisect import bisect_right

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import betabinom, false_discovery_control, genpareto

from anomdiff.scoring.calibration import largest_ties

# Fewest scores beyond the start of the tail that a shape can be estimated from.
MIN_EXCESSES = 20
# Conformal p-values and q are fractions that often tie; rounding must not decide.
ROUNDING = 1e-12


def benjamini_hochberg(p_values: ArrayLike, q: float) -> np.ndarray:
    """Flag rows of a batch so that at most a share ``q`` of the flags is expected to be false.

    Parameters
    ----------
    p_values : array-like of shape (row,)
        P-values of the batch, in ``[0, 1]``.
    q : float
        False-discovery rate, in ``(0, 1)``.

    Returns
    -------
    flags : bool ndarray of shape (row,)
        The ``k`` smallest p-values, for the largest ``k`` whose ``k``-th is at most
        ``q * k / row``.

    Raises
    ------
    ValueError
        If ``q`` or a p-value is out of its range.

    Notes
    -----
    The smallest conformal p-value is ``1 / (1 + n)``, so that ``n`` held-out rows can give a
    discovery only where ``row / (q * (1 + n))`` rows of the batch have that one.

    References
    ----------
    Benjamini and Hochberg (1995), "Controlling the False Discovery Rate", eq. 1. That conformal
    p-values, which share their calibration rows, may be used: Bates et al. (2023), "Testing for
    Outliers with Conformal p-values", theorem 2 and corollary 1.
    """
    check_share("q", q)
    return false_discovery_control(p_values, method="bh") <= q * (1 + ROUNDING)


def weighted_p_values(
    calibration: ArrayLike, scores: ArrayLike, calibration_weights: ArrayLike, weights: ArrayLike
) -> np.ndarray:
    """Conformal p-values where normal rows are distributed otherwise than calibration rows.

    Parameters
    ----------
    calibration : array-like of shape (n,)
        Scores of normal rows, in any order.
    scores : array-like of shape (row,)
        Scores to judge.
    calibration_weights, weights : array-like of shape (n,) and (row,)
        How much more often a normal row like this one occurs where the scores come from than
        where the calibration comes from; a common factor does not matter.

    Returns
    -------
    p_values : ndarray of shape (row,)
        ``(w + sum of w_i with c_i >= s) / (w + sum of w_i)``, in ``(0, 1]``, where a score that
        is larger by rounding alone counts as equal. With the true weights a normal row has
        ``p <= alpha`` with probability at most ``alpha``.

    Raises
    ------
    ValueError
        If scores and weights differ in number, or a weight is not positive and finite.

    Notes
    -----
    These p-values need not be positively dependent; Benjamini and Hochberg's flags then keep
    their level approximately, as do weights that are estimated.

    References
    ----------
    Tibshirani et al. (2019), "Conformal Prediction Under Covariate Shift", lemma 3; Jin and
    Candès (2023), "Model-free Selective Inference Under Covariate Shift via Weighted Conformal
    p-values", https://arxiv.org/abs/2307.09291.
    """
    calibration, scores = check_scores("calibration", calibration), check_scores("scores", scores)
    calibration_weights = check_weights("calibration_weights", calibration_weights, calibration)
    weights = check_weights("weights", weights, scores)
    order = np.argsort(calibration)
    # Entry i is the weight of the calibration scores from the i-th smallest on.
    above = np.append(np.cumsum(calibration_weights[order][::-1])[::-1], 0.0)
    reached = above[np.searchsorted(largest_ties(calibration[order]), scores, side="left")]
    return (weights + reached) / (weights + above[0])


def tail_threshold(calibration: ArrayLike, alpha: float, *, tail: float = 0.1) -> float:
    r"""Threshold for alarms rarer than calibration rows can show: peaks over threshold.

    The excesses :math:`y` over a high quantile :math:`u` follow a generalised Pareto law
    in the limit, whose fitted tail is read beyond the largest score:

    .. math:: t = u + \frac{\sigma}{\xi} \Big(
        \Big(\frac{\alpha n}{n_u}\Big)^{-\xi} - 1\Big)

    Parameters
    ----------
    calibration : array-like of shape (n,)
        Scores of held-out normal rows, in any order.
    alpha : float
        Share of alarms among normal rows, below the share ``tail``.
    tail : float, default=0.1
        Share of the largest scores that the law is fitted to, by maximum likelihood.

    Returns
    -------
    threshold : float
        Always finite. An estimate without the guarantee of ``conformal_threshold``: with 1,000
        rows and ``alpha=1e-4``, the alarm rate may be several times that.

    Raises
    ------
    ValueError
        If ``alpha`` is not below ``tail``, or fewer than 20 scores, or equal ones, are beyond
        its start.

    References
    ----------
    Pickands (1975), "Statistical Inference Using Extreme Order Statistics"; Siffer et al.
    (2017), "Anomaly Detection in Streams with Extreme Value Theory", eq. 1.
    """
    calibration = check_scores("calibration", calibration)
    check_share("tail", tail)
    start = np.quantile(calibration, 1 - tail)
    excesses = calibration[calibration > start] - start
    if len(excesses) < MIN_EXCESSES or np.ptp(excesses) == 0:
        raise ValueError(
            f"need at least {MIN_EXCESSES} different scores beyond the quantile {1 - tail:g}; "
            f"got {len(excesses)} of {len(calibration)}, {len(np.unique(excesses))} different."
        )
    share = len(excesses) / len(calibration)
    if not 0 < alpha < share:
        raise ValueError(f"need 0 < alpha < {share:g}, the share in the tail; got alpha={alpha}.")
    unit = excesses.mean()  # the search for the maximum has steps of a fixed size
    shape, _, scale = genpareto.fit(excesses / unit, floc=0)
    return float(start + unit * genpareto.isf(alpha / share, shape, scale=scale))


def budget_threshold(scores: ArrayLike, *, n_alarms: int, n_rows: int, risk: float = 0.05) -> float:
    """Lowest threshold that keeps a day's alarms within a budget.

    Parameters
    ----------
    scores : array-like of shape (n,)
        Scores of rows like those to come. Held-out normal rows count false alarms only; rows of
        recent days count all.
    n_alarms : int
        Most alarms a day.
    n_rows : int
        Rows a day.
    risk : float, default=0.05
        Share of the days that may go over the budget.

    Returns
    -------
    threshold : float
        One of the scores, or infinity where ``n`` is too small for any.

    Warns
    -----
    UserWarning
        If no row can be flagged.

    Raises
    ------
    ValueError
        If not ``0 <= n_alarms < n_rows``, or ``risk`` is out of its range.

    Notes
    -----
    Of ``n_rows`` new rows, exchangeable with ``n`` scores without ties, a beta-binomial number
    (``n_rows, k, n + 1 - k``) is above the ``k``-th largest score. Where alarms come in bursts,
    as in series, take ``conformal_threshold`` at ``risk`` of each past day's
    ``n_alarms + 1``-th largest score.

    References
    ----------
    Wilks (1942), "Statistical Prediction with Special Reference to the Problem of Tolerance
    Limits".
    """
    scores = np.sort(check_scores("scores", scores))
    check_share("risk", risk)
    if not 0 <= n_alarms < n_rows:
        raise ValueError(f"need 0 <= n_alarms < n_rows; got n_alarms={n_alarms}, n_rows={n_rows}.")
    n = len(scores)
    # The risk grows with k, so that the affordable k are the first ones.
    k = bisect_right(
        range(1, n + 1), risk, key=lambda k: betabinom.sf(n_alarms, n_rows, k, n + 1 - k)
    )
    if not k:
        warnings.warn(
            f"{n} scores are too few for {n_alarms} alarms in {n_rows} rows at risk={risk}, so no "
            "row will be flagged.",
            UserWarning,
            stacklevel=2,
        )
        return math.inf
    return float(scores[n - k])


def check_scores(name: str, scores: ArrayLike) -> np.ndarray:
    """Turn scores into a line of numbers, or say what is wrong with them."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise ValueError(
            f"need {name} of shape (row,), at least one and none NaN; got shape {scores.shape} "
            f"with {np.isnan(scores).sum()} NaN."
        )
    return scores


def check_weights(name: str, weights: ArrayLike, scores: np.ndarray) -> np.ndarray:
    """Turn weights into numbers, one per score, or say what is wrong with them."""
    weights = np.asarray(weights, dtype=float)
    if weights.shape != scores.shape or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"need {len(scores)} {name}, positive and finite; got shape {weights.shape}, "
            f"{(~(np.isfinite(weights) & (weights > 0))).sum()} of them not."
        )
    return weights


def check_share(name: str, value: float) -> None:
    """Refuse a number that is not strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"need {name} between 0 and 1; got {value}.")
