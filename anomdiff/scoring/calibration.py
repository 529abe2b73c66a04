"""From misses to one score, and from scores to p-values and thresholds, on held-out normal rows."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

# Spreads below this (in standard deviations) are rounding, not information.
MIN_SPREAD = 1e-6
# Scores this near, relative to 1 + their size, are equal: the same row scores a little otherwise in
# another batch, and where rows repeat it would at times be flagged for that.
TIE = 1e-5


@dataclass(frozen=True)
class ScoreCalibration:
    """What held-out normal rows say about each voice: location and spread; and its weight.

    Attributes
    ----------
    level_mean, level_std : list of float Tensor of shape (level,)
        Per voice, mean and standard deviation of the misses at each level.
    voice_std : list of float
        Per voice, standard deviation of the mean of its standardised levels.
    weights : list of float
        Weight of each voice; they add up to 1.
    """

    level_mean: list[Tensor]
    level_std: list[Tensor]
    voice_std: list[float]
    weights: list[float]

    @classmethod
    def fit(
        cls,
        misses: list[Float[Tensor, "row _"]],
        weights: list[float] | None = None,
        least: list[float] | None = None,
    ) -> "ScoreCalibration":
        """Calibrate on the misses of held-out normal rows.

        Parameters
        ----------
        misses : list of float Tensor of shape (row, level)
            One tensor per voice.
        weights : list of float, optional
            Weight of each voice; equal by default.
        least : list of float, optional
            Smaller spreads count as this one: where a voice hardly varies, its least stir
            would otherwise count as an alarm.
        """
        weights = weights or [1 / len(misses)] * len(misses)
        least = least or [MIN_SPREAD] * len(misses)
        mean = [voice.mean(0) for voice in misses]
        std = [_spread(voice, floor) for voice, floor in zip(misses, least, strict=True)]
        standard = [
            ((v - m) / s).mean(1, keepdim=True) for v, m, s in zip(misses, mean, std, strict=True)
        ]
        # With a single level there is nothing to average, and its floor is to stay.
        spreads = [
            _spread(voice, MIN_SPREAD).item() if len(levels) > 1 else 1.0
            for voice, levels in zip(standard, std, strict=True)
        ]
        return cls(mean, std, spreads, weights)

    def score(self, misses: list[Float[Tensor, "row _"]]) -> Float[Tensor, "row"]:
        """Weighted mean over voices of the standardised mean over levels of standardised misses.

        Parameters
        ----------
        misses : list of float Tensor of shape (row, level)
            One tensor per voice.

        Returns
        -------
        scores : float Tensor of shape (row,)
            In standard deviations of a voice on held-out rows; larger is more
            anomalous, about 0 for a typical normal row.
        """
        numbers = zip(misses, self.level_mean, self.level_std, self.voice_std, strict=True)
        voices = [((v - m) / s).mean(1) / spread for v, m, s, spread in numbers]
        return sum(weight * voice for weight, voice in zip(self.weights, voices, strict=True))


def conformal_p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Split-conformal p-value of each score.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Scores of held-out normal rows, sorted ascending.
    scores : ndarray of shape (row,)
        Scores to judge; larger is more anomalous.

    Returns
    -------
    p_values : ndarray of shape (row,)
        ``(1 + #{c >= s}) / (1 + n)``, in ``(0, 1]``, where a score that is larger by rounding
        alone counts as equal; under exchangeability a normal row has ``p <= alpha`` with
        probability at most ``alpha``.

    References
    ----------
    Vovk et al. (2005), "Algorithmic Learning in a Random World", eq. 2.20; Bates et
    al. (2023), "Testing for Outliers with Conformal p-values", eq. 3.
    """
    n = len(calibration)
    return (1 + n - np.searchsorted(largest_ties(calibration), scores, side="left")) / (1 + n)


def conformal_threshold(calibration: np.ndarray, alpha: float) -> float:
    """Threshold with ``score > threshold`` exactly where the p-value is at most ``alpha``.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Scores of held-out normal rows, sorted ascending.
    alpha : float
        Share of alarms among normal rows, in ``(0, 1)``.

    Returns
    -------
    threshold : float
        The largest score equal to one of the calibration scores, or infinity where ``n`` is
        too small for any p-value to reach ``alpha``.

    Warns
    -----
    UserWarning
        If no row can be flagged.
    """
    n = len(calibration)
    # The same division as in the p-values: threshold and p-value then agree to the last bit.
    allowed = np.searchsorted(np.arange(1, n + 2) / (1 + n), alpha, side="right") - 1
    if allowed < 0:
        warnings.warn(
            f"alpha={alpha} needs at least {needed_rows(alpha)} held-out rows; "
            f"there are {n}, so no row will be flagged.",
            UserWarning,
            stacklevel=3,
        )
        return math.inf
    return float(largest_ties(calibration[n - 1 - allowed]))


def largest_ties(scores: np.ndarray | float) -> np.ndarray | float:
    """Largest scores that differ from these by rounding alone."""
    return scores + TIE * (1 + np.abs(scores))


def safely_below(threshold: float) -> float:
    """Score that is not above a threshold in any batch; that of the row that sets it still is."""
    return threshold - TIE / 2 * (1 + abs(threshold))


def needed_rows(alpha: float) -> int:
    """Fewest held-out rows with which a p-value can reach ``alpha``."""
    return math.ceil(1 / alpha - 1e-9) - 1


def _spread(values: Tensor, floor: float) -> Tensor:
    """Standard deviation over rows, no less than ``floor``; 1 where a single row tells nothing."""
    if len(values) < 2:
        return torch.ones_like(values[0])
    return values.std(0).clamp(min=floor)
