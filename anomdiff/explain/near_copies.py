"""The components of copies of one row that differ from it in a few entries each.

What is left as it was is computed once, for the row itself: a copy's squared distances to the
reference rows are those of the row, plus what the changed entries add, and so are the sums that
enter the network. A table of hundreds of columns has as many copies with one column replaced.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.reference.nearest import products
from anomdiff.reference.subset_search import nearest_of
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.scoring.reconstruction import row_errors, row_sizes
from anomdiff.scoring.reconstruction_component import ReconstructionComponent

__all__ = ["ensemble_of_copies"]

# Squared distances this small, relative to the squared lengths they come from, have lost their
# digits, or are those of copies of reference rows, which may exclude themselves.
CANCELLED = 1e-9
# Share of the copies that are compared with the reference rows near their row only.
SMALL_CHANGES = 0.95


def ensemble_of_copies(
    ensemble: Ensemble, values: Float[Tensor, "coord"], observed: Bool[Tensor, "coord"]
) -> Ensemble:
    """Return an ensemble with the components of ``ensemble``, fast for copies of one row.

    They are the same up to rounding: about 1e-7 of the network's, which counts in single
    precision, and less of the others.

    Parameters
    ----------
    ensemble : Ensemble
        The fitted one.
    values, observed : Tensor of shape (coord,)
        The encoded row.
    """
    row = torch.where(observed, values, 0.0)
    weighted = row * ensemble.distance_weights
    ends = torch.zeros(2, len(row), dtype=row.dtype)
    nearest, in_subsets = [], []
    for search, coords in zip(ensemble.searches, ensemble.views, strict=True):
        ends[:, coords] = search.ends
        shrink = torch.stack([torch.ones_like(search.scales), search.scales**-2], dim=1)
        squares = _squared_distances(search.rows, weighted[coords], observed[coords])
        nearest.append(_Compared(coords, search.rows, shrink, squares, search.distances))
    for subsets in ensemble.subset_searches:
        for each in subsets.searched:
            coords, seen = each.coords, observed[each.coords][None]
            x = weighted[coords]
            squares = products(each.rows, x[None], seen, each.lengths)[0] + x.square().sum()
            shrink, again = torch.ones_like(squares)[:, None], partial(nearest_of, each)
            in_subsets.append(_Compared(coords, each.rows, shrink, squares, again))
    return _CopyEnsemble(
        **vars(ensemble), row=row, seen=observed, ends=ends, nearest=nearest, in_subsets=in_subsets
    )


@dataclass(frozen=True)
class _CopyEnsemble(Ensemble):
    """``Ensemble``, for copies of a row: what they change is found once, for all components."""

    row: Tensor  # 0 where not observed
    seen: Tensor
    ends: Tensor  # least and largest reference value of each coord, weighted
    nearest: Sequence["_Compared"]  # one per search
    in_subsets: Sequence["_Compared"]  # one per subset of each subset search

    @torch.inference_mode()
    def components(
        self, values: Tensor, observed: Tensor, share: Tensor, codes: Tensor | None
    ) -> list[Tensor]:
        changes = _Changes.find(values, observed, self.row, self.seen)
        found = self._reconstructed(changes, values, observed, share)
        whole, copies = share.sqrt()[:, None], _Copies.of(self, changes, values, observed)
        for each in self.nearest:
            found += (each.distances(copies) / whole).split(1, dim=1)
        subsets = iter(self.in_subsets)
        for search in self.subset_searches:
            own = [next(subsets).distances(copies) for _ in search.searched]
            found.append(search.mean_errors(torch.cat(own, dim=1) / whole))
        if self.cooccurrence is not None and codes is not None:
            found.append(self.cooccurrence.errors(codes))
        return found

    def _reconstructed(
        self, changes: "_Changes", values: Tensor, observed: Tensor, share: Tensor
    ) -> list[Tensor]:
        """Components of the network."""
        view = self.network_view
        shown = values[:, view], observed[:, view]
        if not isinstance(getattr(self.denoiser, "network", None), ResidualMLP):
            return [each.errors(self.denoiser, *shown, share) for each in self.reconstructions]
        network: Any = self.denoiser.network
        network = _CopyNetwork.of(network, self.row[view], changes.within(view), *shown)
        return [network.errors(each, share) for each in self.reconstructions]


class _Changes(NamedTuple):
    """Entries that differ from the row: of which copy, at which coord, and what they change."""

    copies: Tensor
    coords: Tensor
    linear: Tensor  # new value less the old one, 0 where not observed
    squared: Tensor  # the same of their squares
    seen: Tensor  # 1 where only the new one is observed, -1 where only the old one is

    @classmethod
    def find(cls, values: Tensor, observed: Tensor, row: Tensor, seen: Tensor) -> "_Changes":
        if observed.all() and seen.all():
            differs = values != row
        else:
            differs = (torch.where(observed, values, 0.0) != row) | (observed != seen)
        copies, coords = differs.nonzero().T
        shown, old = observed[copies, coords], row[coords]
        new = torch.where(shown, values[copies, coords], 0.0)
        toggled = shown.to(values) - seen[coords].to(values)
        return cls(copies, coords, new - old, new.square() - old.square(), toggled)

    def take(self, which: Bool[Tensor, " change"]) -> "_Changes":
        """Return some of them."""
        numbers = which.nonzero()[:, 0]
        return _Changes(*(each.index_select(0, numbers) for each in self))

    def weighted(self, weights: Tensor) -> "_Changes":
        """The same of values multiplied by a weight per coord."""
        own = weights[self.coords]
        return self._replace(linear=self.linear * own, squared=self.squared * own.square())

    def within(self, coords: Bool[Tensor, "coord"]) -> "_Changes":
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
        self, reference: Tensor, squares: Tensor, shrink: Tensor, reach: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which copies have changed, and their least squared distances, (changed, kind).

        ``squares`` are those of the row itself, ``shrink`` what each kind multiplies those of a
        reference row by. Reference rows that are further from the row than a change can make up
        for are passed over.
        """
        total = reach.new_zeros(int(self.copies[-1]) + 1 if len(self.copies) else 0)
        total.index_add_(0, self.copies, reach)
        touched = self.copies.unique_consecutive()
        if not len(touched):
            return touched, shrink[:0]
        limit = total[touched].quantile(SMALL_CHANGES) * (1 + 1e-9) + 1e-9
        most = ((squares + limit)[:, None] * shrink).amin(0)
        near = ((squares - limit)[:, None] * shrink <= most).any(1)
        small, found = (total <= limit)[self.copies], shrink.new_empty(len(total), shrink.shape[1])
        for kept, some in ((small, near), (~small, torch.ones_like(near))):
            if kept.any():
                places, each = self.take(kept).squares(reference[some], squares[some])
                least = [(each * factor[:, None]).amin(0) for factor in shrink[some].T]
                found[places] = torch.stack(least, dim=1)
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


