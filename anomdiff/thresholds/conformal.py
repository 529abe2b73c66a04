"""Conformal p-values of scores, and the threshold that flags the same rows."""

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike

from anomdiff.thresholds.checks import check_scores, check_weights

__all__ = [
    "conformal_p_values",
    "conformal_threshold",
    "largest_ties",
    "least_alpha",
    "needed_rows",
    "rank_p_values",
    "safely_below",
    "threshold_at",
    "weighted_p_values",
]

# Scores this near, relative to 1 + their size, are equal: the same row scores a little otherwise in
# another batch, and where rows repeat it would at times be flagged for that.
TIE = 1e-5


def conformal_p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Split-conformal p-value of each score.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Scores of held-out normal rows, sorted ascending.
    scores : ndarray of shape (row,)
        Scores to turn into p-values; larger is more anomalous.

    Returns
    -------
    p_values : ndarray of shape (row,)
        ``(1 + #{c >= s}) / (1 + n)``, in ``(0, 1]``, where a score that is larger by rounding
        alone counts as equal; under exchangeability a normal row has ``p <= alpha`` with
        probability at most ``alpha``. Missing where the score is.

    References
    ----------
    Vovk et al. (2005), "Algorithmic Learning in a Random World", eq. 2.20; Bates et
    al. (2023), "Testing for Outliers with Conformal p-values", eq. 3.
    """
    n = len(calibration)
    smaller = np.searchsorted(largest_ties(calibration), scores, side="left")
    return np.where(np.isnan(scores), np.nan, (1 + n - smaller) / (1 + n))


def conformal_threshold(calibration: np.ndarray, alpha: float) -> float:
    """Threshold with ``score > threshold`` exactly where the p-value is at most ``alpha``.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Scores of held-out normal rows, sorted ascending.
    alpha : float
        Share of alarms among normal rows, in ``(0, 1)``.

    Returns
    -------
    threshold : float
        The largest score equal to one of the calibration scores, or infinity where ``n`` is
        too small for any p-value to reach ``alpha``.

    Warns
    -----
    UserWarning
        If no row can be flagged.
    """
    threshold, n = threshold_at(calibration, alpha), len(calibration)
    if threshold == math.inf:
        warnings.warn(
            f"alpha={alpha} needs at least {needed_rows(alpha)} held-out rows; "
            f"there are {n}, so no row will be flagged; set alpha to {least_alpha(n):g} or more.",
            UserWarning,
            stacklevel=3,
        )
    return threshold


def threshold_at(calibration: np.ndarray, alpha: float) -> float:
    """Return what ``conformal_threshold`` does, without its warning."""
    n = len(calibration)
    # The same division as in the p-values: threshold and p-value then agree to the last bit.
    allowed = np.searchsorted(np.arange(1, n + 2) / (1 + n), alpha, side="right") - 1
    return math.inf if allowed < 0 else float(largest_ties(calibration[n - 1 - allowed]))


def rank_p_values(scores: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each score among all of them, the largest first.

    Parameters
    ----------
    scores : ndarray of shape (row,)
        Scores of rows that are compared with each other; NaN of those that are not judged.
    alpha : float
        Share of the judged rows to flag.

    Returns
    -------
    p_values : ndarray of shape (row,)
        Share of the judged rows with as large a score, themselves included; NaN if not judged.
    flags : ndarray of shape (row,)
        Whether a row is among the share ``alpha`` of the largest.
    """
    judged = ~np.isnan(scores)
    smaller = np.searchsorted(largest_ties(np.sort(scores[judged])), scores, side="left")
    n = max(1, judged.sum())
    return np.where(judged, (n - smaller) / n, np.nan), judged & (n - smaller <= alpha * n)


def safely_below(threshold: float) -> float:
    """Score that is not above a threshold in any batch; that of the row that sets it still is."""
    return threshold - TIE / 2 * (1 + abs(threshold))


def least_alpha(n: int) -> float:
    """Least alpha that ``n`` held-out rows can flag rows at, rounded up to four digits."""
    return math.ceil(1e4 / (1 + n)) / 1e4


def needed_rows(alpha: float) -> int:
    """Fewest held-out rows with which a p-value can reach ``alpha``."""
    return math.ceil(1 / alpha - 1e-9) - 1


def weighted_p_values(
    calibration: ArrayLike, scores: ArrayLike, calibration_weights: ArrayLike, weights: ArrayLike
) -> np.ndarray:
    """Conformal p-values where normal rows are distributed otherwise than calibration rows.

    Parameters
    ----------
    calibration : array-like of shape (n,)
        Scores of normal rows, in any order.
    scores : array-like of shape (row,)
        Scores to turn into p-values.
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


def largest_ties(scores: np.ndarray | float) -> np.ndarray | float:
    """Largest scores that differ from these by rounding alone."""
    return scores + TIE * (1 + np.abs(scores))
