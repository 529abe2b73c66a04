"""Windows of series: cut from a segment, and their errors folded back to steps."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "LEAST_SHARE",
    "NOISE",
    "WindowComponent",
    "cut_windows",
    "fold",
    "sum_by_channel",
    "window_blocks",
    "without_means",
]

# Windows unfolded at once: neighbouring windows share their numbers until they are compared.
WINDOWS_AT_ONCE = 512
# Squared error per step, in squared standard deviations, below which differences are noise.
NOISE = 1e-3
# The error of a window that has less than this share of its entries is missing.
LEAST_SHARE = 0.5


class WindowComponent:
    """Components that score whole windows: a step has the mean error of those that cover it."""

    length: int

    def squared_errors(
        self, values: Tensor, observed: Tensor, starts: Tensor | None = None
    ) -> Float[Tensor, "window channel"]:
        """Squared error of each window of a segment, by channel; NaN where missing.

        A segment of training says where its windows start: reference windows that overlap one are
        not compared with it.
        """
        raise NotImplementedError

    @property
    def offsets(self) -> tuple[int, int]:
        """First steps of the windows that count for a step, counted from it: all that cover it."""
        return 1 - self.length, 1

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


def sum_by_channel(
    errors: Float[Tensor, "window channel time"], observed: Bool[Tensor, "window channel time"]
) -> Float[Tensor, "window channel"]:
    """Sum squared errors over a window's steps, scaled up to the whole window, per channel.

    NaN where less than half of the window is observed; over channels the sums are those per
    channel.
    """
    share = observed.to(errors).mean((1, 2))[:, None]
    scaled = errors.sum(2) / share / errors.shape[1]
    return torch.where(share < LEAST_SHARE, torch.nan, scaled)