class _Copies(NamedTuple):
    """Copies of a row as they are compared with reference rows."""

    changes: _Changes  # weighted, as the values are
    reach: Tensor
    limit: Tensor  # squared distances below which they are not to be trusted
    values: Tensor  # not weighted
    observed: Tensor
    row: Tensor
    seen: Tensor
    weights: Tensor

    @classmethod
    def of(cls, ensemble: _CopyEnsemble, changes: _Changes, values: Tensor, observed: Tensor):
        weights = ensemble.distance_weights
        changes = changes.weighted(weights)
        own = (ensemble.row * weights).square().sum()
        limit = (2 * own).repeat(len(values)).index_add_(0, changes.copies, changes.squared)
        shown = values, observed, ensemble.row, ensemble.seen
        reach = changes.reach(*ensemble.ends)
        return cls(changes, reach, CANCELLED * limit, *shown, weights)

    def take(self, which: Tensor, coords: Tensor) -> tuple[Tensor, Tensor]:
        """Weighted values of some copies in some coords, and what is observed of them."""
        return (self.values[which] * self.weights)[:, coords], self.observed[which][:, coords]


@dataclass(frozen=True)
class _Compared:
    """Reference rows in some coords, to compare copies of a row with."""

    coords: Tensor
    rows: Tensor
    shrink: Tensor  # (reference, kind): what squared distances are multiplied by
    squares: Tensor  # squared distances of the row
    again: Callable[[Tensor, Tensor], Tensor]  # the distances of any rows, exactly

    def distances(self, copies: _Copies) -> Float[Tensor, "row kind"]:
        """Least distances, by what has changed; those that have lost their digits once more."""
        inside = copies.changes.within(self.coords)
        reach = copies.reach[self.coords[copies.changes.coords]]
        touched, least = inside.least(self.rows, self.squares, self.shrink, reach)
        found = self._own(copies).repeat(len(copies.values), 1)
        found[touched] = least.clamp(min=0).sqrt()
        doubtful = touched[least[:, 0] <= copies.limit[touched]]
        if len(doubtful):
            exact = self.again(*copies.take(doubtful, self.coords))
            found[doubtful] = exact.reshape(len(doubtful), -1)
        return found

    def _own(self, copies: _Copies) -> Tensor:
        """What the row itself finds."""
        least = (self.squares[:, None] * self.shrink).amin(0)
        x = (copies.row * copies.weights)[self.coords]
        if least[0] > 2 * CANCELLED * x.square().sum():
            return least.sqrt()
        return self.again(x[None], copies.seen[self.coords][None]).reshape(-1)


