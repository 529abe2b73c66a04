"""From errors of components to one score: standardised on held-out normal rows, and averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["MIN_SPREAD", "ScoreCalibration"]

# Spreads below this (in standard deviations) are rounding, not information.
MIN_SPREAD = 1e-6


@dataclass(frozen=True)
class ScoreCalibration:
    """What held-out normal rows say about each component: location and spread; and its weight.

    Attributes
    ----------
    level_mean, level_std : sequence of float Tensor of shape (level,)
        Per component, mean and standard deviation of the errors at each level.
    component_std : sequence of float
        Per component, standard deviation of the mean of its standardised levels.
    weights : sequence of float
        Weight of each component; they add up to 1.
    """

    level_mean: Sequence[Tensor]
    level_std: Sequence[Tensor]
    component_std: Sequence[float]
    weights: Sequence[float]

    @classmethod
    def fit(
        cls,
        components: Sequence[Float[Tensor, "row _"]],
        weights: Sequence[float] | None = None,
        floors: Sequence[float] | None = None,
    ) -> "ScoreCalibration":
        """Calibrate on the errors of held-out normal rows.

        Parameters
        ----------
        components : sequence of float Tensor of shape (row, level)
            One tensor per component.
        weights : sequence of float, optional
            Weight of each component; equal by default.
        floors : sequence of float, optional
            Smaller spreads count as this one: where a component hardly varies, any difference
            would otherwise count as an alarm.
        """
        weights = weights or [1 / len(components)] * len(components)
        floors = floors or [MIN_SPREAD] * len(components)
        mean = [errors.mean(0) for errors in components]
        std = [_spread(errors, floor) for errors, floor in zip(components, floors, strict=True)]
        standard = [
            ((e - m) / s).mean(1, keepdim=True)
            for e, m, s in zip(components, mean, std, strict=True)
        ]
        # With a single level there is nothing to average, and its floor is to stay.
        spreads = [
            _spread(each, MIN_SPREAD).item() if len(levels) > 1 else 1.0
            for each, levels in zip(standard, std, strict=True)
        ]
        return cls(mean, std, spreads, weights)

    def standardise(
        self, components: Sequence[Float[Tensor, "row _"]]
    ) -> list[Float[Tensor, "row"]]:
        """Mean over levels of each component, in its standard deviations on held-out rows."""
        numbers = zip(components, self.level_mean, self.level_std, self.component_std, strict=True)
        return [((e - m) / s).mean(1) / spread for e, m, s, spread in numbers]

    def score(self, components: Sequence[Float[Tensor, "row _"]]) -> Float[Tensor, "row"]:
        """Weighted mean of the standardised components.

        Parameters
        ----------
        components : sequence of float Tensor of shape (row, level)
            One tensor per component.

        Returns
        -------
        scores : float Tensor of shape (row,)
            In standard deviations of a component on held-out rows; larger is more
            anomalous, about 0 for a typical normal row.
        """
        standard = self.standardise(components)
        first, *others = (w * each for w, each in zip(self.weights, standard, strict=True))
        return sum(others, first)


def _spread(values: Tensor, floor: float) -> Tensor:
    """Standard deviation over rows, no less than ``floor``; 1 where a single row tells nothing."""
    if len(values) < 2:
        return torch.ones_like(values[0])
    return values.std(0).clamp(min=floor)
