import math

import pytest
import torch

from anomdiff.diffusion.denoiser import Denoiser, EmpiricalDenoiser
from anomdiff.diffusion.noise import geometric_levels, noise_bank
from anomdiff.scoring.reconstruction import (
    Channel,
    reconstruction_errors,
    row_misses,
)
from tests.oracles import GaussianDenoiser, Zero, correlated_gaussian

EVENTS = pytest.mark.parametrize("event_shape", [(5,), (3, 16)], ids=["table", "window"])


def channel(denoiser, event_shape, n_draws=4):
    noise = noise_bank(3, n_draws, event_shape, seed=0).double()
    return Channel(denoiser, geometric_levels(3, 0.1, 2.0), noise)


@EVENTS
def test_errors_equal_the_naive_loop(event_shape):
    values = torch.randn(6, *event_shape, dtype=torch.float64)
    observed = torch.rand(6, *event_shape) < 0.8
    look = channel(EmpiricalDenoiser(torch.randn(20, *event_shape)), event_shape)

    errors = reconstruction_errors(look, values, observed)

    naive = torch.zeros(6, 3, *event_shape, dtype=torch.float64)
    nothing = torch.zeros(1, *event_shape, dtype=torch.bool)
    for row in range(6):
        for level, sigma in enumerate(look.levels):
            for draw in look.noise[level]:
                noisy = values[row] + sigma * draw
                denoised = look.denoiser(noisy[None], sigma[None], nothing)[0]
                miss = (denoised - values[row]) ** 2 * (1 + sigma**2) / sigma**2
                naive[row, level] += miss * observed[row] / 4
    torch.testing.assert_close(errors, naive)


@EVENTS
def test_unit_gaussian_rows_have_mean_error_one_under_the_exact_denoiser(event_shape):
    values = torch.randn(3000, *event_shape, dtype=torch.float64)

    errors = reconstruction_errors(
        channel(Denoiser(Zero()), event_shape, n_draws=200),
        values,
        torch.ones_like(values, dtype=torch.bool),
    )

    torch.testing.assert_close(
        errors.flatten(2).mean((0, 2)), torch.ones(3, dtype=torch.float64), atol=0.15, rtol=0
    )


def test_a_row_against_the_dependency_misses_more_than_one_along_it():
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    values = torch.tensor([[1.5, 1.5], [1.5, -1.5]], dtype=torch.float64)

    errors = reconstruction_errors(channel(denoiser, (2,)), values, torch.ones(2, 2, dtype=bool))

    along, against = row_misses(errors, torch.ones(2, dtype=torch.float64))
    assert (against > along).all()


def test_a_partly_observed_row_counts_as_if_whole():
    errors = torch.ones(2, 3, 4, dtype=torch.float64)
    errors[1, :, 2:] = 0

    whole, part = row_misses(errors, torch.tensor([1.0, 0.5], dtype=torch.float64))

    torch.testing.assert_close(part, whole)


def test_misses_equal_the_naive_sums():
    errors = torch.tensor([[[3.0, 1.0], [0.0, 9.0]]], dtype=torch.float64)

    misses = row_misses(errors, torch.ones(1, dtype=torch.float64))

    logs = torch.tensor([[math.log(4) + math.log(2), math.log(10)]], dtype=torch.float64)
    torch.testing.assert_close(misses, logs)


def test_noise_of_another_shape_is_refused():
    look = Channel(Denoiser(Zero()), geometric_levels(3, 0.1, 2.0), torch.zeros(3, 2, 4))

    with pytest.raises(ValueError, match=r"event shape \(5,\); got \(3, 2, 4\)"):
        reconstruction_errors(look, torch.zeros(2, 5), torch.ones(2, 5, dtype=torch.bool))
