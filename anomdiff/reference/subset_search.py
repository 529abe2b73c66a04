"""Distances to the nearest row of several random subsets of the reference rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.reference.nearest import COPY, products

__all__ = ["SubsetSearch", "Subsets", "nearest_of", "parts", "subspaces"]

# Subsets of rows in some columns each.
N_SUBSPACES, SUBSPACE_ROWS = 32, 750
# A subspace has a share of the columns drawn between these two, and two columns at least.
FEWEST_COLUMNS, MOST_COLUMNS = 0.2, 0.6
# Subsets of rows in all columns: the nearest of a fifth is about as far as the fifth nearest.
N_PARTS, PART_ROWS = 5, 1000
# Pairs of rows compared at once: their distances stay in the CPU's cache.
SUBSET_PAIRS = 2**17
# Squared distances this small, relative to the squared length, have lost their digits.
CLOSE = 1e-6
# Mean distances below this, in standard deviations, are rounding.
LEAST_MEAN = 1e-6


@dataclass(frozen=True)
class Subsets:
    """Which reference rows and coords belong to each subset, and how far rows are from it.

    Attributes
    ----------
    rows : int Tensor of shape (subset, drawn)
        Numbers of reference rows.
    coords : bool Tensor of shape (subset, coord)
        Coords in which rows are compared.
    means : float Tensor of shape (subset,)
        Mean distance of held-out rows to the nearest one.
    """

    rows: Tensor
    coords: Tensor
    means: Tensor


class _Subset(NamedTuple):
    """Reference rows of one subset in its coords."""

    coords: Tensor
    rows: Tensor
    lengths: Tensor  # sums of squares
    exclude_self: Tensor


@dataclass(frozen=True)
class SubsetSearch:
    r"""The distance to the nearest row of each subset, on average over the subsets.

    A subset holds few rows, so that one odd reference row does not hide others like it; and it
    may have few columns, so that columns that say nothing do not drown those that do. The
    distances to each subset are divided by their mean over held-out rows and averaged as
    :math:`\ln(1 + d / \bar d)`.

    References
    ----------
    Random columns: Lazarevic and Kumar (2005), "Feature Bagging for Outlier Detection". Nearest
    rows of subsamples: Ting et al. (2017), "Defying the Gravity of Learning Curve".
    """

    subsets: Subsets
    searched: Sequence[_Subset]

    @classmethod
    def build(
        cls,
        subsets: Subsets,
        reference: Float[Tensor, "reference coord"],
        exclude_self: Bool[Tensor, "reference"],
    ) -> "SubsetSearch":
        """Take the rows of each subset from the reference rows, weighted as they are compared."""
        chosen = zip(subsets.rows, subsets.coords, strict=True)
        taken = [(c, reference[rows][:, c], exclude_self[rows]) for rows, c in chosen]
        return cls(subsets, [_Subset(c, x, x.square().sum(1), own) for c, x, own in taken])

    def errors(
        self,
        values: Float[Tensor, "row coord"],
        observed: Bool[Tensor, "row coord"],
        whole: Float[Tensor, "row 1"],
    ) -> Float[Tensor, "row 1"]:
        """Mean over subsets of the logarithms of the distances, in units of their means.

        Distances are divided by ``whole`` first, the root of the share of the row that is observed.
        """
        return self.mean_errors(self.distances(values, observed) / whole)

    def mean_errors(self, distances: Float[Tensor, "row subset"]) -> Float[Tensor, "row 1"]:
        """Mean over subsets of the logarithms of such distances, in units of their means."""
        return (distances / self.subsets.means).log1p().mean(1, keepdim=True)

    @torch.inference_mode()
    def distances(
        self, values: Float[Tensor, "row coord"], observed: Bool[Tensor, "row coord"]
    ) -> Float[Tensor, "row subset"]:
        """Distance to the nearest row of each subset; entries not observed do not count."""
        found = [
            nearest_of(subset, values[:, subset.coords], observed[:, subset.coords])
            for subset in self.searched
        ]
        return torch.stack(found, dim=1)

    def measured(self, values: Tensor, observed: Tensor) -> "SubsetSearch":
        """Return the same search in units of the mean distances of these held-out rows."""
        means = self.distances(values, observed).mean(0).clamp(min=LEAST_MEAN)
        return replace(self, subsets=replace(self.subsets, means=means))


def subspaces(
    n_reference: int, columns: Bool[Tensor, "column coord"], generator: torch.Generator
) -> Subsets:
    """Draw subsets of some columns each; ``columns`` are the coords of each column in a view."""
    columns = columns[columns.any(1)]
    n_rows, rows, coords = min(n_reference, SUBSPACE_ROWS), [], []
    for _ in range(N_SUBSPACES):
        share = FEWEST_COLUMNS + (MOST_COLUMNS - FEWEST_COLUMNS) * torch.rand(
            (), generator=generator
        )
        size = min(len(columns), max(2, round(len(columns) * share.item())))
        chosen = torch.randperm(len(columns), generator=generator)[:size]
        coords.append(columns[chosen].any(0))
        rows.append(torch.randperm(n_reference, generator=generator)[:n_rows].sort().values)
    return Subsets(torch.stack(rows), torch.stack(coords), torch.ones(N_SUBSPACES).double())


def parts(n_reference: int, coords: Bool[Tensor, "coord"], generator: torch.Generator) -> Subsets:
    """Draw disjoint subsets of all columns, of equal size."""
    n_parts = min(N_PARTS, n_reference)
    n_rows = min(n_reference // n_parts, PART_ROWS)
    order = torch.randperm(n_reference, generator=generator)[: n_parts * n_rows]
    rows = order.reshape(n_parts, n_rows).sort(1).values
    return Subsets(rows, coords.expand(n_parts, -1), torch.ones(n_parts).double())


def nearest_of(subset: _Subset, values: Tensor, observed: Tensor) -> Tensor:
    """Distance to the nearest row of the subset that is not the row itself."""
    at_once = max(1, SUBSET_PAIRS // len(subset.rows))
    blocks = zip(values.split(at_once), observed.split(at_once), strict=True)
    return torch.cat([_of_block(subset, *block) for block in blocks])


def _of_block(subset: _Subset, values: Tensor, seen: Tensor) -> Tensor:
    """Distances of a few rows by one matrix product, those that cancel once more without."""
    x = torch.where(seen, values, 0.0)
    less = products(subset.rows, x, seen, subset.lengths)
    lengths = x.square().sum(1)
    squares = less.amin(1) + lengths
    close = (squares <= CLOSE * lengths + COPY**2).nonzero()[:, 0]
    found = squares.clamp(min=0).sqrt()
    if len(close):
        found[close] = _close(subset, x[close], seen[close], less[close])
    return found


def _close(subset: _Subset, x: Tensor, seen: Tensor, less: Tensor) -> Tensor:
    """Distances free of cancellation; copies that exclude themselves take the next row."""
    at = less.argmin(1)
    found = _distances(x, seen, subset.rows[at])
    copies = (found < COPY) & subset.exclude_self[at]
    if copies.any() and len(subset.rows) > 1:
        others = less[copies].scatter(1, at[copies][:, None], torch.inf).argmin(1)
        found[copies] = _distances(x[copies], seen[copies], subset.rows[others])
    return found


def _distances(x: Tensor, seen: Tensor, rows: Tensor) -> Tensor:
    return torch.where(seen, rows - x, 0.0).square().sum(1).sqrt()
