"""The reference rows of a table, and how far apart rows are around each of them."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["ReferenceSet", "kth_distances", "local_scales"]

# The neighbour whose distance is the local scale of a reference row.
SCALE_NEIGHBOUR = 20
# Reference rows with many copies would otherwise lie infinitely many local scales from all else.
LEAST_SCALE = 0.1
# Power to which the scales are raised: in full scales, what is scattered between clusters is near.
DAMPING = 0.5
# Pairs, and rows, whose distances are held at once.
MAX_PAIRS, MAX_ROWS = 2**22, 1024


@dataclass(frozen=True)
class ReferenceSet:
    """Normal rows that others are compared with."""

    values: Tensor  # (reference, coord), as encoded, float64
    # (reference,): rows that are no neighbours of a copy of themselves. These are the ones that
    # calibrate, because a new row does not find itself among the reference rows either; where the
    # reference rows themselves are scored, all are.
    exclude_self: Tensor
    local_scales: Tensor  # (view, reference), see ``local_scales``

    @classmethod
    def build(
        cls,
        values: Float[Tensor, "reference coord"],
        exclude_self: Bool[Tensor, "reference"],
        views: Bool[Tensor, "view coord"],
        weights: Float[Tensor, "coord"],
    ) -> "ReferenceSet":
        """Measure the local scales of encoded rows; ``weights`` multiply coords for comparison."""
        weighted = values * weights
        scales = torch.stack([local_scales(weighted[:, view]) for view in views])
        return cls(values, exclude_self, scales)


def local_scales(rows: Float[Tensor, "reference coord"]) -> Float[Tensor, "reference"]:
    """Root of the distance of each row to its ``SCALE_NEIGHBOUR``-th nearest fellow.

    The distance is no less than ``LEAST_SCALE`` times the mean of these distances.

    References
    ----------
    The k-distance of Breunig et al. (2000), "LOF", definition 3.
    """
    own = torch.ones(len(rows), dtype=torch.bool)
    distances = kth_distances(rows, rows, SCALE_NEIGHBOUR, own)
    mean = distances.mean().item()
    return distances.clamp(min=LEAST_SCALE * mean if mean > 0 else 1.0) ** DAMPING


def kth_distances(
    reference: Float[Tensor, "reference coord"],
    values: Float[Tensor, "row coord"],
    k: int,
    own: Bool[Tensor, "row"] | None = None,
) -> Float[Tensor, "row"]:
    """Euclidean distance of each row to its ``k``-th nearest reference row, or the last.

    Rows that are themselves reference rows, ``own``, are not their own neighbours; the distance
    is 0 where a row is the only reference row.
    """
    own = torch.zeros(len(values), dtype=torch.bool) if own is None else own
    k = min(k, len(reference) - bool(own.any()))
    if k == 0:
        return values.new_zeros(len(values))
    at_once = max(1, min(MAX_ROWS, MAX_PAIRS // len(reference)))
    blocks = zip(values.split(at_once), own.split(at_once), strict=True)
    return torch.cat([_kth(reference, x, k, mine) for x, mine in blocks])


def _kth(reference: Tensor, x: Tensor, k: int, own: Tensor) -> Tensor:
    """Distances of a few rows; candidates come from matrix products, their distances do not."""
    n_near = min(k + 1, len(reference))
    near = torch.cdist(x, reference).topk(n_near, largest=False).indices
    exact = (reference[near] - x[:, None]).square().sum(2).sqrt().sort(dim=1).values
    return exact.gather(1, (k - 1 + own.long())[:, None])[:, 0]
