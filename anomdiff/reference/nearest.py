"""The nearest reference row: the limit of the exact denoiser of these rows as noise vanishes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["NearestRows", "least_of_rows", "products", "squared_distances"]

# Pairs of rows compared at once: their distances should stay in the CPU's cache.
PAIRS_AT_ONCE = 2**20
# Nearer than this, in standard deviations, a row is a copy.
COPY = 1e-9
# Reference rows that are compared exactly, or passed over, together.
BLOCK = 16
# A row that this many blocks may still hold the nearest of, after this many rounds, is compared
# with all reference rows.
MANY_BLOCKS, BOUND_ROUNDS = 8, 3
# Fewer pairs than these are compared at once: bounds would cost more than they save.
FEW_PAIRS = 2**17
# Rows, and reference rows, whose bounds are worked out at once: they stay in the CPU's cache.
ROWS_AT_ONCE, REFERENCE_AT_ONCE = 1024, 32 * BLOCK


@dataclass(frozen=True)
class NearestRows:
    """Reference rows of one view, with the local scale around each, to be searched.

    References
    ----------
    Local scales: Zelnik-Manor and Perona (2004), "Self-Tuning Spectral Clustering", section 2.1.
    """

    rows: Tensor  # (reference, coord)
    scales: Tensor  # (reference,): how far apart reference rows are around each
    exclude_self: Tensor  # (reference,): rows that are no neighbours of a copy of themselves

    @torch.inference_mode()
    def distances(
        self, values: Float[Tensor, "row coord"], observed: Bool[Tensor, "row coord"]
    ) -> Float[Tensor, "row 2"]:
        r"""Distance of each row to the nearest reference row, plainly and in its local scales.

        As :math:`\sigma \to 0` the posterior mean under the reference rows becomes the nearest
        of them, and its error on the clean row this distance. The second number is the same
        where each reference row has a noise level of its own,
        :math:`\min_i |x - x_i| / s_i`: what is far from a dense cluster may be near in a
        sparse one. Neither changes with the order of equally near rows.

        Entries that are not observed are 0 and do not count. Pass float64: the search subtracts
        large numbers.
        """
        plain, local = self._search(values, observed, None)
        copies = (plain.squares.sqrt() < COPY) & self.exclude_self[self._order][plain.rows]
        if copies.any() and len(self.rows) > 1:
            again = self._search(values[copies], observed[copies], plain.rows[copies])
            for first, second in zip((plain, local), again, strict=True):
                first.squares[copies] = second.squares
        return torch.stack([plain.squares, local.squares], dim=1).sqrt()

    def _search(self, values, observed, own) -> tuple["Nearest", "Nearest"]:
        """Find the nearest reference rows, plainly and in local scales, ``own`` ones left out."""
        found = []
        for start in range(0, len(values), ROWS_AT_ONCE):
            block = slice(start, start + ROWS_AT_ONCE)
            rows = values[block], observed[block], None if own is None else own[block]
            found.append(self._nearest(*rows))
        plain, local = zip(*found, strict=True)
        return Nearest.joined(plain), Nearest.joined(local)

    def _nearest(self, x, seen, own) -> tuple["Nearest", "Nearest"]:
        if len(x) * len(self.rows) < FEW_PAIRS:
            plain, local = self._compared(x, seen, own, [False, True])
            return plain, local
        bounds = self._bounds(x, seen)
        local_bounds = bounds * self._shrink
        rows = x, seen, own
        return self._bounded(*rows, bounds, False), self._bounded(*rows, local_bounds, True)

    def _bounded(self, x, seen, own, bounds: Tensor, scaled: bool) -> "Nearest":
        """Compare the blocks that can hold the nearest row, those with the least bounds first."""
        best = Nearest(x.new_full((len(x),), torch.inf), torch.zeros(len(x), dtype=torch.long))
        pending = torch.arange(len(x))
        rounds = 0
        while len(pending):
            block = bounds.argmin(0)
            bounds.scatter_(0, block[None], torch.inf)
            found = self._exact(*_chosen(pending, x, seen, own), block, scaled)
            best.improve(pending, found)

            least = best.squares[pending]
            above = (least * (1 + torch.finfo(torch.float32).eps)).float()  # never below it
            n_left = torch.where(least > 0, (bounds <= above).sum(0), 0)
            rounds += 1
            most = MANY_BLOCKS if rounds >= BOUND_ROUNDS else len(bounds)
            many = pending[n_left > most]  # equally near, or far out
            if len(many):
                everything = self._compared(*_chosen(many, x, seen, own), [scaled])
                best.improve(many, *everything)
            left = (n_left > 0) & (n_left <= most)
            pending, bounds = pending[left], bounds[:, left]
        return best

    def _compared(self, x, seen, own, kinds: list[bool]) -> list["Nearest"]:
        """Compare rows with all reference rows, plainly or in their scales."""
        mine = None if own is None else own[:, None] == torch.arange(len(self.rows))
        rows, scales = self._blocks
        reference, shrink = rows.flatten(0, 1)[: len(self.rows)], scales.flatten()[: len(self.rows)]
        parts = [
            [least_of_rows(squares * shrink if scaled else squares)[1] for scaled in kinds]
            for _, _, squares in squared_distances(reference, x, seen, mine, self._lengths)
        ]
        nearest = [torch.cat(each) for each in zip(*parts, strict=True)]
        # The search is by matrix products; the distances found are then free of cancellation.
        return [
            Nearest(
                torch.where(seen, reference[at] - x, 0.0).square().sum(1)
                * (shrink[at] if scaled else 1.0),
                at,
            )
            for at, scaled in zip(nearest, kinds, strict=True)
        ]

    def _exact(self, x, seen, own, block: Tensor, scaled: bool) -> "Nearest":
        """Find the nearest row of one block each."""
        rows, shrink = self._blocks
        gaps = rows.index_select(0, block).sub_(x[:, None])
        if not seen.all():
            gaps *= seen[:, None]
        squares = gaps.square_().sum(2)
        if scaled:
            squares *= shrink[block]
        numbers = block[:, None] * BLOCK + torch.arange(BLOCK)
        if own is not None:
            squares[numbers == own[:, None]] = torch.inf
        least, at = least_of_rows(squares)
        return Nearest(least, numbers.gather(1, at[:, None])[:, 0])

    def _bounds(self, x: Tensor, seen: Tensor) -> Tensor:
        r"""Lower bounds of the squared distances to the rows of each block, of shape (block, row).

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
        rows = self._single
        bounds = right.new_empty(len(rows) // BLOCK, len(x))
        space = right.new_empty(REFERENCE_AT_ONCE, len(x))  # written over: fresh memory is slow
        for start in range(0, len(rows), REFERENCE_AT_ONCE):
            tile = rows[start : start + REFERENCE_AT_ONCE]
            squares = torch.mm(tile, right, out=space[: len(tile)])
            if len(unseen):
                squares.addmm_(tile[:, :-2][:, gaps].square(), unseen, alpha=-1)
            part = bounds[start // BLOCK : (start + len(tile)) // BLOCK]
            torch.amin(squares.view(-1, BLOCK, len(x)), 1, out=part)
        return bounds.clamp_(min=0.0)

    @cached_property
    def ends(self) -> Tensor:
        """Least and largest value of each coord, of shape (2, coord)."""
        return torch.stack([self.rows.amin(0), self.rows.amax(0)])

    @cached_property
    def _order(self) -> Tensor:
        """Rows by their scales, so that one number bounds the scales of a block."""
        return self.scales.argsort(stable=True)

    @cached_property
    def _blocks(self) -> tuple[Tensor, Tensor]:
        """Reference rows of shape (block, BLOCK, coord), and 1 / scale^2 of shape (block, BLOCK).

        The last row fills up the last block.
        """
        fill = torch.arange(-(-len(self.rows) // BLOCK) * BLOCK).clamp(max=len(self.rows) - 1)
        order = self._order[fill]
        shrink = self.scales[order].square().reciprocal()
        return self.rows[order].unflatten(0, (-1, BLOCK)), shrink.unflatten(0, (-1, BLOCK))

    @cached_property
    def _single(self) -> Tensor:
        """Rows, 1 and their squared length in single precision."""
        rows = self._blocks[0].flatten(0, 1)
        length = rows.square().sum(1, keepdim=True)
        return torch.cat([rows, torch.ones_like(length), length], dim=1).float()

    @cached_property
    def _shrink(self) -> Tensor:
        """Least 1 / scale^2 of each block, of shape (block, 1), rounded down."""
        least = self._blocks[1].amin(1, keepdim=True) * (1 - torch.finfo(torch.float32).eps)
        return least.float()

    @cached_property
    def _lengths(self) -> Tensor:
        return self.rows[self._order].square().sum(1)


# Rows, what is observed of them, and which reference rows they are.
Chosen = tuple[Tensor, Tensor, Tensor | None]


class Nearest(NamedTuple):
    """What has been found for each row; both of shape (row,)."""

    squares: Tensor  # least squared distance, in whatever scales
    rows: Tensor  # number of the reference row that has it, in the order of their scales

    @staticmethod
    def joined(parts: tuple["Nearest", ...]) -> "Nearest":
        """Put parts together, one below the other."""
        return Nearest(*(torch.cat(each) for each in zip(*parts, strict=True)))

    def improve(self, which: Tensor, other: "Nearest") -> None:
        """Take over what is nearer, for the rows with these numbers."""
        nearer = other.squares < self.squares[which]
        for mine, found in zip(self, other, strict=True):
            mine[which[nearer]] = found[nearer]


def _chosen(which: Tensor, x: Tensor, seen: Tensor, own: Tensor | None) -> Chosen:
    """Rows with these numbers, the same ones where it is all of them."""
    if len(which) == len(x):
        return x, seen, own
    return x[which], seen[which], None if own is None else own[which]


def least_of_rows(
    values: Float[Tensor, "row reference"],
) -> tuple[Float[Tensor, "row"], Int[Tensor, "row"]]:
    """Least value of each row and its place, the first one of equal ones.

    As ``values.min(1)``, whose search for the place takes far longer than that of numpy.
    """
    at = torch.from_numpy(values.numpy().argmin(1))
    return values.gather(1, at[:, None])[:, 0], at


def squared_distances(
    reference: Float[Tensor, "reference coord"],
    values: Float[Tensor, "row coord"],
    observed: Bool[Tensor, "row coord"],
    own: Bool[Tensor, "row reference"] | None,
    lengths: Float[Tensor, "reference"],
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield blocks of rows, their masks, and their squared distances to the reference rows.

    Values are 0 where not observed; ``own`` marks reference rows that are no neighbours of a row,
    at an infinite distance; ``lengths`` are the sums of squares of the reference rows.
    """
    at_once = max(1, PAIRS_AT_ONCE // len(reference))
    for start in range(0, len(values), at_once):
        block = slice(start, start + at_once)
        x, seen = values[block], observed[block]
        row = torch.where(seen, x, 0.0).square().sum(1, keepdim=True)
        distances = products(reference, x, seen, lengths)
        distances += row
        if own is not None:
            distances[own[block]] = torch.inf
        yield x, seen, distances


def products(
    reference: Float[Tensor, "reference coord"],
    values: Float[Tensor, "row coord"],
    observed: Bool[Tensor, "row coord"],
    lengths: Float[Tensor, "reference"],
) -> Float[Tensor, "row reference"]:
    """Squared distances to the reference rows, less the sum of squares of each row.

    Arguments as of ``squared_distances``; what a row has not seen does not count.
    """
    gaps = ~observed.all(0)  # few columns, as a rule: the others need no second product
    if not gaps.any():
        return torch.addmm(lengths, values, reference.T, alpha=-2)
    at = gaps.nonzero()[:, 0]
    unseen, there = ~observed.index_select(1, at), reference.index_select(1, at)
    counted = lengths - unseen.to(values) @ there.square_().T
    return counted.addmm_(values, reference.T, alpha=-2)
