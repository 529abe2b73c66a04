"""A score as a number from 0 to 100 that compares between batches."""

import numpy as np
from numpy.typing import ArrayLike

from anomdiff.thresholds.checks import check_scores
from anomdiff.thresholds.conformal import TIE

__all__ = ["severity"]

# Largest severity: the scale has no end, and rounding must not give it one.
MOST = float(np.nextafter(100.0, 0.0))


def severity(scores: ArrayLike, calibration: ArrayLike, threshold: float) -> np.ndarray:
    r"""Severity of each score: 0 for a typical normal row, 50 at the threshold, below 100.

    .. math:: 100 \frac{x}{1 + x}, \quad x = \max\Big(0, \frac{s - m}{t - m}\Big)

    with the median :math:`m` of the calibration scores and the threshold :math:`t`: a row twice
    as far above a typical one as the threshold has 67, one ten times as far has 91.

    Parameters
    ----------
    scores : array-like of shape (row,)
        Scores of any rows; larger is more anomalous, missing where a row is not judged.
    calibration : array-like of shape (n,)
        Scores of held-out normal rows, in any order.
    threshold : float
        Score above which a row is an anomaly. Where it is infinite, because no row can be
        flagged, the largest calibration score has 50.

    Returns
    -------
    severities : ndarray of shape (row,)
        In ``[0, 100)``; missing where the score is. The same for the same score whatever batch
        it stands in, and larger for a larger score above the median.

    Raises
    ------
    ValueError
        If ``calibration`` is empty or holds NaN, or ``threshold`` is NaN.
    """
    calibration, scores = check_scores("calibration", calibration), np.asarray(scores, dtype=float)
    if np.isnan(threshold):
        raise ValueError(f"need a threshold; got {threshold}.")
    typical = float(np.median(calibration))
    middle = float(threshold) if np.isfinite(threshold) else float(calibration.max())
    distance = max(middle - typical, TIE * (1 + abs(typical)))
    above = np.maximum(scores - typical, 0.0) / distance
    # As 1 - 1 / (1 + x), which an infinite score does not turn to NaN.
    return np.minimum(100 * (1 - 1 / (1 + above)), MOST)
