"""How far two distributions over the same bins are apart: stability index, share that is lost."""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import gamma

__all__ = ["lost_by_chance", "lost_share", "population_stability"]

MIN_SHARE = 1e-4  # of a bin: the index of an empty one would be infinite
SIMULATIONS = 4000
# A quantile is drawn where so many simulated shares are beyond it.
LARGEST_SIMULATED = 4


def population_stability(expected: ArrayLike, actual: ArrayLike) -> float:
    r"""Population stability index of two distributions over the same bins.

    .. math:: PSI = \sum_b (a_b - e_b) \ln \frac{a_b}{e_b}

    Shares, or counts, are divided by their sums; a share below 0.0001 counts as that. The index is
    0 for equal distributions, and larger the more they differ.
    """
    shares = [np.maximum(each, MIN_SHARE) for each in _shares(expected, actual)]
    e, a = shares
    return float(((a - e) * np.log(a / e)).sum())


def lost_share(expected: ArrayLike, actual: ArrayLike, odd: float = 0.0) -> float:
    r"""Share of rows that bins have lost, beyond what odd rows in their place can explain.

    .. math:: \sum_b \max(0, (1 - \epsilon) e_b - a_b)

    A batch of which a share :math:`\epsilon` are odd rows, whatever these are, and the others are
    distributed as before, has at least :math:`(1 - \epsilon) e_b` of its rows in each bin; so it
    loses nothing but by chance. With no odd rows this is the total variation distance.

    Parameters
    ----------
    expected, actual : array-like of shape (bin,)
        Shares or counts.
    odd : float
        Share of odd rows, :math:`\epsilon`.

    References
    ----------
    The gross-error model: Huber (1964), "Robust Estimation of a Location Parameter".
    """
    e, a = _shares(expected, actual)
    return float(_lost(e, a, odd))


def lost_by_chance(
    expected: ArrayLike, n_before: int, n_now: int, odd: float, level: float
) -> float:
    """Lost share that a batch without drift exceeds with probability `level` at most.

    The odd rows are worst where they are in no bin of before: then every bin has as few rows as
    odd rows allow. Samples are drawn of both; far out, the gamma distribution of their moments
    tells the quantile.

    Parameters
    ----------
    expected : array-like of shape (bin,)
        Shares of the bins before.
    n_before, n_now : int
        Rows of the two samples.
    odd : float
        Share of odd rows in the second.
    level : float
        Probability.
    """
    shares = np.asarray(expected, float)
    smoothed = (n_before * shares / shares.sum() + 0.5) / (n_before + 0.5 * len(shares))
    return _simulated(tuple(smoothed.round(4).tolist()), n_before, n_now, odd, level)


@lru_cache(maxsize=256)  # most columns of numbers have the same shares
def _simulated(
    shares: tuple[float, ...], n_before: int, n_now: int, odd: float, level: float
) -> float:
    """Quantile of the lost share of samples that are drawn from the same shares."""
    rng = np.random.default_rng(0)
    chances = np.array(shares) / sum(shares)
    before = rng.multinomial(n_before, chances, SIMULATIONS) / n_before
    now = rng.multinomial(n_now, [*(1 - odd) * chances, odd], SIMULATIONS)[:, :-1] / n_now
    lost = _lost(before, now, odd)
    if level * SIMULATIONS >= LARGEST_SIMULATED:
        return float(np.quantile(lost, 1 - level))
    mean, variance = lost.mean(), lost.var()
    if not variance > 0:
        return float(lost.max())
    tail = gamma.isf(level, mean**2 / variance, scale=variance / mean)
    return float(max(tail, lost.max()))


def _lost(expected: np.ndarray, actual: np.ndarray, odd: float) -> np.ndarray:
    """Lost shares, over the last axis."""
    return np.maximum((1 - odd) * expected - actual, 0.0).sum(-1)


def _shares(expected: ArrayLike, actual: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    e, a = np.asarray(expected, float), np.asarray(actual, float)
    if e.shape != a.shape or e.sum() <= 0 or a.sum() <= 0:
        raise ValueError(
            f"need two distributions over the same bins; got shapes {e.shape} and {a.shape} "
            f"with sums {e.sum():g} and {a.sum():g}."
        )
    return e / e.sum(), a / a.sum()
