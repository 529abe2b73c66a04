"""Remembered training rows: the empirical denoiser where its noise vanishes."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Pairs of rows compared at once: their distances should stay in the CPU's cache.
PAIRS_AT_ONCE = 2**20


@torch.inference_mode()
def nearest_distances(
    memory: Float[Tensor, "memory coord"],
    values: Float[Tensor, "row coord"],
    observed: Bool[Tensor, "row coord"],
) -> Float[Tensor, "row"]:
    r"""Distance of each row to the nearest remembered one, over its observed entries.

    As :math:`\sigma \to 0` the posterior mean under the remembered rows becomes the
    nearest of them, and its miss on the clean row this distance. Unlike a mean over
    neighbours it does not change with the order of equally near ones.

    Parameters
    ----------
    memory : float Tensor of shape (memory, coord)
        Encoded training rows.
    values : float Tensor of shape (row, coord)
        Encoded rows, 0 where not observed; pass float64, because the search subtracts
        large numbers.
    observed : bool Tensor of shape (row, coord)
        False where the source cell is missing.

    Returns
    -------
    distances : float Tensor of shape (row,)
        Euclidean, in standard deviations.
    """
    memory = memory.to(values)
    squares = (memory**2).T
    rows_at_once = max(1, PAIRS_AT_ONCE // len(memory))
    blocks = zip(values.split(rows_at_once), observed.split(rows_at_once), strict=True)
    return torch.cat([_nearest(memory, squares, x, seen) for x, seen in blocks])


def _nearest(memory: Tensor, squares: Tensor, x: Tensor, seen: Tensor) -> Tensor:
    """Find the nearest row by matrix products, then measure the distance without cancellation."""
    gaps = ~seen.all(0)  # few columns, as a rule: the others need no second product
    lengths = squares[~gaps].sum(0) + seen[:, gaps].to(x) @ squares[gaps]
    nearest = memory[lengths.addmm(x, memory.T, alpha=-2).argmin(1)]
    return torch.where(seen, nearest - x, 0.0).square().sum(1).sqrt()
