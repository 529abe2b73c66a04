"""The closed form for single steps: what a Gaussian process would put between the neighbours."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from anomdiff.reference.sliding_windows import NOISE, WindowComponent, cut_windows

__all__ = ["StepRegression"]

# Neighbours used on either side.
REACH = 8
# Ridge, in variances of the channel: neighbours may be copies of each other.
RIDGE = 1e-2


@dataclass(frozen=True)
class StepRegression(WindowComponent):
    r"""Each step from the steps around it, channel by channel.

    For Gaussian data this is the posterior mean of the step given its neighbours, and the limit
    of the denoiser for a step whose noise grows while its neighbours are given. It is sensitive
    to a single step that is off, which windows blur.

    Parameters
    ----------
    weights : float Tensor of shape (channel, 2 * REACH + 1)
        Of the neighbours; 0 in the middle.
    """

    weights: Tensor

    length = 2 * REACH + 1
    shares = (0.0,)

    @property
    def noise_floor(self) -> float:
        """Squared error below which differences are noise."""
        return NOISE * REACH

    @classmethod
    def fit(cls, windows: Float[Tensor, "window channel time"]) -> "StepRegression":
        """Fit by ridge regression to windows of ``length`` steps, without their means."""
        if not len(windows):  # nothing is that long: no step will have such a window either
            return cls(torch.zeros(windows.shape[1], cls.length, dtype=windows.dtype))
        around = torch.arange(cls.length) != REACH
        x, y = windows[:, :, around].transpose(0, 1), windows[:, :, REACH].T[:, :, None]
        gram = x.mT @ x / len(windows) + RIDGE * torch.eye(2 * REACH, dtype=x.dtype)
        solved = torch.linalg.solve(gram, x.mT @ y / len(windows))[:, :, 0]
        weights = torch.zeros(len(solved), cls.length, dtype=x.dtype)
        weights[:, around] = solved
        return cls(weights)

    @property
    def places(self) -> Tensor:
        """The middle step."""
        return torch.tensor([REACH])

    @torch.inference_mode()
    def judge(
        self,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
        starts: Tensor | None = None,
    ) -> tuple[Float[Tensor, "window channel"], Float[Tensor, "window channel 1"]]:
        """Squared error of the middle step of each window, over the number of channels.

        And its absolute residual; NaN where an entry of the window is missing.
        """
        x, seen = cut_windows(values, observed, self.length)
        residual = (x[:, :, REACH] - (x * self.weights).sum(2)).abs()
        residual = torch.where(seen.all(2), residual, torch.nan)
        return residual.square() / values.shape[1], residual[:, :, None].float()

    def fold(self, errors: Float[Tensor, "window channel"]) -> Float[Tensor, "step channel"]:
        """Squared error of each step; NaN at both ends."""
        return F.pad(errors, (0, 0, REACH, REACH), value=torch.nan)
