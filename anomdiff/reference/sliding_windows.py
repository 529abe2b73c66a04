"""Windows of series: cut from a segment, and their errors folded back to steps."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

# Windows unfolded at once: neighbouring windows share their numbers until they are compared.
WINDOWS_AT_ONCE = 512
# Energy per step, in squared standard deviations, below which differences are noise.
NOISE = 1e-3
# A window that has seen less than this share of its entries says nothing.
LEAST_SHARE = 0.5


class Covering:
    """Voices that judge whole windows: a step has the mean energy of those that cover it."""

    @property
    def offsets(self) -> tuple[int, int]:
        """Windows that count for a step, by their beginning, counted from it: all that cover it."""
        return 1 - self.length, 1

    @property
    def noise(self) -> float:
        """Energy below which differences are noise."""
        return NOISE * self.length

    def fold(self, energies: Float[Tensor, "window channel"]) -> Float[Tensor, "step channel"]:
        """Mean energy of the windows that cover each step."""
        return fold(energies, self.length)


def blocks(values: Tensor, observed: Tensor, length: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield the windows of a stretch, some at a time, with the number of the first."""
    n_windows = len(values) - length + 1
    for start in range(0, n_windows, WINDOWS_AT_ONCE):
        steps = slice(start, min(start + WINDOWS_AT_ONCE, n_windows) + length - 1)
        yield start, *(part[steps].unfold(0, length, 1) for part in (values, observed))


def cut_windows(
    values: Float[Tensor, "step channel"], observed: Bool[Tensor, "step channel"], length: int
) -> tuple[Float[Tensor, "window channel time"], Bool[Tensor, "window channel time"]]:
    """All windows of a stretch, the mean of each channel's observed entries taken off.

    Parameters
    ----------
    values : float Tensor of shape (step, channel)
        Scaled steps, 0 where not observed.
    observed : bool Tensor of shape (step, channel)
        False where missing.
    length : int
        Steps of a window.

    Returns
    -------
    windows, seen : Tensor of shape (step - length + 1, channel, length)
        0 where not seen.
    """
    seen = observed.unfold(0, length, 1)
    return without_means(values.unfold(0, length, 1), seen), seen


def without_means(
    windows: Float[Tensor, "window channel time"], seen: Bool[Tensor, "window channel time"]
) -> Float[Tensor, "window channel time"]:
    """Take the mean of what is seen off each channel of each window; 0 where nothing is."""
    mean = windows.sum(2, keepdim=True) / seen.sum(2, keepdim=True).clamp(min=1)
    return torch.where(seen, windows - mean, 0.0)


def fold(energies: Float[Tensor, "window channel"], length: int) -> Float[Tensor, "step channel"]:
    """Mean energy of the windows that cover each step; NaN where none of them says anything.

    Parameters
    ----------
    energies : float Tensor of shape (window, channel)
        Of all windows of a stretch; NaN where unknown.
    length : int
        Steps of a window.

    Returns
    -------
    folded : float Tensor of shape (window + length - 1, channel)
        One row per step of the stretch.
    """
    known = ~energies.isnan()
    padded, counts = (
        F.avg_pool1d(F.pad(part.T[None], (length - 1, length - 1)), length, stride=1)[0].T
        for part in (torch.where(known, energies, 0.0), known.to(energies))
    )
    return padded / counts


def by_channel(
    misses: Float[Tensor, "window channel time"], seen: Bool[Tensor, "window channel time"]
) -> Float[Tensor, "window channel"]:
    """Sum squared misses over a window's steps, scaled up to the whole window, per channel.

    NaN where less than half of the window is seen; over channels the sums are those per channel.
    """
    share = seen.to(misses).mean((1, 2))[:, None]
    scaled = misses.sum(2) / share / misses.shape[1]
    return torch.where(share < LEAST_SHARE, torch.nan, scaled)
