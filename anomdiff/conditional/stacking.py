"""How to weigh several guesses of the same numbers: non-negative stacking.

References
----------
Breiman (1996), "Stacked Regressions".
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor

__all__ = ["convex_weights", "ridge_weights"]

# How firmly weights are to add up to 1, beside errors whose sum of squares is of order 1.
FIRM = 1e3
# Keeps weights unique where guesses agree.
LEAST_RIDGE = 1e-12


def convex_weights(errors: Float[Tensor, "guess trial"]) -> Float[Tensor, " guess"]:
    r"""Weights that add up to 1, of the guesses whose weighted mean errs least.

    .. math:: \min_w |E^T w|^2 \quad \text{with} \quad w \ge 0, \sum_g w_g = 1
    """
    columns = errors.T.numpy()
    scale = np.sqrt(np.square(columns).mean() * len(columns)) or 1.0
    ones = np.full((1, len(errors)), FIRM)
    weights = _nonnegative(columns / scale, np.zeros(len(columns)), ones, np.array([FIRM]))
    return weights / weights.sum()


def ridge_weights(
    guesses: Float[Tensor, "guess trial"],
    truth: Float[Tensor, " trial"],
    prior: Float[Tensor, " guess"],
    strength: float,
) -> Float[Tensor, " guess"]:
    r"""Weights, free in their sum, of the guesses that come nearest to the truth.

    .. math:: \min_{w \ge 0} |G^T w - y|^2 + \lambda |w - w_0|^2

    Guesses :math:`G` and truth :math:`y` are less a mean, to which weights below 1 in sum draw;
    the prior :math:`w_0` is worth ``strength`` trials.
    """
    size = float(truth.square().mean()) if len(truth) else 1.0
    ridge = np.sqrt(strength * size + LEAST_RIDGE)
    penalty = ridge * np.eye(len(guesses))
    return _nonnegative(guesses.T.numpy(), truth.numpy(), penalty, ridge * prior.numpy())


def _nonnegative(columns, aim, penalty, penalty_aim) -> Tensor:
    """Non-negative least squares, with further rows as a penalty."""
    weights, _ = nnls(np.vstack([columns, penalty]), np.append(aim, penalty_aim))
    return torch.from_numpy(weights)
