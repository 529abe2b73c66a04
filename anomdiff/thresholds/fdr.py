"""Flags of a batch of which at most a given share is expected to be false."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import false_discovery_control

from anomdiff.thresholds.checks import check_share

__all__ = ["benjamini_hochberg", "q_values"]

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


def q_values(p_values: ArrayLike, counts: ArrayLike | None = None) -> np.ndarray:
    """Least false-discovery rate at which ``benjamini_hochberg`` flags each row of a batch.

    Parameters
    ----------
    p_values : array-like of shape (n,)
        P-values of the batch, in ``[0, 1]``; missing ones count as none of the batch.
    counts : array-like of shape (n,), optional
        How many rows have each p-value, where they are given once each; 1 by default.

    Returns
    -------
    q_values : ndarray of shape (n,)
        In ``[0, 1]``, missing where the p-value is; no smaller for a larger p-value.

    Raises
    ------
    ValueError
        If a p-value is out of its range, or ``counts`` has another shape.

    References
    ----------
    Benjamini and Hochberg (1995); as adjusted p-values: Yekutieli and Benjamini (1999),
    "Resampling-Based False Discovery Rate Controlling Multiple Test Procedures".
    """
    p_values = np.asarray(p_values, dtype=float)
    rows = np.ones(p_values.shape) if counts is None else np.asarray(counts, dtype=float)
    if rows.shape != p_values.shape:
        raise ValueError(f"need counts of shape {p_values.shape}; got {rows.shape}.")
    known = np.flatnonzero(~np.isnan(p_values))
    if ((p_values[known] < 0) | (p_values[known] > 1)).any():
        raise ValueError(
            f"need p_values between 0 and 1; got {p_values[known].min()} to "
            f"{p_values[known].max()}."
        )
    found = np.full(p_values.shape, np.nan)
    order = known[np.argsort(p_values[known], kind="stable")]
    ranks = np.cumsum(rows[order])
    if len(order):
        rates = p_values[order] * ranks[-1] / ranks
        found[order] = np.minimum(np.minimum.accumulate(rates[::-1])[::-1], 1.0)
    return found
