"""Distances between training rows: how crowded it is around each."""

import torch
from jaxtyping import Bool, Float
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

# The neighbour whose distance says how crowded it is around a remembered row.
CROWD = 20
# Remembered rows with many copies would otherwise lie infinitely many local scales from all else.
LEAST_SCALE = 0.1


def local_scales(rows: Float[Tensor, "memory coord"]) -> Float[Tensor, "memory"]:
    """How far apart rows are around each of some rows.

    Parameters
    ----------
    rows : float Tensor of shape (memory, coord)
        Encoded rows.

    Returns
    -------
    scales : float Tensor of shape (memory,)
        Distance of each to its ``CROWD``-th nearest fellow, but no less than ``LEAST_SCALE``
        times the mean of these distances.

    References
    ----------
    The ``CROWD``-distance of Breunig et al. (2000), "LOF", definition 3.
    """
    crowd = neighbour_distances(rows, rows, CROWD, torch.ones(len(rows), dtype=torch.bool))
    mean = crowd.mean().item()
    return crowd.clamp(min=LEAST_SCALE * mean if mean > 0 else 1.0)


def neighbour_distances(
    memory: Float[Tensor, "memory coord"],
    values: Float[Tensor, "row coord"],
    k: int,
    own: Bool[Tensor, "row"] | None = None,
) -> Float[Tensor, "row"]:
    """Distance of each row to its ``k``-th nearest remembered one.

    Parameters
    ----------
    memory : float Tensor of shape (memory, coord)
        Encoded rows.
    values : float Tensor of shape (row, coord)
        Encoded rows.
    k : int
        Which neighbour; the last where there are fewer.
    own : bool Tensor of shape (row,), optional
        True for rows that are themselves in the memory: none is its own neighbour.

    Returns
    -------
    distances : float Tensor of shape (row,)
        Euclidean; 0 where a row is all there is in the memory.
    """
    own = torch.zeros(len(values), dtype=torch.bool) if own is None else own
    k = min(k, len(memory) - bool(own.any()))
    if k == 0:
        return values.new_zeros(len(values))
    n_neighbors = min(k + 1, len(memory))
    search = NearestNeighbors(n_neighbors=n_neighbors).fit(memory.numpy())
    found = torch.from_numpy(search.kneighbors(values.numpy())[0]).to(values)
    return found.gather(1, (k - 1 + own.long())[:, None])[:, 0]