def _squared_distances(reference: Tensor, values: Tensor, observed: Tensor) -> Tensor:
    gaps = reference - values
    if not observed.all():
        return gaps.square_() @ observed.to(gaps)
    return torch.linalg.vecdot(gaps, gaps)


@dataclass(frozen=True)
class _CopyNetwork:
    r"""The network's errors on copies of a row.

    With the denoiser written out, the error of an entry at level :math:`\sigma` and noise
    :math:`\epsilon` is :math:`(F - (\sigma x - \epsilon) / \sqrt{1 + \sigma^2})^2`, without a
    difference of large numbers: single precision is enough.
    """

    network: ResidualMLP
    row: Tensor
    copies: Tensor  # which copy has another value
    coords: Tensor  # at which coord
    new: Tensor  # and which value
    observed: Tensor
    weights: Tensor  # of the first layer, in double precision
    inward: Tensor  # what each copy changes of the sums that enter the network

    @classmethod
    def of(
        cls, network: ResidualMLP, row: Tensor, changes: _Changes, values: Tensor, observed: Tensor
    ) -> "_CopyNetwork":
        copies, coords = changes.copies, changes.coords
        weights = network.inward.weight[:, : len(row)].double()
        inward = weights.new_zeros(len(values), len(weights))
        inward.index_add_(0, copies, changes.linear[:, None] * weights.T.contiguous()[coords])
        new = row[coords] + changes.linear
        return cls(network, row, copies, coords, new, observed, weights, inward)

    def errors(
        self, component: ReconstructionComponent, share: Tensor
    ) -> Float[Tensor, "row level"]:
        """As of the component."""
        entries = component.entries
        seen = self.observed if entries.all() else self.observed[:, entries]
        hidden = None if seen.all() else ~seen
        total = row_errors if component.compressed else row_sizes
        found = []
        for sigma, draws in zip(component.levels, component.noise, strict=True):
            squares = self._squares(float(sigma), draws, entries).div_(len(draws))
            squares = squares if hidden is None else squares.masked_fill_(hidden, 0.0)
            found.append(total(squares[:, None], share))
        return torch.cat(found, dim=1).to(self.row)

    def _squares(
        self, sigma: float, draws: Tensor, entries: Tensor
    ) -> Float[Tensor, "row counted"]:
        """Sum of the squared errors over the draws of one level, of the entries that count."""
        network, row, scale = self.network, self.row, (1 + sigma**2) ** -0.5
        counted = entries[self.coords]
        copies, new = self.copies[counted], self.new[counted]
        place = (entries.cumsum(0) - 1)[self.coords[counted]]
        outward, ahead = network.outward.weight[entries], network.outward.bias[entries]
        level = row.new_full((1,), sigma).log().to(outward) / 4
        at_level = network.inlevel(network.level(level))
        total, own = torch.zeros(len(self.inward), len(outward)), outward[place]
        for noise in draws.to(row):
            first = self.weights @ (scale * (row + sigma * noise)) + network.inward.bias
            hidden = (first + scale * self.inward).to(outward) + at_level
            for block in network.blocks:
                hidden = block(hidden)
            hidden = F.silu(network.norm(hidden))
            wanted = scale * (sigma * row - noise)[entries]
            errors = torch.addmm((ahead - wanted).to(hidden), hidden, outward.T)
            predicted = (hidden[copies] * own).sum(1) + ahead[place]
            off = predicted - scale * (sigma * new - noise[entries][place]).to(hidden)
            errors[copies, place] = off
            total.addcmul_(errors, errors)
        return total
