"""What follows a stretch: two exact denoisers complete the window, and their misses are kept."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import nnls
from torch import Tensor

# Remembered windows whose ends are forecast to learn weights and misses, at most.
ORIGINS = 400
# They lie in this last part of the memory, and only what lies before them forecasts them.
LATE = 0.6
# The regression is refitted that often on the way.
REFITS = 4
# Regressions look back this many steps, and at all of the window's past.
SHORT = 64
# Variance, in variances of the past, that the regressions take for noise.
RIDGES = (1e-4, 1e-2)
# Squared noise level of the remembered windows, in squared distances to the nearest of them.
BANDWIDTHS = (0.1, 0.5)
# The horizon is cut into so many parts, each with its own weights.
PARTS = 4


@dataclass(frozen=True)
class Futures:
    r"""Completes windows of which only the first part is given.

    Two denoisers know in closed form what the noise-free past of a window says about the rest:

    - for Gaussian data :math:`\Sigma_{fp} (\Sigma_{pp} + \lambda I)^{-1} x_p`, a regression of
      the future on the past, channel by channel;
    - for data that are the remembered windows themselves, :math:`\sum_i w_i x_{i,f}` with
      :math:`w = \mathrm{softmax}_i(-|x_p - x_{i,p}|^2 / 2 \sigma^2)`, where :math:`\sigma^2`
      is a multiple of the distance to the nearest window.

    Their weighted mean is the centre of the forecast. The weights minimise the squared misses
    on remembered windows, each forecast from what lies before it alone. A draw is the centre
    plus the misses of one of these windows, so that steps and channels keep belonging together.

    Parameters
    ----------
    windows : float Tensor of shape (memory, channel, time)
        Remembered windows, less the mean of the past of each channel.
    regressions : list of float Tensor of shape (channel, past, horizon)
        Weights of the past; those of one target add up to 1, so that a forecast moves with
        the level.
    shares : float Tensor of shape (completion, channel, horizon)
        Weight of each completion, at least 0; they add up to 1.
    misses : float Tensor of shape (origin, channel, horizon)
        What the centre missed.

    References
    ----------
    The second denoiser: Karras et al. (2022), appendix B.3, eq. 57. The weights: Breiman
    (1996), "Stacked Regressions".
    """

    windows: Tensor
    regressions: list[Tensor]
    shares: Tensor
    misses: Tensor

    @classmethod
    def fit(
        cls,
        windows: Float[Tensor, "memory channel time"],
        places: Int[Tensor, "memory"],
        horizon: int,
    ) -> "Futures":
        """Learn to complete remembered windows.

        Parameters
        ----------
        windows : float Tensor of shape (memory, channel, time)
            Remembered windows, whatever their level.
        places : int Tensor of shape (memory,)
            Where each begins, in ascending order.
        horizon : int
            Steps at the end of a window to forecast.
        """
        past = windows.shape[2] - horizon
        windows = windows - windows[:, :, :past].mean(2, keepdim=True)
        first = round((1 - LATE) * len(windows))
        origins = torch.linspace(first, len(windows) - 1, ORIGINS).long().unique()
        parts = []
        for part in origins.tensor_split(REFITS):
            known = int((places <= places[part[0]] - horizon).sum())
            regressions = _regressions(windows[:known], horizon)
            later = places > places[part][:, None] - horizon
            parts.append(_completions(windows[part, :, :past], windows, later, regressions))
        completions, future = torch.cat(parts, dim=1), windows[origins, :, past:]
        shares = _shares(future - completions)
        misses = future - (shares[:, None] * completions).sum(0)
        return cls(windows, _regressions(windows, horizon), shares, misses)

    def centre(
        self, past: Float[Tensor, "row channel past"], history: Float[Tensor, "step channel"]
    ) -> Float[Tensor, "row channel horizon"]:
        """Forecast what follows each past.

        Parameters
        ----------
        past : float Tensor of shape (row, channel, past)
            Last steps before each forecast.
        history : float Tensor of shape (step, channel)
            Recent steps; their windows are remembered too, for this forecast.
        """
        n_past = past.shape[2]
        level = past.mean(2, keepdim=True)
        windows = self.windows
        if len(history) >= windows.shape[2]:
            recent = history.unfold(0, windows.shape[2], 1)
            recent = recent - recent[:, :, :n_past].mean(2, keepdim=True)
            windows = torch.cat([windows, recent])
        nothing = torch.zeros(len(past), len(windows), dtype=torch.bool)
        completions = _completions(past - level, windows, nothing, self.regressions)
        return (self.shares[:, None] * completions).sum(0) + level

    def draw(self, n: int, generator: torch.Generator) -> Float[Tensor, "draw channel horizon"]:
        """Draw misses; none comes twice before all came once."""
        rounds = -(-n // len(self.misses))
        order = [torch.randperm(len(self.misses), generator=generator) for _ in range(rounds)]
        return self.misses[torch.cat(order)[:n]]


def _completions(
    past: Float[Tensor, "row channel past"],
    windows: Float[Tensor, "memory channel time"],
    unknown: Bool[Tensor, "row memory"],
    regressions: list[Tensor],
) -> Float[Tensor, "completion row channel horizon"]:
    """All completions of each past, whose mean is 0."""
    linear = [torch.einsum("rcp,cph->rch", past, weights) for weights in regressions]
    return torch.stack([*linear, *_remembered(past, windows, unknown)])


def _remembered(past: Tensor, windows: Tensor, unknown: Tensor) -> list[Tensor]:
    """Posterior means of the futures of remembered windows, for each bandwidth."""
    known, future = windows[:, :, : past.shape[2]].flatten(1), windows[:, :, past.shape[2] :]
    squares = torch.cdist(past.flatten(1), known).square().masked_fill(unknown, torch.inf)
    nearest = squares.amin(1, keepdim=True).clamp(min=torch.finfo(squares.dtype).tiny)
    weights = [(-squares / (2 * b * nearest)).softmax(1) for b in BANDWIDTHS]
    # Where no window is known, nothing but the level is.
    return [torch.einsum("rm,mch->rch", w.nan_to_num(0.0), future) for w in weights]


def _regressions(windows: Float[Tensor, "memory channel time"], horizon: int) -> list[Tensor]:
    """Weights of the past for each reach and ridge."""
    past = windows.shape[2] - horizon
    gram = windows.transpose(0, 1)
    gram = gram.mT @ gram / max(1, len(windows))
    reaches = sorted({min(SHORT, past), past})
    return [_regression(gram, past, *pair) for pair in itertools.product(reaches, RIDGES)]


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


def _shares(misses: Float[Tensor, "completion origin channel horizon"]) -> Tensor:
    """Weights of the completions that together miss least, by channel and part of the horizon."""
    n_completions, _, n_channels, horizon = misses.shape
    shares = misses.new_zeros(n_completions, n_channels, horizon)
    for channel in range(n_channels):
        for part in np.array_split(np.arange(horizon), min(PARTS, horizon)):
            found = mixture(misses[:, :, channel, part].flatten(1).T.numpy())
            shares[:, channel, part] = torch.from_numpy(found)[:, None]
    return shares


def mixture(misses: np.ndarray) -> np.ndarray:
    """Non-negative weights that add up to 1, of the columns whose mixture is smallest."""
    scale = np.sqrt(np.square(misses).mean() * len(misses)) or 1.0
    ones = np.full((1, misses.shape[1]), 1e3)
    weights, _ = nnls(np.concatenate([misses / scale, ones]), np.append(np.zeros(len(misses)), 1e3))
    return weights / weights.sum()
