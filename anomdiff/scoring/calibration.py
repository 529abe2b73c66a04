"""From errors of components to one score: surprisals on held-out normal rows, averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from anomdiff.scoring.surprisal import surprisals

__all__ = ["MIN_SPREAD", "ScoreCalibration"]

# Spreads below this are rounding, not information.
MIN_SPREAD = 1e-6


@dataclass(frozen=True)
class ScoreCalibration:
    """What held-out normal rows say about each component, and its weight.

    Attributes
    ----------
    held_out : sequence of float Tensor of shape (row, level), or None
        Per component, errors of held-out rows at each level, ascending: errors count by how
        surprising they are among these. None in models of older formats: errors count as they are.
    least_tails : sequence of float
        Per component, the least mean excess of large errors, see ``surprisals``.
    level_mean, level_std : sequence of float Tensor of shape (level,)
        Per component, mean and standard deviation on held-out rows, at each level.
    component_std : sequence of float
        Per component, standard deviation of the mean of its standardised levels.
    weights : sequence of float
        Weight of each component; they add up to 1.
    """

    held_out: Sequence[Tensor] | None
    least_tails: Sequence[float]
    level_mean: Sequence[Tensor]
    level_std: Sequence[Tensor]
    component_std: Sequence[float]
    weights: Sequence[float]

    @classmethod
    def fit(
        cls,
        components: Sequence[Float[Tensor, "row _"]],
        least_tails: Sequence[float] | None = None,
    ) -> "ScoreCalibration":
        """Calibrate on the errors of held-out normal rows; components weigh the same.

        Parameters
        ----------
        components : sequence of float Tensor of shape (row, level)
            One tensor per component.
        least_tails : sequence of float, optional
            Least mean excess of each component: where errors hardly vary, any difference would
            otherwise count as an alarm.
        """
        least_tails = list(least_tails or [MIN_SPREAD] * len(components))
        held_out = [errors.sort(0).values for errors in components]
        surprising = [
            surprisals(errors, known, least)
            for errors, known, least in zip(components, held_out, least_tails, strict=True)
        ]
        mean, std = [each.mean(0) for each in surprising], [_spread(each) for each in surprising]
        spreads = [
            _spread(((each - m) / s).mean(1, keepdim=True)).item()
            for each, m, s in zip(surprising, mean, std, strict=True)
        ]
        weights = [1 / len(components)] * len(components)
        return cls(held_out, least_tails, mean, std, spreads, weights)

    def standardise(
        self, components: Sequence[Float[Tensor, "row _"]]
    ) -> list[Float[Tensor, "row"]]:
        """Mean over levels of each component, in its standard deviations on held-out rows."""
        if self.held_out is not None:
            known = zip(components, self.held_out, self.least_tails, strict=True)
            components = [surprisals(*each) for each in known]
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


def _spread(values: Tensor) -> Tensor:
    """Standard deviation over rows; 1 where it is rounding, or a single row tells nothing."""
    if len(values) < 2:
        return torch.ones_like(values[0])
    std = values.std(0)
    return torch.where(std > MIN_SPREAD, std, 1.0)
