"""Thresholds that keep alarms within a budget: rows a day, or segments of a series."""

import math
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import betabinom

from anomdiff.thresholds.checks import check_scores, check_share

__all__ = ["budget_threshold", "segment_budget_threshold", "segment_levels"]

# Steps that segments are counted in.
STEPS_COUNTED = 1000


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


def segment_levels(scores: Sequence[ArrayLike], judged: Sequence[ArrayLike]) -> np.ndarray:
    """Scores that so many segments of alarms reach.

    Parameters
    ----------
    scores : sequence of array-like of shape (step,)
        Scores of consecutive steps, one array per series.
    judged : sequence of array-like of shape (step,), bool
        Whether a step can be flagged at all; others end a segment.

    Returns
    -------
    levels : ndarray of shape (n,)
        Descending. With a threshold of ``levels[k]`` or more there are at most ``k`` segments of
        consecutive steps with larger scores.

    Notes
    -----
    A segment begins at a step above the threshold that comes after one which is not. So the number
    of segments falls by one where a threshold passes a local maximum, and rises where it passes a
    local minimum; of the thresholds with ``k`` segments, those count that no larger one exceeds.
    """
    ups, downs = [np.empty(0)], [np.empty(0)]
    for own, can in zip(scores, judged, strict=True):
        heights = np.where(can, own, -np.inf)
        before = np.concatenate([[-np.inf], heights[:-1]])
        rises = heights > before
        ups.append(heights[rises])
        downs.append(before[rises])
    up, down = np.concatenate(ups), np.concatenate(downs)
    places = np.concatenate([up, down[np.isfinite(down)]])
    change = np.repeat([1, -1], [len(up), len(places) - len(up)])
    order = np.lexsort((change, -places))  # minima first: at equal scores a segment goes on
    counts, places = change[order].cumsum(), places[order]
    most = np.maximum.accumulate(counts)
    first = np.flatnonzero(np.diff(most, prepend=0) > 0)
    return places[first]


def segment_budget_threshold(levels: ArrayLike, n_steps: int, segments_per_1000: float) -> float:
    """Threshold at which the segments of alarms among normal steps are about a budget, on average.

    Parameters
    ----------
    levels : array-like of shape (n,)
        From ``segment_levels`` of normal steps, descending.
    n_steps : int
        Number of these steps.
    segments_per_1000 : float
        About how many segments per 1,000 steps, on average, above 0.

    Returns
    -------
    threshold : float
        One of the levels, or infinity where the steps are too few for any.

    Warns
    -----
    UserWarning
        If no step can be flagged.

    Raises
    ------
    TypeError, ValueError
        If ``segments_per_1000`` is no such number.

    Notes
    -----
    The steps have fewer segments than the budget allows them, by one, so that as many new steps
    like them have at most the budget on average; compare ``conformal_threshold``. It is no bound:
    the number varies from period to period, and few steps say little of it.
    """
    if not isinstance(segments_per_1000, Real) or isinstance(segments_per_1000, bool):
        raise TypeError(f"segments_per_1000 must be a number; got {segments_per_1000!r}.")
    if not 0 < segments_per_1000 < math.inf:
        raise ValueError(f"need segments_per_1000 above 0; got {segments_per_1000!r}.")
    levels = np.asarray(levels, dtype=float)
    affordable = math.floor(segments_per_1000 * n_steps / STEPS_COUNTED + 1e-9)
    if affordable and len(levels):
        return float(levels[min(affordable, len(levels)) - 1])
    warnings.warn(
        f"{n_steps} steps are too few for {segments_per_1000} segments per {STEPS_COUNTED} steps, "
        f"so no step will be flagged; need {math.ceil(STEPS_COUNTED / segments_per_1000)} steps.",
        UserWarning,
        stacklevel=2,
    )
    return math.inf
