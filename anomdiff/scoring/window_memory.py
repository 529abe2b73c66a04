"""Remembered windows: how far a window is from what its nearest ones span, in shape or in level."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomdiff.scoring.memory import compared
from anomdiff.scoring.windows import LEAST_SHARE, Covering, blocks, by_channel, without_means

# Remembered windows that together say what a window should look like.
NEIGHBOURS = 10
# Ridge of their weights, in the neighbours' mean squared distance from their centre.
RIDGE = 0.1
# Energy per step, in squared standard deviations, below which differences are noise: what
# neighbours span leaves less over than their distance.
NOISE = 1e-4
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

    @property
    def noise(self) -> float:
        """Energy below which differences are noise."""
        return NOISE * self.length

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
        r"""Squared distance of each window to what its nearest remembered ones span, by channel.

        The miss, as its noise vanishes, of the empirical denoiser whose remembered windows are
        not points but pieces of the surface that they lie on: the window less its least-squares
        fit :math:`\bar m + \sum_k a_k (m_k - \bar m)` by the nearest ones, with a ridge on the
        weights; or less the nearest one, if that leaves less. Missing entries do not count; the
        energy is scaled up to the whole window.

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

        References
        ----------
        Vincent and Bengio (2002), "Manifold Parzen Windows", section 3.
        """
        found = []
        for start, *block in blocks(values, observed, self.length):
            x, seen = self.view(*block)
            own = None if places is None else self._overlapping(places[start : start + len(x)])
            found.append(self._energies(x, seen, own))
        return torch.cat(found).to(values)

    @property
    def _n_neighbours(self) -> int:
        """As many as do not span every window of this length."""
        return min(NEIGHBOURS, self.length // 2, len(self.rows))

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
            least, nearest = squares.topk(self._n_neighbours, dim=1, largest=False)
            miss = _off_span(row, mask, self.rows[nearest], least.isfinite())
            shape = len(row), *x.shape[1:]
            energies = by_channel(miss.square().reshape(shape), mask.reshape(shape))
            parts.append(torch.where(least[:, :1].isinf(), torch.nan, energies))
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

    @property
    def _n_neighbours(self) -> int:
        """Only the nearest: a few span all levels of a few channels."""
        return 1


@dataclass(frozen=True)
class Silence(Covering):
    """A voice that has nothing to say of a series; parameters and energies as of a memory's."""

    length: int

    def energies(self, values: Tensor, observed: Tensor, places: Tensor | None = None) -> Tensor:
        """NaN for every window and channel."""
        return torch.full_like(values[self.length - 1 :], torch.nan)


def _off_span(x: Tensor, seen: Tensor, neighbours: Tensor, valid: Tensor) -> Tensor:
    """Part of each row that its valid neighbours, of shape (row, neighbour, coord), leave over."""
    counted = valid[:, :, None].to(x)
    centre = (neighbours * counted).sum(1) / counted.sum(1).clamp(min=1)
    span = torch.where(seen[:, None], (neighbours - centre[:, None]) * counted, 0.0)
    gap, nearest = (torch.where(seen, x - each, 0.0) for each in (centre, neighbours[:, 0]))
    gram = span @ span.mT
    ridge = RIDGE * gram.diagonal(dim1=1, dim2=2).mean(1) + torch.finfo(x.dtype).eps
    gram.diagonal(dim1=1, dim2=2).add_(ridge[:, None])
    weights = torch.linalg.solve(gram, span @ gap[:, :, None])
    off = gap - (weights.mT @ span)[:, 0]
    # The ridge draws towards the centre: away from a neighbour that the row is a copy of.
    nearer = nearest.square().sum(1) < off.square().sum(1)
    return torch.where(nearer[:, None], nearest, off)
