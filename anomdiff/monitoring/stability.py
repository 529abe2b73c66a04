"""Population stability index: how far two distributions over the same bins are apart."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

__all__ = ["population_stability", "psi_by_chance"]

MIN_SHARE = 1e-4  # of a bin: the index of an empty one would be infinite


def population_stability(expected: ArrayLike, actual: ArrayLike) -> float:
    r"""Population stability index of two distributions over the same bins.

    .. math:: PSI = \sum_b (a_b - e_b) \ln \frac{a_b}{e_b}

    Shares, or counts, are divided by their sums; a share below 0.0001 counts as that. The index is
    0 for equal distributions, and larger the more they differ.
    """
    e, a = np.asarray(expected, float), np.asarray(actual, float)
    if e.shape != a.shape or e.sum() <= 0 or a.sum() <= 0:
        raise ValueError(
            f"need two distributions over the same bins; got shapes {e.shape} and {a.shape} "
            f"with sums {e.sum():g} and {a.sum():g}."
        )
    e, a = (np.maximum(shares / shares.sum(), MIN_SHARE) for shares in (e, a))
    return float(((a - e) * np.log(a / e)).sum())


def psi_by_chance(n_bins: int, n_before: int, n_now: int, level: float = 0.001) -> float:
    """Index that two samples of one distribution exceed with probability `level`.

    References
    ----------
    Yurdakul and Naranjo (2020), "Statistical properties of the population stability index":
    without drift the index is about ``(1/n + 1/m)`` times chi-square with ``bins - 1`` degrees.
    """
    return float(chi2.isf(level, max(n_bins - 1, 1)) * (1 / n_before + 1 / n_now))
