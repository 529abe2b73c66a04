"""Remembered rows: the empirical denoiser where its noise vanishes, and how crowded it is there."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Pairs of rows compared at once: their distances should stay in the CPU's cache.
PAIRS_AT_ONCE = 2**20
# Nearer than this, in standard deviations, a row is a copy.
COPY = 1e-9


@dataclass(frozen=True)
class Memory:
    r"""Remembered rows, and the local scale around each.

    Parameters
    ----------
    rows : float Tensor of shape (memory, coord)
        Encoded normal rows.
    scales : float Tensor of shape (memory,)
        Local scale around each: how far apart remembered rows are there.
    shy : bool Tensor of shape (memory,)
        Rows that do not vouch for a copy of themselves: those that set the threshold, because
        a new row does not find itself in the memory either; all of them where the rows to
        judge are those remembered.

    References
    ----------
    Local scales: Zelnik-Manor and Perona (2004), "Self-Tuning Spectral Clustering", section 2.1.
    """

    rows: Tensor
    scales: Tensor
    shy: Tensor

    @torch.inference_mode()
    def misses(
        self, values: Float[Tensor, "row coord"], observed: Bool[Tensor, "row coord"]
    ) -> Float[Tensor, "row 2"]:
        r"""Distance of each row to the nearest remembered one, plainly and in its local scales.

        As :math:`\sigma \to 0` the posterior mean under the remembered rows becomes the
        nearest of them, and its miss on the clean row this distance. The second number is
        the same where each remembered row has a noise level of its own,
        :math:`\min_i |x - x_i| / s_i`: what is far from a dense cluster may be near in a
        sparse one. Neither changes with the order of equally near rows.

        Parameters
        ----------
        values : float Tensor of shape (row, coord)
            Encoded rows, 0 where not observed; pass float64, because the search subtracts
            large numbers.
        observed : bool Tensor of shape (row, coord)
            False where the source cell is missing; such entries do not count.

        Returns
        -------
        misses : float Tensor of shape (row, 2)
            In standard deviations, and in local scales.
        """
        misses, nearest = self._search(values, observed, None)
        copies = (misses[:, 0] < COPY) & self.shy[nearest]
        if copies.any() and len(self.rows) > 1:
            own = nearest[copies][:, None] == torch.arange(len(self.rows))
            misses[copies], _ = self._search(values[copies], observed[copies], own)
        return misses

    def _search(self, values, observed, own) -> tuple[Tensor, Tensor]:
        """Misses of each row and its nearest remembered one, its own place left out."""
        misses, nearest = [], []
        for x, seen, squares in compared(self.rows, values, observed, own):
            near = squares.argmin(1)
            locally = (squares / self.scales**2).argmin(1)
            # The search is by matrix products; the distances found are then free of cancellation.
            distance, local = (self._distance(x, seen, index) for index in (near, locally))
            misses.append(torch.stack([distance, local / self.scales[locally]], dim=1))
            nearest.append(near)
        return torch.cat(misses), torch.cat(nearest)

    def _distance(self, x: Tensor, seen: Tensor, index: Tensor) -> Tensor:
        return torch.where(seen, self.rows[index] - x, 0.0).square().sum(1).sqrt()


def compared(
    memory: Float[Tensor, "memory coord"],
    values: Float[Tensor, "row coord"],
    observed: Bool[Tensor, "row coord"],
    own: Bool[Tensor, "row memory"] | None = None,
    lengths: Float[Tensor, "memory"] | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield blocks of rows, their masks, and their squared distances to the memory.

    Parameters
    ----------
    memory : float Tensor of shape (memory, coord)
        Remembered rows.
    values : float Tensor of shape (row, coord)
        Rows, 0 where not observed.
    observed : bool Tensor of shape (row, coord)
        Entries that count.
    own : bool Tensor of shape (row, memory), optional
        Remembered rows that do not vouch for a row; their distance is infinite.
    lengths : float Tensor of shape (memory,), optional
        Sums of squares of the remembered rows, if they are known.
    """
    gaps = ~observed.all(0)  # few columns, as a rule: the others need no second product
    gap_squares = memory[:, gaps].square().T
    if lengths is None:
        lengths = memory.square().sum(1)
    at_once = max(1, PAIRS_AT_ONCE // len(memory))
    for start in range(0, len(values), at_once):
        block = slice(start, start + at_once)
        x, seen = values[block], observed[block]
        row = torch.where(seen, x, 0.0).square().sum(1, keepdim=True)
        # What a row has not seen does not count.
        counted = lengths - (~seen[:, gaps]).to(x) @ gap_squares
        distances = counted.addmm(x, memory.T, alpha=-2)
        distances += row
        if own is not None:
            distances[own[block]] = torch.inf
        yield x, seen, distances
