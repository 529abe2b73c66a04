"""Remembered windows: how far a window is from the nearest one, in its shape or in its level."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomdiff.reference.nearest import compared
from anomdiff.reference.sliding_windows import (
    LEAST_SHARE,
    Covering,
    blocks,
    by_channel,
    without_means,
)

# Levels, in squared standard deviations, that differ by less are noise.
LEVEL_NOISE = 0.1


@dataclass(frozen=True)
class WindowMemory(Covering):
    r"""Remembered windows of one length, each without its mean.

    Parameters
    ----------
    length : int
        Steps of a window.
    rows : float Tensor of shape (memory, channel * length)
        The windows.
    places : int Tensor of shape (memory,)
        Where each begins, in ascending order, on an axis on which training stretches lie apart.
    """

    length: int
    rows: Tensor
    places: Tensor

    @staticmethod
    def view(
        windows: Float[Tensor, "window channel time"], seen: Bool[Tensor, "window channel time"]
    ) -> tuple[Float[Tensor, "window channel entry"], Bool[Tensor, "window channel entry"]]:
        """What is remembered of windows, and which of it is known: all but their means."""
        return without_means(windows, seen), seen

    @torch.inference_mode()
    def energies(
        self,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
        places: Int[Tensor, "window"] | None = None,
    ) -> Float[Tensor, "window channel"]:
        r"""Squared distance of each window to the nearest remembered one, by channel.

        The miss of the empirical denoiser of windows as its noise vanishes. Missing entries do
        not count; the energy is scaled up to the whole window.

        Parameters
        ----------
        values : float Tensor of shape (step, channel)
            Scaled steps, 0 where not observed; at least ``length`` of them.
        observed : bool Tensor of shape (step, channel)
            False where missing.
        places : int Tensor of shape (window,), optional
            Where each window begins, if these are training data: windows that overlap it do
            not vouch for it.

        Returns
        -------
        energies : float Tensor of shape (window, channel)
            Summed over channels, the squared distance per channel; NaN where less than half of
            the window is observed, or every remembered window overlaps it.
        """
        found = []
        for start, *block in blocks(values, observed, self.length):
            x, seen = self.view(*block)
            own = None if places is None else self._overlapping(places[start : start + len(x)])
            found.append(self._energies(x, seen, own))
        return torch.cat(found).to(values)

    @cached_property
    def _squares(self) -> Tensor:
        return self.rows.square().sum(1)

    def _overlapping(self, places: Tensor) -> Tensor:
        """Tell which remembered windows overlap windows at some places, of shape (window, memory).

        The remembered places are sorted: only a narrow band needs to be looked at.
        """
        low = torch.searchsorted(self.places, places - self.length, right=True)
        high = torch.searchsorted(self.places, places + self.length)
        overlapping = torch.zeros(len(places), len(self.places), dtype=torch.bool)
        band = low[:, None] + torch.arange(int((high - low).max()))
        rows = torch.arange(len(places))[:, None].expand_as(band)
        inside = band < high[:, None]
        overlapping[rows[inside], band[inside]] = True
        return overlapping

    def _energies(self, x: Tensor, seen: Tensor, own: Tensor | None) -> Tensor:
        parts = []
        flat = x.flatten(1).to(self.rows), seen.flatten(1)
        for row, mask, squares in compared(self.rows, *flat, own, self._squares):
            least, nearest = squares.min(1)
            miss = torch.where(mask, self.rows[nearest] - row, 0.0)
            shape = len(row), *x.shape[1:]
            energies = by_channel(miss.square().reshape(shape), mask.reshape(shape))
            parts.append(torch.where(least.isinf()[:, None], torch.nan, energies))
        return torch.cat(parts)


@dataclass(frozen=True)
class LevelMemory(WindowMemory):
    """Remembered means of windows: how high the channels stand, together."""

    @staticmethod
    def view(windows: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of each channel, where half of it is seen, weighed as the window it stands for."""
        count, length = seen.sum(2, keepdim=True), windows.shape[2]
        known = count >= LEAST_SHARE * length
        means = windows.sum(2, keepdim=True) / count.clamp(min=1) * length**0.5
        return torch.where(known, means, 0.0), known

    @property
    def noise(self) -> float:
        """Energy below which differences are noise."""
        return LEVEL_NOISE * self.length


@dataclass(frozen=True)
class Silence(Covering):
    """A voice that has nothing to say of a series; parameters and energies as of a memory's."""

    length: int

    def energies(self, values: Tensor, observed: Tensor, places: Tensor | None = None) -> Tensor:
        """NaN for every window and channel."""
        return torch.full_like(values[self.length - 1 :], torch.nan)
