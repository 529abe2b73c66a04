"""What follows a segment: two exact denoisers complete the window, and their residuals are kept."""

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomdiff.conditional import constants as tuned
from anomdiff.conditional.stacking import convex_weights

__all__ = ["Forecaster"]


@dataclass(frozen=True)
class Forecaster:
    r"""Completes windows of which only the first part is given.

    Two denoisers know in closed form what the noise-free past of a window says about the rest:

    - for Gaussian data :math:`\Sigma_{fp} (\Sigma_{pp} + \lambda I)^{-1} x_p`, a regression of
      the future on the past, channel by channel;
    - for data that are the reference windows themselves, :math:`\sum_i w_i x_{i,f}` with
      :math:`w = \mathrm{softmax}_i(-|x_p - x_{i,p}|^2 / 2 \sigma^2)`, where :math:`\sigma^2`
      is a multiple of the distance to the nearest window.

    Their weighted mean is the mean of the forecast. The weights minimise the squared errors on
    reference windows, each forecast from what lies before it alone. A draw is the mean plus the
    residuals of one of these windows, so that steps and channels keep belonging together.

    References
    ----------
    The second denoiser: Karras et al. (2022), appendix B.3, eq. 57. The weights: Breiman
    (1996), "Stacked Regressions".
    """

    windows: Tensor  # (reference, channel, time), less the mean of the past of each channel
    # Weights of the past, (channel, past, horizon); those of one target add up to 1, so that a
    # forecast moves with the level.
    regressions: list[Tensor]
    weights: Tensor  # of each denoiser's guess, (guess, channel, horizon); they add up to 1
    residuals: Tensor  # truth less the mean, (origin, channel, horizon)

    @classmethod
    def fit(
        cls,
        windows: Float[Tensor, "reference channel time"],
        starts: Int[Tensor, "reference"],
        horizon: int,
    ) -> "Forecaster":
        """Learn to forecast the last ``horizon`` steps of reference windows, whatever their level.

        ``starts`` says where each window begins, in ascending order.
        """
        past = windows.shape[2] - horizon
        windows = windows - windows[:, :, :past].mean(2, keepdim=True)
        first = round((1 - tuned.LATE) * len(windows))
        origins = torch.linspace(first, len(windows) - 1, tuned.ORIGINS).long().unique()
        parts = []
        for part in origins.tensor_split(tuned.REFITS):
            known = int((starts <= starts[part[0]] - horizon).sum())
            regressions = _regressions(windows[:known], horizon)
            later = starts > starts[part][:, None] - horizon
            parts.append(_guesses(windows[part, :, :past], windows, later, regressions))
        guesses, future = torch.cat(parts, dim=1), windows[origins, :, past:]
        weights = _weights(future - guesses)
        residuals = future - (weights[:, None] * guesses).sum(0)
        return cls(windows, _regressions(windows, horizon), weights, residuals)

    def mean(
        self, past: Float[Tensor, "row channel past"], history: Float[Tensor, "step channel"]
    ) -> Float[Tensor, "row channel horizon"]:
        """Forecast what follows each past.

        Windows of the recent steps, ``history``, are reference windows too, for this forecast.
        """
        n_past = past.shape[2]
        level = past.mean(2, keepdim=True)
        windows = self.windows
        if len(history) >= windows.shape[2]:
            recent = history.unfold(0, windows.shape[2], 1)
            recent = recent - recent[:, :, :n_past].mean(2, keepdim=True)
            windows = torch.cat([windows, recent])
        nothing = torch.zeros(len(past), len(windows), dtype=torch.bool)
        guesses = _guesses(past - level, windows, nothing, self.regressions)
        return (self.weights[:, None] * guesses).sum(0) + level

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "draw channel horizon"]:
        """Draw residuals; none comes twice before all came once."""
        rounds = -(-n // len(self.residuals))
        order = [torch.randperm(len(self.residuals), generator=generator) for _ in range(rounds)]
        return self.residuals[torch.cat(order)[:n]]

    def paths(
        self,
        history: Float[Tensor, "step channel"],
        horizon: int,
        n_draws: int,
        generator: torch.Generator,
    ) -> Float[Tensor, "draw horizon channel"]:
        """Draw paths block by block; a block further on starts from what each path has reached."""
        n_past = self.regressions[0].shape[1]
        paths = history[-n_past:].T[None]
        while paths.shape[2] < n_past + horizon:
            block = self.mean(paths[:, :, -n_past:], history) + self.draw(n_draws, generator)
            paths = torch.cat([paths.expand(n_draws, -1, -1), block], dim=2)
        return paths[:, :, n_past : n_past + horizon].mT


def _guesses(
    past: Float[Tensor, "row channel past"],
    windows: Float[Tensor, "reference channel time"],
    unknown: Bool[Tensor, "row reference"],
    regressions: list[Tensor],
) -> Float[Tensor, "guess row channel horizon"]:
    """Guesses of what follows each past, whose mean is 0."""
    linear = [torch.einsum("rcp,cph->rch", past, weights) for weights in regressions]
    return torch.stack([*linear, *_window_means(past, windows, unknown)])


def _window_means(past: Tensor, windows: Tensor, unknown: Tensor) -> list[Tensor]:
    """Posterior means of what follows in the reference windows, for each bandwidth."""
    known, future = windows[:, :, : past.shape[2]].flatten(1), windows[:, :, past.shape[2] :]
    squares = torch.cdist(past.flatten(1), known).square().masked_fill(unknown, torch.inf)
    nearest = squares.amin(1, keepdim=True).clamp(min=torch.finfo(squares.dtype).tiny)
    weights = [(-squares / (2 * b * nearest)).softmax(1) for b in tuned.BANDWIDTHS]
    # Where no window is known, nothing but the level is.
    return [torch.einsum("rm,mch->rch", w.nan_to_num(0.0), future) for w in weights]


def _regressions(windows: Float[Tensor, "reference channel time"], horizon: int) -> list[Tensor]:
    """Weights of the past for each reach and ridge."""
    past = windows.shape[2] - horizon
    gram = windows.transpose(0, 1)
    gram = gram.mT @ gram / max(1, len(windows))
    reaches = sorted({min(tuned.SHORT_REACH, past), past})
    return [_regression(gram, past, *pair) for pair in itertools.product(reaches, tuned.RIDGES)]


def _regression(gram: Tensor, past: int, reach: int, ridge: float) -> Tensor:
    """Weights of the last ``reach`` steps of the past, about their own mean."""
    n_steps = gram.shape[1]
    mean = gram.new_zeros(n_steps)
    mean[past - reach : past] = 1 / reach
    about = torch.eye(n_steps).to(gram) - mean  # x @ about.T is x less its mean
    gram = about @ gram @ about.T
    x, y = gram[:, past - reach : past, past - reach : past], gram[:, past - reach : past, past:]
    variance = x.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)
    noise = ridge * variance[:, None, None] * torch.eye(reach).to(gram)
    weights = gram.new_zeros(len(gram), past, n_steps - past)
    weights[:, past - reach :] = torch.linalg.solve(x + noise, y)
    return weights + (1 - weights.sum(1, keepdim=True)) * mean[:past, None]


def _weights(
    errors: Float[Tensor, "guess origin channel horizon"],
) -> Float[Tensor, "guess channel horizon"]:
    """Weights of the guesses that together err least, by channel and part of the horizon."""
    n_guesses, _, n_channels, horizon = errors.shape
    weights = errors.new_zeros(n_guesses, n_channels, horizon)
    for channel in range(n_channels):
        for part in torch.arange(horizon).tensor_split(min(tuned.HORIZON_PARTS, horizon)):
            found = convex_weights(errors[:, :, channel, part].flatten(1))
            weights[:, channel, part] = found[:, None]
    return weights
