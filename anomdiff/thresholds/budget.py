"""Thresholds that keep a day's alarms within a budget."""

import math
import warnings
from bisect import bisect_right

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import betabinom

from anomdiff.thresholds.checks import check_scores, check_share

__all__ = ["budget_threshold"]


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
