from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from anomdiff import TimeSeriesDetector
from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.selection.level_losses import LEVELS, level_losses
from tests.series import waves
from tests.settings import TINY_SERIES


@pytest.fixture(scope="module")
def steps():
    """A detector of one series; do not change it."""
    return TimeSeriesDetector(**TINY_SERIES).fit(waves(300, seed=0))


class Zero(nn.Module):
    """The network that predicts nothing."""

    def forward(self, x, given, c_noise):
        return torch.zeros_like(x)


@pytest.fixture(scope="module")
def untrained():
    """A model of this network."""
    return SimpleNamespace(denoiser=Denoiser(Zero()))


def test_each_level_has_the_loss_of_each_group(untrained):
    values, observed = torch.zeros(5, 1), torch.ones(5, 1, dtype=torch.bool)

    losses = level_losses(untrained, {"a": (values, observed), "b": (values + 1, observed)})

    assert list(losses) == ["sigma", "a", "b"]
    np.testing.assert_allclose(losses["sigma"], LEVELS)
    assert (losses["b"] > losses["a"]).all()


def test_a_network_that_predicts_nothing_has_a_loss_of_one_on_unit_gaussian_rows(untrained):
    values = torch.randn(4000, 30, generator=torch.Generator().manual_seed(1))

    losses = level_losses(untrained, {"rows": (values, torch.ones_like(values).bool())})

    np.testing.assert_allclose(losses["rows"], 1.0, atol=0.05)


def test_missing_cells_do_not_count(untrained):
    values = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    observed = torch.ones_like(values, dtype=torch.bool)
    observed[:, 2] = False
    other = torch.where(observed, values, 100.0)

    losses = level_losses(untrained, {"a": (values, observed), "b": (other, observed)})

    np.testing.assert_allclose(losses["a"], losses["b"])


def test_windows_of_series_are_events_too(steps):
    model = steps.model_

    losses = level_losses(model, {"new": model.network_events(waves(100, seed=1))})

    assert np.isfinite(losses).all().all()
