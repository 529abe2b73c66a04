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

from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.explain.network_of_copies import CopyNetwork
from anomdiff.explain.row_changes import Changes, least_of
from anomdiff.reference.nearest import products
from anomdiff.reference.subset_search import nearest_of
from anomdiff.scoring.ensemble import Ensemble

__all__ = ["ensemble_of_copies"]

# Squared distances this small, relative to the squared lengths they come from, have lost their
# digits, or are those of copies of reference rows, which may exclude themselves.
CANCELLED = 1e-9


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
        squares = _squared_distances(search.rows, weighted[coords], observed[coords])
        nearest.append(_Compared(coords, search.rows, search.scales**-2, squares, search.distances))
    for subsets in ensemble.subset_searches:
        for each in subsets.searched:
            coords, seen = each.coords, observed[each.coords][None]
            x = weighted[coords]
            squares = products(each.rows, x[None], seen, each.lengths)[0] + x.square().sum()
            again = partial(nearest_of, each)
            in_subsets.append(_Compared(coords, each.rows, None, squares, again))
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
        changes = Changes.find(values, observed, self.row, self.seen)
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
        self, changes: Changes, values: Tensor, observed: Tensor, share: Tensor
    ) -> list[Tensor]:
        """Components of the network."""
        view = self.network_view
        if not isinstance(getattr(self.denoiser, "network", None), ResidualMLP):
            shown = self.denoiser, values[:, view], observed[:, view], share
            return [each.errors(*shown) for each in self.reconstructions]
        network: Any = self.denoiser.network
        seen = observed if view.all() else observed[:, view]
        row = self.row[view], self.seen[view]
        network = CopyNetwork.of(network, *row, changes.within(view), seen)
        return [network.errors(each, share) for each in self.reconstructions]


class _Copies(NamedTuple):
    """Copies of a row as they are compared with reference rows."""

    changes: Changes  # weighted, as the values are
    reach: Tensor
    limit: Tensor  # squared distances below which they are not to be trusted
    values: Tensor  # not weighted
    observed: Tensor
    row: Tensor
    seen: Tensor
    weights: Tensor

    @classmethod
    def of(cls, ensemble: _CopyEnsemble, changes: Changes, values: Tensor, observed: Tensor):
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
    local: Tensor | None  # what squared distances are multiplied by for a second kind
    squares: Tensor  # squared distances of the row
    again: Callable[[Tensor, Tensor], Tensor]  # the distances of any rows, exactly

    def distances(self, copies: _Copies) -> Float[Tensor, "row kind"]:
        """Least distances, by what has changed; those that have lost their digits once more."""
        inside = copies.changes.within(self.coords)
        reach = copies.reach[self.coords[copies.changes.coords]]
        touched, least = inside.least(self.rows, self.squares, self.local, reach)
        found = self._own(copies).repeat(len(copies.values), 1)
        found[touched] = least.clamp(min=0).sqrt()
        doubtful = touched[least[:, 0] <= copies.limit[touched]]
        if len(doubtful):
            exact = self.again(*copies.take(doubtful, self.coords))
            found[doubtful] = exact.reshape(len(doubtful), -1)
        return found

    def _own(self, copies: _Copies) -> Tensor:
        """What the row itself finds."""
        least = least_of(self.squares[:, None], self.local)[0]
        x = (copies.row * copies.weights)[self.coords]
        if least[0] > 2 * CANCELLED * x.square().sum():
            return least.sqrt()
        return self.again(x[None], copies.seen[self.coords][None]).reshape(-1)


def _squared_distances(reference: Tensor, values: Tensor, observed: Tensor) -> Tensor:
    gaps = reference - values
    if not observed.all():
        return gaps.square_() @ observed.to(gaps)
    return torch.linalg.vecdot(gaps, gaps)
