"""What all draws share: their source of randomness, and the map of their quantiles."""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.diffusion.noise import seeded

__all__ = ["generator_of", "quantile_map"]


def generator_of(random_state: int | np.random.RandomState | None) -> torch.Generator:
    """Generator of draws, seeded from what scikit-learn takes as a source of randomness."""
    return seeded(int(check_random_state(random_state).randint(2**31 - 1)))


def quantile_map(
    drawn: Tensor, reference: Tensor, n_quantiles: int | None = None
) -> Callable[[Tensor], Tensor]:
    """Map for values that gives draws the marginal distribution of reference values.

    Parameters
    ----------
    drawn, reference : float Tensor
        Draws and reference values of one coordinate, at least one of each, in any shape.
    n_quantiles : int, optional
        Number of quantiles to compare; by default every draw is one.
    """
    if n_quantiles is None:
        source = drawn.flatten().sort().values.numpy()
        shares = (np.arange(len(source)) + 0.5) / len(source)
    else:
        shares = np.linspace(0, 1, n_quantiles)
        source = np.quantile(drawn.numpy(), shares)
    target = np.quantile(reference.numpy(), shares)
    return lambda values: torch.from_numpy(np.interp(values.numpy(), source, target))
