"""Population stability index: how far two distributions over the same bins are apart."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2, gamma

__all__ = ["population_stability", "psi_by_chance"]

MIN_SHARE = 1e-4  # of a bin: the index of an empty one would be infinite
# Where a bin is expected to hold fewer rows than this, the index is far from chi-square.
MANY_IN_A_BIN = 50
SIMULATIONS = 4000
# A quantile is drawn where so many simulated indices are beyond it.
LARGEST_SIMULATED = 4


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
    return float(_indices(e / e.sum(), a / a.sum()))


def psi_by_chance(expected: ArrayLike, n_before: int, n_now: int, level: float = 0.001) -> float:
    """Index that two samples of one distribution exceed with probability `level`.

    Without drift the index is about ``(1/n + 1/m)`` times chi-square with ``bins - 1`` degrees. In
    a small batch, where bins are empty by chance, it is larger: there samples are drawn.

    Parameters
    ----------
    expected : array-like of shape (bin,)
        Shares of the bins.
    n_before, n_now : int
        Rows of the two samples.
    level : float
        Probability.

    References
    ----------
    Yurdakul and Naranjo (2020), "Statistical properties of the population stability index".
    """
    shares = np.asarray(expected, float)
    smoothed = (n_before * shares / shares.sum() + 0.5) / (n_before + 0.5 * len(shares))
    if smoothed.min() * min(n_before, n_now) >= MANY_IN_A_BIN:
        return float(chi2.isf(level, max(len(shares) - 1, 1)) * (1 / n_before + 1 / n_now))
    return _simulated(tuple(smoothed.round(4).tolist()), n_before, n_now, level)


@lru_cache(maxsize=256)  # most columns of numbers have the same shares
def _simulated(shares: tuple[float, ...], n_before: int, n_now: int, level: float) -> float:
    """Quantile of the index of samples that are drawn from the same shares."""
    rng = np.random.default_rng(0)
    chances = np.array(shares) / sum(shares)
    before, now = (rng.multinomial(n, chances, SIMULATIONS) / n for n in (n_before, n_now))
    indices = _indices(before, now)
    if level * SIMULATIONS >= LARGEST_SIMULATED:
        return float(np.quantile(indices, 1 - level))
    # Beyond what was drawn: the gamma distribution, of which chi-square is one, of its moments.
    mean, variance = indices.mean(), indices.var()
    if not variance > 0:
        return float(indices.max())
    tail = gamma.isf(level, mean**2 / variance, scale=variance / mean)
    return float(max(tail, indices.max()))


def _indices(expected: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Indices of shares, over the last axis."""
    e, a = np.maximum(expected, MIN_SHARE), np.maximum(actual, MIN_SHARE)
    return ((a - e) * np.log(a / e)).sum(-1)
