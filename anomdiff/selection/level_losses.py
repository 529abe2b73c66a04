"""The denoising loss of a fitted network at each noise level; no labels needed."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser, denoising_loss
from anomdiff.diffusion.noise import geometric_levels, seeded
from anomdiff.models.tabular_model import TabularModel
from anomdiff.models.window_model import WindowModel

__all__ = ["LEVELS", "level_losses"]

LEVELS = geometric_levels(8, 0.05, 4.0)
MAX_EVENTS = 1000
SEED = 0


def level_losses(
    model: TabularModel | WindowModel,
    groups: Mapping[str, tuple[Tensor, Tensor]],
    levels: Tensor = LEVELS,
) -> pd.DataFrame:
    """Denoising loss of groups of rows or windows at each noise level.

    Events are those that the network sees, from the model's `reference_events` or
    `network_events`; of each group, a thousand are enough and no more are used.

    Returns
    -------
    losses : DataFrame
        Column ``sigma`` and one column per group: the mean weighted squared error, 1 for a
        network that predicts nothing. Where held-out rows lie above training rows, the network
        has learnt these by heart; where both are near 1, it has learnt nothing at that level.
    """
    columns = {name: _losses(model.denoiser, *events, levels) for name, events in groups.items()}
    return pd.DataFrame({"sigma": levels.tolist(), **columns})


@torch.inference_mode()
def _losses(denoiser: Denoiser, values: Tensor, observed: Tensor, levels: Tensor) -> list[float]:
    """Denoising loss at each level, with the same noise whatever the model."""
    places = np.linspace(0, len(values) - 1, min(len(values), MAX_EVENTS)).round().astype(int)
    values, observed = values[places], observed[places]
    noise = torch.randn(values.shape, generator=seeded(SEED)).to(values)
    given = torch.zeros_like(observed)
    return [
        float(denoising_loss(denoiser, values, observed, sigma.expand(len(values)), noise, given))
        for sigma in levels.to(values)
    ]
