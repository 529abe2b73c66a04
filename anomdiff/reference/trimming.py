"""The most central of training rows that hold anomalies."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.reference.reference_set import kth_distances

__all__ = ["central_rows"]

# Anomalies that are alike have to be more than this to count as central.
CENTRAL_NEIGHBOUR = 128
# Rows that all others are compared with; centrality needs no more.
MAX_REFERENCE = 5000
# Rounds of choosing the central rows by their distance to the central rows.
TRIMMING_ROUNDS = 2


def central_rows(
    views: list[Float[Tensor, "row _"]], share: float, generator: torch.Generator
) -> Bool[Tensor, "row"]:
    """Tell the ``ceil(share * row)`` most central rows from the others.

    A row is central if its ``CENTRAL_NEIGHBOUR``-th nearest neighbour is near; the ranks by this
    distance are added over the views (the same rows, seen in several ways). In the later rounds
    only rows that were central count as neighbours. The generator draws the rows that all are
    compared with, where there are many.

    References
    ----------
    Concentration steps: Rousseeuw and Van Driessen (1999), "A Fast Algorithm for the Minimum
    Covariance Determinant Estimator", theorem 1.
    """
    n_rows = len(views[0])
    n_central = -int(-share * n_rows // 1)
    central = torch.ones(n_rows, dtype=torch.bool)
    if n_central == n_rows:
        return central
    for _ in range(TRIMMING_ROUNDS):
        candidates = central.nonzero()[:, 0]
        order = torch.randperm(len(candidates), generator=generator)
        reference = candidates[order[:MAX_REFERENCE]]
        own = torch.zeros(n_rows, dtype=torch.bool)
        own[reference] = True
        k = max(1, min(CENTRAL_NEIGHBOUR, len(reference) // 4))
        ranks = [
            kth_distances(view[reference], view, k, own).argsort(stable=True).argsort()
            for view in views
        ]
        central = torch.zeros(n_rows, dtype=torch.bool)
        central[torch.stack(ranks).sum(0).argsort(stable=True)[:n_central]] = True
    return central
