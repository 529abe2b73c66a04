import math

import pytest
import torch
from jaxtyping import TypeCheckError

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.noise import geometric_levels, noise_bank
from anomdiff.scoring.reconstruction import reconstruction_errors, row_errors
from tests.oracles import ExactDenoiser, GaussianDenoiser, Zero, correlated_gaussian

EVENTS = pytest.mark.parametrize("event_shape", [(5,), (3, 16)], ids=["table", "window"])


LEVELS = geometric_levels(3, 0.1, 2.0)


def noise(event_shape, n_draws=4):
    return noise_bank(3, n_draws, event_shape, seed=0).double()


@EVENTS
def test_errors_equal_the_naive_loop(event_shape):
    values = torch.randn(6, *event_shape, dtype=torch.float64)
    observed = torch.rand(6, *event_shape) < 0.8
    denoiser, draws = ExactDenoiser(torch.randn(20, *event_shape)), noise(event_shape)

    errors = reconstruction_errors(denoiser, values, observed, LEVELS, draws)

    naive = torch.zeros(6, 3, *event_shape, dtype=torch.float64)
    nothing = torch.zeros(1, *event_shape, dtype=torch.bool)
    for row in range(6):
        for level, sigma in enumerate(LEVELS):
            for draw in draws[level]:
                noisy = values[row] + sigma * draw
                denoised = denoiser(noisy[None], sigma[None], nothing)[0]
                error = (denoised - values[row]) ** 2 * (1 + sigma**2) / sigma**2
                naive[row, level] += error * observed[row] / 4
    torch.testing.assert_close(errors, naive)


@EVENTS
def test_unit_gaussian_rows_have_mean_error_one_under_the_exact_denoiser(event_shape):
    values = torch.randn(3000, *event_shape, dtype=torch.float64)

    errors = reconstruction_errors(
        Denoiser(Zero()),
        values,
        torch.ones_like(values, dtype=torch.bool),
        LEVELS,
        noise(event_shape, n_draws=200),
    )

    torch.testing.assert_close(
        errors.flatten(2).mean((0, 2)), torch.ones(3, dtype=torch.float64), atol=0.15, rtol=0
    )


def test_a_row_against_the_dependency_has_larger_errors_than_one_along_it():
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    values = torch.tensor([[1.5, 1.5], [1.5, -1.5]], dtype=torch.float64)

    errors = reconstruction_errors(
        denoiser, values, torch.ones(2, 2, dtype=torch.bool), LEVELS, noise((2,))
    )

    along, against = row_errors(errors, torch.ones(2, dtype=torch.float64))
    assert (against > along).all()


def test_a_partly_observed_row_counts_as_if_whole():
    errors = torch.ones(2, 3, 4, dtype=torch.float64)
    errors[1, :, 2:] = 0

    whole, part = row_errors(errors, torch.tensor([1.0, 0.5], dtype=torch.float64))

    torch.testing.assert_close(part, whole)


def test_row_errors_equal_the_naive_sums():
    errors = torch.tensor([[[3.0, 1.0], [0.0, 9.0]]], dtype=torch.float64)

    sums = row_errors(errors, torch.ones(1, dtype=torch.float64))

    logs = torch.tensor([[math.log(4) + math.log(2), math.log(10)]], dtype=torch.float64)
    torch.testing.assert_close(sums, logs)


def test_noise_of_another_shape_is_refused():
    values, observed = torch.zeros(2, 5), torch.ones(2, 5, dtype=torch.bool)

    # While the tests run, the shapes in the signature are enforced first.
    with pytest.raises((ValueError, TypeCheckError), match="noise"):
        reconstruction_errors(Denoiser(Zero()), values, observed, LEVELS, torch.zeros(3, 2, 4))
