"""Too quiet is an anomaly: how little a channel moves around a step."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.reference.sliding_windows import LEAST_SHARE, WindowComponent

__all__ = ["LocalVariation"]

# Mean difference, in standard deviations, below which differences are rounding.
LEAST_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class LocalVariation(WindowComponent):
    """One over the mean absolute difference of neighbouring steps within a window.

    It is large where a sensor is frozen or an oscillation is missing, which has a near neighbour
    among normal windows wherever these are quiet for a while.

    Parameters
    ----------
    length : int
        Steps of a window.
    """

    length: int
    shares = (0.0,)

    @property
    def places(self) -> Tensor:
        """The middle step."""
        return torch.tensor([self.length // 2])

    def judge(
        self,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
        starts: Tensor | None = None,
    ) -> tuple[Float[Tensor, "window channel"], Float[Tensor, "window channel 1"]]:
        """No squared error (NaN), and the quietness of each window, in 1 / standard deviations.

        NaN where less than half of the differences are known.
        """
        known = observed[1:] & observed[:-1]
        steps = torch.where(known, values.diff(dim=0).abs(), 0.0)
        count = known.to(values).unfold(0, self.length - 1, 1).sum(2)
        mean = steps.unfold(0, self.length - 1, 1).sum(2) / count.clamp(min=1)
        quiet = (mean + LEAST_DIFFERENCE).reciprocal()
        quiet = torch.where(count >= LEAST_SHARE * (self.length - 1), quiet, torch.nan)
        return torch.full_like(quiet, torch.nan), quiet[:, :, None].float()
