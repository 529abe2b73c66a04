"""From misses to one score, and from scores to p-values and thresholds, on held-out normal rows."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

# Spreads below this (in standard deviations) are rounding, not information.
MIN_SPREAD = 1e-6


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


def _spread(values: Tensor, floor: float) -> Tensor:
    """Standard deviation over rows, no less than ``floor``; 1 where a single row tells nothing."""
    if len(values) < 2:
        return torch.ones_like(values[0])
    return values.std(0).clamp(min=floor)
