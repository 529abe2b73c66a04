"""The components of copies of one row that differ from it in a few entries each.

What is left as it was is computed once, for the row itself: a copy's squared distances to the
reference rows are those of the row, plus what the changed entries add, and so are the sums that
enter the network. A table of hundreds of columns has as many copies with one column replaced.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.reference.nearest import COPY, NearestRows
from anomdiff.reference.subset_search import SubsetSearch
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.scoring.reconstruction import row_errors, row_sizes
from anomdiff.scoring.reconstruction_component import ReconstructionComponent

__all__ = ["ensemble_of_copies"]

# Squared distances this small, relative to the squared lengths they come from, have lost their
# digits, or are those of copies of reference rows, which may exclude themselves.
CANCELLED = 1e-10
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
    weighted, view = values * ensemble.distance_weights, ensemble.network_view
    low, high = torch.zeros_like(weighted), torch.zeros_like(weighted)
    for search, coords in zip(ensemble.searches, ensemble.views, strict=True):
        low[coords], high[coords] = search.rows.amin(0), search.rows.amax(0)
    fast: dict[str, Any] = {
        "searches": [
            _CopySearch.of(search, weighted[view], observed[view], low[view], high[view])
            for search, view in zip(ensemble.searches, ensemble.views, strict=True)
        ],
        "subset_searches": [
            _CopySubsets.of(search, weighted, observed, low, high)
            for search in ensemble.subset_searches
        ],
    }
    if isinstance(getattr(ensemble.denoiser, "network", None), ResidualMLP):
        fast["reconstructions"] = [
            _CopyReconstruction(**vars(each), row=values[view]) for each in ensemble.reconstructions
        ]
    return replace(ensemble, **fast)


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

    def within(self, coords: Bool[Tensor, "coord"]) -> "_Changes":
        """Those of some coords, numbered among these."""
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


@dataclass(frozen=True)
class _CopySearch(NearestRows):
    """``NearestRows`` of one view, for copies of a row."""

    search: NearestRows
    row: Tensor  # 0 where not observed
    observed: Tensor
    squares: Tensor  # squared distances of the row
    own: Tensor  # and what it finds itself
    low: Tensor  # least and largest reference value of each coord
    high: Tensor

    @classmethod
    def of(
        cls, search: NearestRows, values: Tensor, observed: Tensor, low: Tensor, high: Tensor
    ) -> "_CopySearch":
        row = torch.where(observed, values, 0.0)
        squares = _squared_distances(search.rows, row, observed)
        others = _without_self(squares, search.exclude_self)
        own = torch.stack([others.amin(), (others / search.scales.square()).amin()]).sqrt()
        given = search.rows, search.scales, search.exclude_self
        return cls(*given, search, row, observed, squares, own, low, high)

    @torch.inference_mode()
    def distances(self, values: Tensor, observed: Tensor) -> Float[Tensor, "row 2"]:
        changes = _Changes.find(values, observed, self.row, self.observed)
        local = self.scales.square().reciprocal()
        shrink = torch.stack([torch.ones_like(local), local], dim=1)
        reach = changes.reach(self.low, self.high)
        touched, least = changes.least(self.rows, self.squares, shrink, reach)
        found = self.own.repeat(len(values), 1)
        found[touched] = least.clamp(min=0).sqrt()
        doubtful = touched[least[:, 0] <= _least(self.row, values[touched])]
        if len(doubtful):
            found[doubtful] = self.search.distances(values[doubtful], observed[doubtful])
        return found


@dataclass(frozen=True)
class _CopySubsets(SubsetSearch):
    """``SubsetSearch``, for copies of a row."""

    row: Tensor  # 0 where not observed
    observed: Tensor
    squares: Sequence[Tensor]  # squared distances of the row to the rows of each subset
    own: Tensor  # and what it finds itself
    low: Tensor  # least and largest reference value of each coord
    high: Tensor

    @classmethod
    def of(
        cls, search: SubsetSearch, values: Tensor, observed: Tensor, low: Tensor, high: Tensor
    ) -> "_CopySubsets":
        row = torch.where(observed, values, 0.0)
        squares = [
            _squared_distances(each.rows, row[each.coords], observed[each.coords])
            for each in search.searched
        ]
        pairs = zip(squares, search.searched, strict=True)
        own = torch.stack([_without_self(each, s.exclude_self).amin() for each, s in pairs]).sqrt()
        return cls(search.subsets, search.searched, row, observed, squares, own, low, high)

    @torch.inference_mode()
    def distances(self, values: Tensor, observed: Tensor) -> Float[Tensor, "row subset"]:
        changes = _Changes.find(values, observed, self.row, self.observed)
        reach, least_known = changes.reach(self.low, self.high), _least(self.row, values)
        found = self.own.repeat(len(values), 1)
        for i, subset in enumerate(self.searched):
            own, inside = changes.within(subset.coords), subset.coords[changes.coords]
            shrink = torch.ones_like(self.squares[i])[:, None]
            touched, least = own.least(subset.rows, self.squares[i], shrink, reach[inside])
            found[touched, i] = least[:, 0].clamp(min=0).sqrt()
            doubtful = touched[least[:, 0] <= least_known[touched]]
            if len(doubtful):
                alone = SubsetSearch(self.subsets, [subset])
                found[doubtful, i] = alone.distances(values[doubtful], observed[doubtful])[:, 0]
        return found


def _squared_distances(reference: Tensor, values: Tensor, observed: Tensor) -> Tensor:
    gaps = reference - values
    if not observed.all():
        return gaps.square_() @ observed.to(gaps)
    return torch.linalg.vecdot(gaps, gaps)


def _without_self(squares: Tensor, exclude_self: Tensor) -> Tensor:
    """Squared distances of a row, infinite to its copy if that excludes itself."""
    at = squares.argmin()
    if len(squares) == 1 or not exclude_self[at] or squares[at].sqrt() >= COPY:
        return squares
    return squares.index_fill(0, at, torch.inf)


def _least(row: Tensor, copies: Tensor) -> Tensor:
    """Squared distances of copies below which they are not to be trusted."""
    return CANCELLED * (row.square().sum() + copies.square().sum(1))


@dataclass(frozen=True)
class _CopyReconstruction(ReconstructionComponent):
    r"""``ReconstructionComponent``, for copies of a row.

    With the denoiser written out, the error of an entry at level :math:`\sigma` and noise
    :math:`\epsilon` is :math:`(F - (\sigma x - \epsilon) / \sqrt{1 + \sigma^2})^2`, without a
    difference of large numbers: single precision is enough.
    """

    row: Tensor

    @torch.inference_mode()
    def errors(
        self, denoiser: nn.Module, values: Tensor, observed: Tensor, share: Tensor
    ) -> Float[Tensor, "row level"]:
        copies, coords = (values != self.row).nonzero().T
        new = values[copies, coords]
        network: Any = denoiser.network
        weights = network.inward.weight[:, : values.shape[1]].double()
        inward = values.new_zeros(len(values), len(weights))
        inward.index_add_(0, copies, (new - self.row[coords])[:, None] * weights.T[coords])
        counted = self.entries[coords]
        place = (self.entries.cumsum(0) - 1)[coords[counted]]
        changed = copies[counted], place, new[counted]
        levels = zip(self.levels, self.noise, strict=True)
        total = row_errors if self.compressed else row_sizes
        seen = observed if self.entries.all() else observed[:, self.entries]
        found = []
        for sigma, draws in levels:
            squares = _squares(
                network, self.row, float(sigma), draws, inward, changed, self.entries
            )
            squares = torch.where(seen, squares.div_(len(draws)), 0.0)
            found.append(total(squares[:, None], share))
        return torch.cat(found, dim=1).to(values)


def _squares(
    network: ResidualMLP,
    row: Tensor,
    sigma: float,
    draws: Tensor,
    inward: Tensor,
    changed: Sequence[Tensor],
    entries: Tensor,
) -> Float[Tensor, "row counted"]:
    """Sum of the squared errors of copies over the draws of one level, in single precision.

    Of the entries that count; ``changed`` has the number of the copy and of the entry among these,
    and the new value.
    """
    copies, place, new = changed
    scale = (1 + sigma**2) ** -0.5
    outward, ahead = network.outward.weight[entries], network.outward.bias[entries]
    level = row.new_full((1,), sigma).log().to(outward) / 4
    at_level = network.inlevel(network.level(level))
    weights, bias = (each.double() for each in (network.inward.weight, network.inward.bias))
    total, own = torch.zeros(len(inward), len(outward), dtype=outward.dtype), outward[place]
    for noise in draws.to(row):
        first = weights[:, : len(row)] @ (scale * (row + sigma * noise)) + bias
        hidden = (first + scale * inward).to(outward) + at_level
        for block in network.blocks:
            hidden = block(hidden)
        hidden = F.silu(network.norm(hidden))
        wanted = scale * (sigma * row - noise)[entries]
        errors = torch.addmm((ahead - wanted).to(hidden), hidden, outward.T)
        predicted = (hidden[copies] * own).sum(1) + ahead[place]
        errors[copies, place] = predicted - scale * (sigma * new - noise[entries][place]).to(hidden)
        total.addcmul_(errors, errors)
    return total
