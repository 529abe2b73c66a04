"""The weight of each component: how well it tells corrupted rows from normal ones."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import mannwhitneyu
from torch import Tensor

__all__ = ["roc_area", "separation_weights"]

# How fast the weight of a component rises with its area under the ROC curve, and its bounds in
# units of the mean weight.
SHARPNESS, LEAST_WEIGHT, MOST_WEIGHT = 10.0, 0.4, 2.0
# With fewer held-out rows the areas are chance.
LEAST_ROWS = 10


def separation_weights(
    held_out: Sequence[Float[Tensor, "row"]],
    corrupted: Sequence[Sequence[Float[Tensor, "copy"]]],
    priors: Sequence[float],
) -> list[float]:
    r"""Weight of each component by how well it tells corrupted copies from held-out rows.

    .. math:: w_c \propto \pi_c \min(2, \max(0.4, e_c / \bar e)), \quad e_c = \exp(10\, a_c)

    where :math:`\pi_c` is what the component weighs beforehand, :math:`a_c` the area under the
    ROC curve, averaged over the kinds of corruption, and :math:`\bar e` the mean over components;
    the bounds limit the harm.

    Parameters
    ----------
    held_out : sequence of float Tensor of shape (row,)
        Per component, standardised errors of held-out normal rows.
    corrupted : sequence of sequence of float Tensor of shape (copy,)
        Per kind of corruption and component, those of corrupted copies.
    priors : sequence of float
        What each component weighs beforehand, relative to each other.

    Returns
    -------
    weights : list of float
        They add up to 1; as the priors with fewer than 10 held-out rows.

    References
    ----------
    Ideas of choosing components by their separation of corrupted rows: Zhao et al. (2022),
    "ELECT"; Zhao, Rossi and Akoglu (2021), "Automatic Unsupervised Outlier Model Selection".
    """
    if len(held_out[0]) < LEAST_ROWS:
        return [prior / sum(priors) for prior in priors]
    areas = np.array(
        [[roc_area(h, c) for h, c in zip(held_out, kind, strict=True)] for kind in corrupted]
    ).mean(0)
    weights = np.exp(SHARPNESS * (areas - areas.mean()))
    weights = np.clip(weights / weights.mean(), LEAST_WEIGHT, MOST_WEIGHT)
    weights *= np.array(priors)
    return [float(weight) for weight in weights / weights.sum()]


def roc_area(lower: Float[Tensor, "row"], higher: Float[Tensor, "copy"]) -> float:
    """Chance that one of ``higher`` is above one of ``lower``; a tie counts half."""
    wins = mannwhitneyu(higher.numpy(), lower.numpy()).statistic
    return float(wins) / (len(lower) * len(higher))
