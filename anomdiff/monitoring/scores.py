"""Drift of a batch's scores and of its share of alarms against those of held-out normal rows.

A few odd rows are anomalies, not drift: the highest alarms, up to the share that may be odd, are
left out before scores (and columns) are compared, of the scores that calibrate those above the
threshold too. What is left of a batch without drift is distributed as what is left of the held-out
rows, whatever the anomalies are that raised alarms.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import betabinom, binom

__all__ = ["alarm_drift", "alarms_by_chance", "score_drift", "without_alarms"]


def without_alarms(scores: ArrayLike, threshold: float, most: float) -> np.ndarray:
    """Tell the rows to compare, bool of shape (row,): all but the highest alarms.

    Rows whose score is above the threshold are left out, ``floor(most * row)`` at most: what is
    beyond that is no few anomalies, and stays. Rows without a score stay.
    """
    found = np.nan_to_num(np.asarray(scores, float), nan=-np.inf)
    kept, highest = np.ones(len(found), dtype=bool), np.argsort(-found, kind="stable")
    odd = highest[: int(most * len(found))]
    kept[odd[found[odd] > threshold]] = False
    return kept


def score_drift(
    calibration: ArrayLike,
    scores: ArrayLike,
    threshold: float = np.inf,
    most: float = 0.0,
    odd: float = 0.0,
) -> dict[str, float]:
    r"""Kolmogorov-Smirnov distance of a batch's scores from those of held-out normal rows.

    Up to a share :math:`\epsilon` of odd rows, whatever their scores, a batch without drift has
    :math:`F_{batch} \ge (1 - \epsilon) F`, and the same of what is above; the p-value is that of
    the largest shortfall, by the one-sided Kolmogorov-Smirnov test in both directions.

    Parameters
    ----------
    calibration, scores : array-like of shape (n,) and (row,)
        Scores of held-out rows, and of the batch.
    threshold : float
        Above it are alarms, which are left out of both unless nothing else is held out.
    most : float
        Share of the batch that is left out at most.
    odd : float
        Share of odd rows among the others, :math:`\epsilon`.

    Returns
    -------
    drift : dict
        ``ks``, from 0 to 1, and its ``p_value``; ``higher``, the chance that a score of the
        batch is above a held-out one, less one half: positive where scores have risen.
    """
    known, batch = np.sort(np.asarray(calibration, float)), np.asarray(scores, float)
    kept = without_alarms(batch, threshold, most)
    if (known <= threshold).any() and kept.any():
        known, batch = known[known <= threshold], batch[kept]
    at = np.concatenate([known, batch])
    below = [
        np.searchsorted(np.sort(each), at, side="right") / len(each) for each in (known, batch)
    ]
    short = max(((1 - odd) * f - g).max() for f, g in (below, [1 - each for each in below]))
    size = len(known) * len(batch) / (len(known) + len(batch))
    p_value = min(1.0, 2 * float(np.exp(-2 * size * max(short, 0.0) ** 2)))
    places = [np.searchsorted(known, batch, side=side) for side in ("left", "right")]
    higher = float(np.mean(places) / len(known)) - 0.5
    ks = float(np.abs(below[0] - below[1]).max())
    return {"ks": ks, "p_value": p_value, "higher": higher}


def alarm_drift(
    alarms: int,
    rows: int,
    alpha: float,
    calibration: tuple[int, int] | None = None,
    odd: float = 0.0,
) -> dict[str, float]:
    """Share of alarms in a batch, and the p-value of its distance from ``alpha``.

    What is too much counts from where so many odd rows, each of them an alarm, explain it.

    Parameters
    ----------
    alarms, rows : int
        Of the batch.
    alpha : float
        Share of alarms among normal rows that is meant.
    calibration : pair of int, optional
        Rows that calibrate, and how many of them score above the threshold. The share of alarms
        that a threshold has is then known as well as so many rows tell, by the beta-binomial
        distribution; without them it counts as ``alpha`` exactly.
    odd : float
        Share of rows that may be odd.
    """
    by_chance = binom(rows, alpha) if calibration is None else alarms_by_chance(rows, *calibration)
    tails = by_chance.cdf(alarms), by_chance.sf(alarms - 1 - int(odd * rows))
    p_value = min(1.0, 2 * min(tails))
    return {"alarm_rate": alarms / rows, "alpha": alpha, "p_value": float(p_value)}


def alarms_by_chance(rows: int, n_calibration: int, above: float) -> Any:
    """Alarms among new normal rows, as a distribution of scipy.

    The share of scores above one of ``n_calibration`` exchangeable ones, which ``above`` of them
    exceed, is a beta variable (the order statistics of uniform numbers).

    References
    ----------
    David and Nagaraja (2003), "Order Statistics", section 2.1.
    """
    return betabinom(rows, above + 1, max(n_calibration - above, 1))
