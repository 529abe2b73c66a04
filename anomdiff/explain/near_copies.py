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
from anomdiff.reference.nearest import NearestRows
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
    spans, sizes = torch.zeros_like(weighted), torch.zeros_like(weighted)
    for search, coords in zip(ensemble.searches, ensemble.views, strict=True):
        low, high = search.rows.aminmax(dim=0)
        spans[coords], sizes[coords] = high - low, torch.maximum(-low, high)
    fast: dict[str, Any] = {
        "searches": [
            _CopySearch.of(search, weighted[view], observed[view])
            for search, view in zip(ensemble.searches, ensemble.views, strict=True)
        ],
        "subset_searches": [
            _CopySubsets.of(search, weighted, observed, spans, sizes)
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
        x = torch.where(observed, values, 0.0)
        copies, coords = ((x != row) | (observed != seen)).nonzero().T
        new, old = x[copies, coords], row[coords]
        toggled = observed[copies, coords].to(x) - seen[coords].to(x)
        return cls(copies, coords, new - old, new.square() - old.square(), toggled)

    def within(self, coords: Bool[Tensor, "coord"]) -> "_Changes":
        """Those of some coords, numbered among these."""
        kept, number = coords[self.coords], coords.cumsum(0) - 1
        found = _Changes(*(each[kept] for each in self))
        return found._replace(coords=number[found.coords])

    def bounds(self, spans: Tensor, sizes: Tensor) -> Tensor:
        r"""How much nearer each change may bring one reference row than another, at most.

        The change :math:`(x - r)^2 - (y - r)^2` of two reference rows, whose values are within
        ``spans`` of each other and ``sizes`` of 0, differs by :math:`2 |x - y| |r - r'|` at most,
        and where it is observed in one only by :math:`|r^2 - r'^2|` beside that.
        """
        return 2 * spans[self.coords] * (self.linear.abs() + self.seen.abs() * sizes[self.coords])

    def least(self, reference: Tensor, squares: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
        """Which copies have changed, and their least squared distance to the reference rows.

        Reference rows that are further from the row than the nearest one by more than a change
        can make up for are passed over.
        """
        total = bounds.new_zeros(int(self.copies[-1]) + 1 if len(self.copies) else 0)
        total.index_add_(0, self.copies, bounds)
        touched = self.copies.unique_consecutive()
        if not len(touched):
            return touched, squares[:0]
        limit = total[touched].quantile(SMALL_CHANGES)
        small = (total <= limit)[self.copies]
        near = squares <= squares.min() + limit * (1 + 1e-9) + 1e-9
        found = squares.new_empty(len(total))
        for kept, some in ((small, near), (~small, torch.ones_like(near))):
            if kept.any():
                part = _Changes(*(each[kept] for each in self))
                places, each = part.squares(reference[some], squares[some])
                found[places] = each.amin(0)
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

    @classmethod
    def of(cls, search: NearestRows, values: Tensor, observed: Tensor) -> "_CopySearch":
        row = torch.where(observed, values, 0.0)
        squares = _squared_distances(search.rows, row, observed)
        own = search.distances(values[None], observed[None])
        given = search.rows, search.scales, search.exclude_self
        return cls(*given, search, row, observed, squares, own)

    @torch.inference_mode()
    def distances(self, values: Tensor, observed: Tensor) -> Float[Tensor, "row 2"]:
        changes = _Changes.find(values, observed, self.row, self.observed)
        touched, squares = changes.squares(self.rows, self.squares)
        plain = squares.amin(0)
        local = squares.div_(self.scales.square()[:, None]).amin(0)
        found = self.own.repeat(len(values), 1)
        found[touched] = torch.stack([plain, local], dim=1).clamp(min=0).sqrt()
        doubtful = touched[plain <= _least(self.row, values[touched])]
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
    spans: Tensor  # of the reference rows in each coord, and how far from 0 they get
    sizes: Tensor

    @classmethod
    def of(
        cls, search: SubsetSearch, values: Tensor, observed: Tensor, spans: Tensor, sizes: Tensor
    ) -> "_CopySubsets":
        row = torch.where(observed, values, 0.0)
        squares = [
            _squared_distances(each.rows, row[each.coords], observed[each.coords])
            for each in search.searched
        ]
        own = search.distances(values[None], observed[None])[0]
        given = search.subsets, search.searched
        return cls(*given, row, observed, squares, own, spans, sizes)

    @torch.inference_mode()
    def distances(self, values: Tensor, observed: Tensor) -> Float[Tensor, "row subset"]:
        changes = _Changes.find(values, observed, self.row, self.observed)
        found, least_known = self.own.repeat(len(values), 1), _least(self.row, values)
        for i, subset in enumerate(self.searched):
            own = changes.within(subset.coords)
            bounds = own.bounds(self.spans[subset.coords], self.sizes[subset.coords])
            touched, least = own.least(subset.rows, self.squares[i], bounds)
            found[touched, i] = least.clamp(min=0).sqrt()
            doubtful = touched[least <= least_known[touched]]
            if len(doubtful):
                alone = SubsetSearch(self.subsets, [subset])
                found[doubtful, i] = alone.distances(values[doubtful], observed[doubtful])[:, 0]
        return found


def _squared_distances(reference: Tensor, values: Tensor, observed: Tensor) -> Tensor:
    gaps = reference - values
    if not observed.all():
        gaps *= observed
    return torch.linalg.vecdot(gaps, gaps)


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
        changed = copies, coords, new, new - self.row[coords]
        network: Any = denoiser.network
        weights = network.inward.weight[:, : values.shape[1]].double()
        inward = values.new_zeros(len(values), len(weights))
        inward.index_add_(0, copies, changed[3][:, None] * weights.T[coords])
        levels = zip(self.levels, self.noise, strict=True)
        total = row_errors if self.compressed else row_sizes
        found = []
        for sigma, draws in levels:
            squares = _squares(network, self.row, float(sigma), draws, inward, changed)
            squares = torch.where(observed, squares / len(draws), 0.0)
            found.append(total(squares[:, None, self.entries], share))
        return torch.cat(found, dim=1).to(values)


def _squares(
    network: ResidualMLP,
    row: Tensor,
    sigma: float,
    draws: Tensor,
    inward: Tensor,
    changed: Sequence[Tensor],
) -> Float[Tensor, "row coord"]:
    """Sum of the squared errors of copies over the draws of one level, in single precision."""
    copies, coords, new, _ = changed
    scale, outward = (1 + sigma**2) ** -0.5, network.outward
    level = row.new_full((1,), sigma).log().to(outward.weight) / 4
    at_level = network.inlevel(network.level(level))
    weights, bias = (each.double() for each in (network.inward.weight, network.inward.bias))
    total = torch.zeros(len(inward), len(row), dtype=outward.weight.dtype)
    for noise in draws.to(row):
        first = weights[:, : len(row)] @ (scale * (row + sigma * noise)) + bias
        hidden = (first + scale * inward).to(outward.weight) + at_level
        for block in network.blocks:
            hidden = block(hidden)
        hidden = F.silu(network.norm(hidden))
        wanted = scale * (sigma * row - noise)
        errors = torch.addmm((outward.bias - wanted).to(hidden), hidden, outward.weight.T)
        predicted = (hidden[copies] * outward.weight[coords]).sum(1) + outward.bias[coords]
        errors[copies, coords] = predicted - (scale * (sigma * new - noise[coords])).to(predicted)
        total.addcmul_(errors, errors)
    return total
