"""Flags of a batch of which at most a given share is expected to be false."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from anomdiff.thresholds.checks import check_share

__all__ = ["benjamini_hochberg"]

# Conformal p-values and q are fractions that often tie; rounding must not decide.
ROUNDING = 1e-12


def benjamini_hochberg(p_values: ArrayLike, q: float) -> np.ndarray:
    """Flag rows of a batch so that at most a share ``q`` of the flags is expected to be false.

    Parameters
    ----------
    p_values : array-like of shape (row,)
        P-values of the batch, in ``[0, 1]``; missing ones count as none of the batch.
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
    p_values = np.asarray(p_values, dtype=float)
    known, flags = ~np.isnan(p_values), np.zeros(p_values.shape, dtype=bool)
    if known.any():
        adjusted = false_discovery_control(p_values[known], method="bh")
        flags[known] = adjusted <= q * (1 + ROUNDING)
    return flags
