"""What copies of one row change, and what that adds to their distances to reference rows."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["Changes", "least_of"]

# Share of the copies that are compared with the reference rows near their row only.
SMALL_CHANGES = 0.95


class Changes(NamedTuple):
    """Entries that differ from the row: of which copy, at which coord, and what they change."""

    copies: Tensor
    coords: Tensor
    linear: Tensor  # new value less the old one, 0 where not observed
    squared: Tensor  # the same of their squares
    seen: Tensor  # 1 where only the new one is observed, -1 where only the old one is

    @classmethod
    def find(cls, values: Tensor, observed: Tensor, row: Tensor, seen: Tensor) -> "Changes":
        """Compare copies, encoded, with the row, 0 where not observed."""
        if observed.all() and seen.all():
            differs = values != row
        else:
            differs = (torch.where(observed, values, 0.0) != row) | (observed != seen)
        copies, coords = differs.nonzero().T
        shown, old = observed[copies, coords], row[coords]
        new = torch.where(shown, values[copies, coords], 0.0)
        toggled = shown.to(values) - seen[coords].to(values)
        return cls(copies, coords, new - old, new.square() - old.square(), toggled)

    def take(self, which: Bool[Tensor, " change"]) -> "Changes":
        """Return some of them."""
        numbers = which.nonzero()[:, 0]
        return Changes(*(each.index_select(0, numbers) for each in self))

    def weighted(self, weights: Tensor) -> "Changes":
        """The same of values multiplied by a weight per coord."""
        own = weights[self.coords]
        return self._replace(linear=self.linear * own, squared=self.squared * own.square())

    def within(self, coords: Bool[Tensor, "coord"]) -> "Changes":
        """Those of some coords, numbered among these."""
        if coords.all():
            return self
        found = self.take(coords[self.coords])
        return found._replace(coords=(coords.cumsum(0) - 1)[found.coords])

    def reach(self, low: Tensor, high: Tensor) -> Tensor:
        r"""How much each change adds to or takes from a squared distance, at most.

        It adds :math:`(y - r)^2 - (x - r)^2`, or one of the two where the entry is observed in one
        only, which is largest at one of the ends, ``low`` and ``high``, of the reference values.
        """
        ends = torch.stack([low, high])[:, self.coords]
        return (self.seen * ends.square() - 2 * self.linear * ends + self.squared).abs().amax(0)

    def least(
        self, reference: Tensor, squares: Tensor, local: Tensor | None, reach: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which copies have changed, and their least squared distances, (changed, kind).

        ``squares`` are those of the row itself; a second kind multiplies those of each reference
        row by ``local``, if it is given. Reference rows that are further from the row than a
        change can make up for are passed over.
        """
        total = reach.new_zeros(int(self.copies[-1]) + 1 if len(self.copies) else 0)
        total.index_add_(0, self.copies, reach)
        touched = self.copies.unique_consecutive()
        if not len(touched):
            return touched, least_of(squares[:, None], local)[:0]
        n_small = max(1, int(SMALL_CHANGES * len(touched)))
        limit = total[touched].kthvalue(n_small).values * (1 + 1e-9) + 1e-9
        most = least_of((squares + limit)[:, None], local)[0]
        near = squares - limit <= most[0]
        if local is not None:
            near |= (squares - limit) * local <= most[1]
        small, found = (total <= limit)[self.copies], reach.new_empty(len(total), len(most))
        for kept, some in ((small, near), (~small, torch.ones_like(near))):
            if kept.any():
                places, each = self.take(kept).squares(reference[some], squares[some])
                found[places] = least_of(each, None if local is None else local[some])
        return touched, found[touched]

    def squares(self, reference: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Which copies have changed, and their squared distances, (reference, changed).

        ``squares`` are those of the row itself.
        """
        touched, place, counts = self.copies.unique_consecutive(
            return_inverse=True, return_counts=True
        )
        at = reference.index_select(1, self.coords)
        added = self.seen * at.square() if self.seen.any() else None
        at.mul_(-2 * self.linear).add_(self.squared)
        at = at if added is None else at.add_(added)
        if len(counts) and (counts == counts[0]).all():  # numbers only: no sum over unequal groups
            total = at.unflatten(1, (len(counts), -1)).sum(2) if counts[0] > 1 else at
        else:
            total = at.new_zeros(len(at), len(touched)).index_add_(1, place, at)
        return touched, total.add_(squares[:, None])


def least_of(squares: Float[Tensor, "reference row"], local: Tensor | None) -> Tensor:
    """Least squared distances of each row, plainly and, if given, in local scales, (row, kind)."""
    kinds = [squares] if local is None else [squares, squares * local[:, None]]
    return torch.stack([each.amin(0) for each in kinds], dim=1)
