"""What answers share: a source of randomness, a check of numbers, the map of quantiles."""

from collections.abc import Callable
from numbers import Integral

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.diffusion.noise import seeded

__all__ = ["check_count", "generator_of", "quantile_map"]


def generator_of(
    random_state: int | np.random.RandomState | None, seed: int | None = None
) -> torch.Generator:
    """Generator of draws from what scikit-learn takes as a source of randomness, or a seed."""
    source = check_random_state(seed if random_state is None else random_state)
    return seeded(int(source.randint(2**31 - 1)))


def check_count(name: str, number: int | None, *, optional: bool = True) -> None:
    """Refuse what is no whole number of at least 1; None stands for a default."""
    if (number is None and optional) or (isinstance(number, Integral) and number >= 1):
        return
    wanted = "of at least 1" if isinstance(number, Integral) else "as a whole number"
    default = ", or None" if optional else ""
    raise ValueError(f"need {name} {wanted}{default}; got {number!r}.")


def quantile_map(
    drawn: Tensor, reference: Tensor, n_quantiles: int | None = None
) -> Callable[[Tensor], Tensor]:
    """Map for values that gives draws the marginal distribution of reference values.

    Draws and reference values are of one coordinate, in any shape and at least one of each;
    ``n_quantiles`` are compared, by default every draw.
    """
    if n_quantiles is None:
        source = drawn.flatten().sort().values.numpy()
        shares = (np.arange(len(source)) + 0.5) / len(source)
    else:
        shares = np.linspace(0, 1, n_quantiles)
        source = np.quantile(drawn.numpy(), shares)
    target = np.quantile(reference.numpy(), shares)
    return lambda values: torch.from_numpy(np.interp(values.numpy(), source, target))
