"""Thresholds for alarms rarer than calibration rows can show."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import genpareto

from anomdiff.thresholds.checks import check_scores, check_share

__all__ = ["tail_threshold"]

# Fewest scores beyond the start of the tail that a shape can be estimated from.
MIN_EXCESSES = 20


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
