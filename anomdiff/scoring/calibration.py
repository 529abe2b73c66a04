"""From errors of components to one score: surprisals on held-out rows, their mean and maximum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from anomdiff.scoring.surprisal import Surprisal

__all__ = ["LEAST_TAIL", "ScoreCalibration"]

# Spreads below this are rounding, not information.
MIN_SPREAD = 1e-6
# Least mean excess of large errors: the network's errors are exact to about 1e-7, and what the
# tail makes of that must stay far below a surprisal that counts.
LEAST_TAIL = 1e-3


@dataclass(frozen=True)
class ScoreCalibration:
    """What held-out normal rows say about each component, and its weight.

    Attributes
    ----------
    surprisals : sequence of Surprisal, or None
        Per component, how surprising errors are among those of held-out rows. None in models of
        older formats: errors count as they are.
    level_mean, level_std : sequence of float Tensor of shape (level,)
        Per component, mean and standard deviation on held-out rows, at each level.
    component_std : sequence of float
        Per component, standard deviation of the mean of its standardised levels.
    weights : sequence of float
        Weight of each component; they add up to 1.
    maximum_share : float
        How much of the score is the largest weighted component instead of their mean; 0 in models
        of older formats.
    """

    surprisals: Sequence[Surprisal] | None
    level_mean: Sequence[Tensor]
    level_std: Sequence[Tensor]
    component_std: Sequence[float]
    weights: Sequence[float]
    maximum_share: float = 0.0

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
        least_tails = list(least_tails or [LEAST_TAIL] * len(components))
        fitted = zip(components, least_tails, strict=True)
        surprisals = [Surprisal.fit(errors, least) for errors, least in fitted]
        pairs = zip(surprisals, components, strict=True)
        surprising = [surprisal(errors) for surprisal, errors in pairs]
        mean, std = [each.mean(0) for each in surprising], [_spread(each) for each in surprising]
        spreads = [
            _spread(((each - m) / s).mean(1, keepdim=True)).item()
            for each, m, s in zip(surprising, mean, std, strict=True)
        ]
        weights = [1 / len(components)] * len(components)
        return cls(surprisals, mean, std, spreads, weights)

    def standardise(
        self, components: Sequence[Float[Tensor, "row _"]]
    ) -> list[Float[Tensor, "row"]]:
        """Mean over levels of each component, in its standard deviations on held-out rows."""
        if self.surprisals is not None:
            pairs = zip(self.surprisals, components, strict=True)
            components = [surprisal(errors) for surprisal, errors in pairs]
        numbers = zip(components, self.level_mean, self.level_std, self.component_std, strict=True)
        return [((e - m) / s).mean(1) / spread for e, m, s, spread in numbers]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON values and tensors."""
        lists = ("level_mean", "level_std", "component_std", "weights")
        known = None if self.surprisals is None else [each.to_dict() for each in self.surprisals]
        return {
            "surprisals": known,
            **{name: list(getattr(self, name)) for name in lists},
            "maximum_share": self.maximum_share,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ScoreCalibration":
        """Rebuild a calibration from `to_dict`."""
        known = state["surprisals"]
        surprisals = None if known is None else [Surprisal(**each) for each in known]
        return cls(**{**state, "surprisals": surprisals})

    def score(self, components: Sequence[Float[Tensor, "row _"]]) -> Float[Tensor, "row"]:
        """Score rows from the errors of their components.

        Parameters
        ----------
        components : sequence of float Tensor of shape (row, level)
            One tensor per component.

        Returns
        -------
        scores : float Tensor of shape (row,)
            Larger is more anomalous, about 0 for a typical normal row; see ``combine``.
        """
        return self.combine(self.standardise(components))

    def combine(self, standard: Sequence[Float[Tensor, "row"]]) -> Float[Tensor, "row"]:
        r"""Weighted mean of standardised components, and the largest of them.

        .. math:: s = (1 - m) \sum_c w_c s_c + m \max_c k w_c s_c

        with the weights :math:`w_c` of the :math:`k` components and the share :math:`m` of the
        maximum: what a single component sees is not averaged away.

        Parameters
        ----------
        standard : sequence of float Tensor of shape (row,)
            As from ``standardise``.

        References
        ----------
        Means of the average and the maximum of detectors: Aggarwal and Sathe (2015),
        "Theoretical Foundations and Algorithms for Outlier Ensembles".
        """
        weighted = [w * each for w, each in zip(self.weights, standard, strict=True)]
        mean, share = sum(weighted[1:], weighted[0]), self.maximum_share
        if not share:
            return mean
        largest = len(weighted) * torch.stack(weighted).amax(0)
        return (1 - share) * mean + share * largest


def _spread(values: Tensor) -> Tensor:
    """Standard deviation over rows; 1 where it is rounding, or a single row tells nothing."""
    if len(values) < 2:
        return torch.ones_like(values[0])
    std = values.std(0)
    return torch.where(std > MIN_SPREAD, std, 1.0)
