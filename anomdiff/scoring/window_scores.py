"""Scores of steps: the network's error on windows, and all components' errors put together."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from anomdiff.reference.sliding_windows import (
    WindowComponent,
    sum_by_channel,
    window_blocks,
    without_means,
)

__all__ = [
    "NETWORK_WEIGHT",
    "WindowCalibration",
    "WindowNetwork",
    "optimism",
    "scaled_network",
]

# Weight of the network's component beside the largest and the mean of the others.
NETWORK_WEIGHT = 0.5


@dataclass(frozen=True)
class WindowNetwork(WindowComponent):
    r"""How far the trained denoiser would move windows that carry no noise.

    Parameters
    ----------
    denoiser : nn.Module
        Called as ``denoiser(noisy, sigma, given)``, in evaluation mode.
    length : int
        Steps of a window.
    sigma : float
        Noise level that the denoiser is given, in standard deviations.
    together : bool
        Whether errors of all channels are scaled up together, as in models of older formats.
    """

    denoiser: nn.Module
    length: int
    sigma: float
    together: bool = False
    shares = (0.1,)

    @torch.inference_mode()
    def judge(
        self,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
        starts: Tensor | None = None,
    ) -> tuple[Float[Tensor, "window channel"], Float[Tensor, "window channel place"]]:
        """Squared move of each window by channel, over its expectation on Gaussian data.

        Steps are 0 where not observed; errors are as of ``WindowBank.judge``. The residuals are
        how far single steps are moved, in its standard deviation.
        """
        found, kept = [], []
        scale = self.sigma**2 / (1 + self.sigma**2)
        for _, windows, seen in window_blocks(values, observed, self.length):
            x = without_means(windows, seen)
            level = x.new_full((len(x),), self.sigma)
            moved = self.denoiser(x, level, torch.zeros_like(seen)) - x
            squares = torch.where(seen, moved, 0.0).square() / scale
            found.append(sum_by_channel(squares, seen, together=self.together))
            at = self.places
            residual = moved[:, :, at].abs() / scale**0.5
            kept.append(torch.where(seen[:, :, at], residual, torch.nan).float())
        return torch.cat(found), torch.cat(kept)


def optimism(errors: Float[Tensor, "step channel"], held_out: Bool[Tensor, "step"]) -> float:
    """Mean error of the network on steps it was not trained on over that on those it was.

    At least 1: a network restores what it was trained on better than what is new. The reference
    windows need no such factor: those that overlap a step are not compared with it.
    """
    total = torch.where(errors.isnan().all(1), torch.nan, errors.nansum(1))
    ratio = (total[held_out].nanmean() / total[~held_out].nanmean()).item()
    return max(1.0, ratio) if math.isfinite(ratio) else 1.0


def scaled_network(
    errors: Float[Tensor, "component step channel"],
    network: int,
    ratio: float,
    held_out: Bool[Tensor, "step"],
) -> Float[Tensor, "component step channel"]:
    """Errors, those of the component of this number multiplied by ``ratio`` if not held out."""
    scaled = errors.clone()
    scaled[network] = torch.where(held_out[:, None], errors[network], ratio * errors[network])
    return scaled


@dataclass(frozen=True)
class WindowCalibration:
    """What errors of normal steps are like, component by component; the last is the network.

    Parameters
    ----------
    mean, spread : float Tensor of shape (component,)
        Location and scale.
    channels : float Tensor of shape (component, channel), or None
        Usual error of each channel, which stands for a missing one; None in models of older
        formats, whose components are missing where a channel is.
    """

    mean: Tensor
    spread: Tensor
    channels: Tensor | None = None

    @classmethod
    def fit(
        cls, errors: Float[Tensor, "component step channel"], noise_floors: list[float]
    ) -> "WindowCalibration":
        """Calibrate on the errors of normal steps, NaN where missing.

        Differences below its noise floor are noise in a component.
        """
        channels = errors.nanmean(1).nan_to_num(0.0)
        totals = [total[~total.isnan()] for total in _totals(errors, channels)]
        # A component that no segment of training was long enough for is missing.
        mean = torch.stack([t.mean() if len(t) else t.new_zeros(()) for t in totals])
        spread = torch.stack([t.std(correction=0) if len(t) else t.new_ones(()) for t in totals])
        return cls(mean, spread + torch.tensor(noise_floors, dtype=spread.dtype), channels)

    def score(
        self, errors: Float[Tensor, "component step channel"]
    ) -> tuple[Float[Tensor, "step"], Float[Tensor, "step channel"]]:
        """Score each step, and say how much of it each channel contributes.

        A score is half the network's standardised error, plus the largest of the others, plus
        their mean: the largest is that of the length that fits an anomaly, the mean steadies it.

        Parameters
        ----------
        errors : float Tensor of shape (component, step, channel)
            Errors folded back to steps, NaN where missing.

        Returns
        -------
        scores : float Tensor of shape (step,)
            About 0 for normal steps, and where everything is missing.
        contributions : float Tensor of shape (step, channel)
            What each channel's error adds to the score; over channels they sum up to the score,
            but for a constant that a step without any error would get, and for missing channels.
        """
        totals = _totals(errors, self.channels)
        standard = (totals - self.mean[:, None]) / self.spread[:, None]
        known = ~standard.isnan()
        others = torch.where(known, standard, -torch.inf)[:-1]
        weights = known.to(standard)
        weights[:-1] /= weights[:-1].sum(0).clamp(min=1)
        weights[:-1] += F.one_hot(others.argmax(0), len(others)).T
        weights[-1] *= NETWORK_WEIGHT
        weights = torch.where(known, weights, 0.0)
        scores = (weights * standard.nan_to_num(0.0)).sum(0)
        per_error = (weights / self.spread[:, None])[:, :, None]
        return scores, (per_error * errors.nan_to_num(0.0)).sum(0)


def _totals(
    errors: Float[Tensor, "component step channel"],
    channels: Float[Tensor, "component channel"] | None,
) -> Float[Tensor, "component step"]:
    """Errors of all channels together, a missing one as it usually is; NaN without any."""
    if channels is None:
        return errors.sum(2)
    missing = errors.isnan()
    totals = torch.where(missing, channels[:, None], errors).sum(2)
    return torch.where(missing.all(2), torch.nan, totals)
