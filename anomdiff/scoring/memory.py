"""Remembered rows: the empirical denoiser where its noise vanishes, and how crowded it is there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Pairs of rows compared at once: their distances should stay in the CPU's cache.
PAIRS_AT_ONCE = 2**20
# Nearer than this, in standard deviations, a row is a copy.
COPY = 1e-9
# Remembered rows that are looked at exactly, or passed over, together.
BLOCK = 16
# A row that this many blocks may hold the nearest of is compared with all that is remembered.
MANY_BLOCKS = 8
# Fewer pairs than these are compared at once: bounds would cost more than they save.
FEW_PAIRS = 2**17
# Rows, and remembered ones, whose bounds are worked out at once: they stay in the CPU's cache.
ROWS_AT_ONCE, REMEMBERED_AT_ONCE = 512, 64 * BLOCK


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
        plain, local = self._search(values, observed, None)
        copies = (plain.squares.sqrt() < COPY) & self.shy[plain.rows]
        if copies.any() and len(self.rows) > 1:
            again = self._search(values[copies], observed[copies], plain.rows[copies])
            for first, second in zip((plain, local), again, strict=True):
                first.squares[copies] = second.squares
        return torch.stack([plain.squares, local.squares], dim=1).sqrt()

    def _search(self, values, observed, own) -> tuple["Nearest", "Nearest"]:
        """Find the nearest remembered rows, plainly and in local scales, ``own`` ones left out."""
        found = []
        for start in range(0, len(values), ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            rows = values[block], observed[block], None if own is None else own[block]
            found.append(self._nearest(*rows))
        plain, local = zip(*found, strict=True)
        return Nearest.joined(plain), Nearest.joined(local)

    def _nearest(self, x, seen, own) -> tuple["Nearest", "Nearest"]:
        if len(x) * len(self.rows) < FEW_PAIRS:
            return tuple(self._compared(x, seen, own, [None, self.scales]))
        plain, local = self._bounds(x, seen)
        rows = x, seen, own
        return self._bounded(*rows, plain, None), self._bounded(*rows, local, self.scales)

    def _bounded(self, x, seen, own, bounds: Tensor, scales: Tensor | None) -> "Nearest":
        """Look at the blocks that can hold the nearest row, those with the least bounds first."""
        best = Nearest(x.new_full((len(x),), torch.inf), torch.zeros(len(x), dtype=torch.long))
        pending = torch.arange(len(x))
        most = MANY_BLOCKS if own is None else bounds.shape[1]  # the first holds the own row only
        while len(pending):
            block = bounds[pending].argmin(1)
            bounds[pending, block] = torch.inf
            rows = (block[:, None] * BLOCK + torch.arange(BLOCK)).clamp(max=len(self.rows) - 1)
            mine = None if own is None else own[pending]
            best.improve(pending, self._exact(x[pending], seen[pending], mine, rows, scales))

            least = best.squares[pending]
            n_left = torch.where(least > 0, (bounds[pending] <= least[:, None]).sum(1), 0)
            many = pending[n_left > most]  # equally near, or far out
            if len(many):
                mine = None if own is None else own[many]
                best.improve(many, *self._compared(x[many], seen[many], mine, [scales]))
            pending, most = pending[(n_left > 0) & (n_left <= most)], MANY_BLOCKS
        return best

    def _compared(self, x, seen, own, kinds: list) -> list["Nearest"]:
        """Compare rows with all that is remembered, in each kind of scales."""
        mine = None if own is None else own[:, None] == torch.arange(len(self.rows))
        parts = [
            [(squares if scales is None else squares / scales**2).argmin(1) for scales in kinds]
            for _, _, squares in compared(self.rows, x, seen, mine, self._lengths)
        ]
        rows = [torch.cat(each)[:, None] for each in zip(*parts, strict=True)]
        # The search is by matrix products; the distances found are then free of cancellation.
        found = zip(rows, kinds, strict=True)
        return [self._exact(x, seen, None, chosen, scales) for chosen, scales in found]

    def _exact(self, x, seen, own, rows: Tensor, scales: Tensor | None) -> "Nearest":
        """Find the nearest of some remembered rows, of shape (row, candidate)."""
        squares = torch.where(seen[:, None], self.rows[rows] - x[:, None], 0.0).square().sum(2)
        if scales is not None:
            squares = squares / scales[rows] ** 2
        if own is not None:
            squares[rows == own[:, None]] = torch.inf
        least, at = squares.min(1)
        return Nearest(least, rows.gather(1, at[:, None])[:, 0])

    def _bounds(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        r"""Lower bounds of the squared distances to the rows of each block, of shape (row, block).

        In single precision, of unit roundoff :math:`u`, a sum of :math:`n` products of rounded
        numbers is off by at most :math:`(n + 2) u` times the sum of their sizes, which is here at
        most :math:`3 (|x|^2 + |m|^2)`. Four times that is taken off.

        References
        ----------
        Higham (2002), "Accuracy and Stability of Numerical Algorithms", section 3.1.
        """
        gaps = ~seen.all(0)
        unseen = (~seen[:, gaps]).float().T
        n_products = self.rows.shape[1] + int(gaps.sum()) + 2
        kept = 1 - 6 * (n_products + 2) * torch.finfo(torch.float32).eps
        seen_x = torch.where(seen, x, 0.0)
        length = kept * seen_x.square().sum(1, keepdim=True)
        right = torch.cat([-2 * seen_x, length, torch.full_like(length, kept)], dim=1).float().T
        bounds = []
        for rows, shrink in self._tiles:
            squares = rows @ right
            if len(unseen):
                squares -= rows[:, :-2][:, gaps].square() @ unseen
            blocks = len(rows) // BLOCK, BLOCK, len(x)
            plain = squares.view(blocks).amin(1)
            bounds.append((plain, squares.mul_(shrink).view(blocks).amin(1)))
        return tuple(torch.cat(each).T.contiguous() for each in zip(*bounds, strict=True))

    @cached_property
    def _tiles(self) -> list[tuple[Tensor, Tensor]]:
        """Remembered rows, 1 and their squared length in single precision; and 1 / scale^2.

        The last row fills up the last block.
        """
        fill = torch.arange(-(-len(self.rows) // BLOCK) * BLOCK).clamp(max=len(self.rows) - 1)
        one = torch.ones_like(self._lengths)
        rows = torch.cat([self.rows, one[:, None], self._lengths[:, None]], dim=1).float()[fill]
        shrink = self.scales.square().reciprocal().float()[fill, None]
        tiles = (part.split(REMEMBERED_AT_ONCE) for part in (rows, shrink))
        return list(zip(*tiles, strict=True))

    @cached_property
    def _lengths(self) -> Tensor:
        return self.rows.square().sum(1)


class Nearest(NamedTuple):
    """What has been found for each row; both of shape (row,).

    Attributes
    ----------
    squares : float Tensor
        Its least squared distance, in whatever scales.
    rows : int Tensor
        Number of the remembered row that has it.
    """

    squares: Tensor
    rows: Tensor

    @staticmethod
    def joined(parts: tuple["Nearest", ...]) -> "Nearest":
        """Put parts together, one below the other."""
        return Nearest(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def improve(self, which: Tensor, other: "Nearest") -> None:
        """Take over what is nearer, for the rows with these numbers."""
        nearer = other.squares < self.squares[which]
        for mine, found in zip(self, other, strict=True):
            mine[which[nearer]] = found[nearer]


def compared(
    memory: Float[Tensor, "memory coord"],
    values: Float[Tensor, "row coord"],
    observed: Bool[Tensor, "row coord"],
    own: Bool[Tensor, "row memory"] | None,
    lengths: Float[Tensor, "memory"],
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
    own : bool Tensor of shape (row, memory) or None
        Remembered rows that do not vouch for a row; their distance is infinite.
    lengths : float Tensor of shape (memory,)
        Sums of squares of the remembered rows.
    """
    gaps = ~observed.all(0)  # few columns, as a rule: the others need no second product
    gap_squares = memory[:, gaps].square().T
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
