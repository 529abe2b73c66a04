"""Segments of a series over which evidence adds up, found step after step.

The cumulative sum of log-likelihood ratios rises over steps that are better explained by an
anomaly and falls over normal ones. A segment goes from where it starts to rise to where it is
highest; it ends when the sum is back at its start, has fallen a given way below its highest, or the
segment would be too long. So it depends on a bounded number of steps to come: a stream can say
when it is final.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["DRAWDOWN", "MOST_STEPS", "Excursion", "excursions"]

# Fall of the sum, in nats, after which a segment has ended, and its most steps.
DRAWDOWN, MOST_STEPS = 40.0, 256


class Excursion(NamedTuple):
    """A segment from its first step up to ``stop``, and what its ratios add up to."""

    start: int
    stop: int
    total: float


def excursions(
    ratios: Float[np.ndarray, "step"], drawdown: float = DRAWDOWN, most_steps: int = MOST_STEPS
) -> list[Excursion]:
    """Find the segments of positive sum, in order; they do not overlap.

    Parameters
    ----------
    ratios : ndarray of shape (step,)
        Log-likelihood ratios of an anomaly over a normal step, in nats; negative on average where
        all is normal.
    drawdown : float
        Fall below its highest, in nats, that ends a segment.
    most_steps : int
        Steps of a segment at most.

    References
    ----------
    Page (1954), "Continuous Inspection Schemes"; without the bounds, the segments are the first
    ones of Ruzzo and Tompa (1999), "A Linear Time Algorithm for Finding All Maximal Scoring
    Subsequences".
    """
    sums = np.concatenate([[0.0], np.cumsum(ratios)])
    runs = _positive_runs(ratios > 0, most_steps)
    level = sums[runs].tolist()
    runs = runs.tolist()
    found, first = list[Excursion](), 0
    while first < len(runs):
        base, last, peak = level[first][0], first, level[first][1]
        for place in range(first + 1, len(runs)):
            low, high = level[place]
            too_long = runs[place][1] - runs[first][0] > most_steps
            if low <= base or peak - low >= drawdown or too_long:
                break
            if high > peak:
                peak, last = high, place
        found.append(Excursion(runs[first][0], runs[last][1], peak - base))
        first = last + 1
    return found


def _positive_runs(positive: np.ndarray, most_steps: int) -> np.ndarray:
    """Starts and stops of the runs of positive steps, cut after ``most_steps``, (run, 2)."""
    edges = np.flatnonzero(np.diff(positive.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    parts = -(-(edges[:, 1] - edges[:, 0]) // most_steps)
    if (parts <= 1).all():
        return edges
    owner = np.repeat(np.arange(len(edges)), parts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts)
    starts = edges[owner, 0] + within * most_steps
    return np.stack([starts, np.minimum(starts + most_steps, edges[owner, 1])], axis=1)
