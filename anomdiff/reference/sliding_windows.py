"""Windows of series: cut from a segment, and their errors folded back to steps."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "LEAST_SHARE",
    "NOISE",
    "WindowComponent",
    "cut_windows",
    "fold",
    "fold_residuals",
    "sum_by_channel",
    "window_blocks",
    "without_means",
]

# Windows unfolded at once: neighbouring windows share their numbers until they are compared.
WINDOWS_AT_ONCE = 512
# Squared error per step, in squared standard deviations, below which differences are noise.
NOISE = 1e-3
# Steps of a window whose residuals are kept, about.
PLACES = 8
# The error of a window that has less than this share of its entries is missing.
LEAST_SHARE = 0.5


class WindowComponent:
    """Components that score whole windows: a step has the mean error of those that cover it.

    They also say how far single steps of a window are off, as in ``residuals``.
    """

    length: int
    # Quantiles of the residuals of a step that are evidence, as of ``fold_residuals``.
    shares: tuple[float, ...] = ()

    def judge(
        self, values: Tensor, observed: Tensor, starts: Tensor | None = None
    ) -> tuple[Float[Tensor, "window channel"], Float[Tensor, "window channel place"]]:
        """Squared error of each window of a segment, by channel, and residuals of its steps.

        The residuals are absolute ones, of the steps at ``places`` of a window; NaN where missing.
        A segment of training says where its windows start: reference windows that overlap one are
        not compared with it.
        """
        raise NotImplementedError

    def squared_errors(
        self, values: Tensor, observed: Tensor, starts: Tensor | None = None
    ) -> Float[Tensor, "window channel"]:
        """Squared error of each window of a segment, by channel; NaN where missing."""
        return self.judge(values, observed, starts)[0]

    @property
    def places(self) -> Int[Tensor, "place"]:
        """Places in a window of the steps whose residuals are kept, evenly spaced."""
        return torch.arange(0, self.length, max(1, self.length // PLACES))

    @property
    def noise_floor(self) -> float:
        """Squared window error below which differences are noise."""
        return NOISE * self.length

    def fold(self, errors: Float[Tensor, "window channel"]) -> Float[Tensor, "step channel"]:
        """Mean squared error of the windows that cover each step."""
        return fold(errors, self.length)


def window_blocks(
    values: Tensor, observed: Tensor, length: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield the windows of a segment, some at a time, with the number of the first."""
    n_windows = len(values) - length + 1
    for start in range(0, n_windows, WINDOWS_AT_ONCE):
        steps = slice(start, min(start + WINDOWS_AT_ONCE, n_windows) + length - 1)
        yield start, values[steps].unfold(0, length, 1), observed[steps].unfold(0, length, 1)


def cut_windows(
    values: Float[Tensor, "step channel"], observed: Bool[Tensor, "step channel"], length: int
) -> tuple[Float[Tensor, "window channel time"], Bool[Tensor, "window channel time"]]:
    """All windows of a segment, the mean of each channel's observed entries taken off."""
    cut = observed.unfold(0, length, 1)
    return without_means(values.unfold(0, length, 1), cut), cut


def without_means(
    windows: Float[Tensor, "window channel time"], observed: Bool[Tensor, "window channel time"]
) -> Float[Tensor, "window channel time"]:
    """Take the mean of what is observed off each channel of each window; 0 where nothing is."""
    mean = windows.sum(2, keepdim=True) / observed.sum(2, keepdim=True).clamp(min=1)
    return torch.where(observed, windows - mean, 0.0)


def fold(errors: Float[Tensor, "window channel"], length: int) -> Float[Tensor, "step channel"]:
    """Mean error of the windows that cover each step; NaN where all of them are missing."""
    known = ~errors.isnan()
    padded, counts = (
        F.avg_pool1d(F.pad(part.T[None], (length - 1, length - 1)), length, stride=1)[0].T
        for part in (torch.where(known, errors, 0.0), known.to(errors))
    )
    return padded / counts


def fold_residuals(
    residuals: Float[Tensor, "window channel place"], places: Int[Tensor, "place"], share: float
) -> Float[Tensor, "step channel"]:
    """Quantile of what the windows that cover a step leave of it; NaN where few do.

    A low quantile tells what is wrong from what stands beside it: a normal step near a fault has
    some window that leaves the fault out, a faulty one has none.

    Parameters
    ----------
    residuals : float Tensor of shape (window, channel, place)
        Absolute residuals of the steps at some places of each window.
    places : int Tensor of shape (place,)
        These, counted from the first step of a window.
    share : float
        Share of the windows that may leave less.
    """
    n_windows = len(residuals)
    shape = (n_windows + int(places[-1]), residuals.shape[1], len(places))
    by_step = residuals.new_full(shape, torch.inf)
    for k, place in enumerate(places.tolist()):
        by_step[place : place + n_windows, :, k] = residuals[:, :, k].nan_to_num(nan=torch.inf)
    count = by_step.isfinite().sum(2, keepdim=True)
    chosen = ((count - 1).clamp(min=0) * share).round().long()
    ordered = by_step.sort(2).values if share else by_step.amin(2, keepdim=True)
    found = ordered.gather(2, chosen)[:, :, 0]
    few = count[:, :, 0] < LEAST_SHARE * len(places)  # at both ends, and beside gaps
    return torch.where(few, torch.nan, found)


def sum_by_channel(
    errors: Float[Tensor, "window channel time"],
    observed: Bool[Tensor, "window channel time"],
    *,
    together: bool = False,
) -> Float[Tensor, "window channel"]:
    """Sum squared errors over a window's steps, scaled up to the whole window, over the channels.

    What is missing of a channel says nothing about the others: each is scaled up by itself, at most
    twofold, and is NaN where nothing of it is observed; all are where less than half of the window
    is. Models of older formats scale all channels up ``together``.
    """
    seen = observed.to(errors)
    shares, share = seen.mean(2), seen.mean((1, 2))[:, None]
    if together:
        scaled = errors.sum(2) / share / errors.shape[1]
        return torch.where(share < LEAST_SHARE, torch.nan, scaled)
    scaled = errors.sum(2) / shares.clamp(min=LEAST_SHARE) / errors.shape[1]
    known = (shares > 0) & (share >= LEAST_SHARE)
    return torch.where(known, scaled, torch.nan)
