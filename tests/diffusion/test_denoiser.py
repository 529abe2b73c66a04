import pytest
import torch

from anomdiff.diffusion.denoiser import Denoiser, denoising_loss
from anomdiff.diffusion.networks import ResidualMLP
from tests.oracles import Zero

EVENTS = pytest.mark.parametrize("event_shape", [(5,), (3, 16)], ids=["table", "window"])


@EVENTS
def test_zero_network_gives_the_posterior_mean_of_a_unit_gaussian(event_shape):
    noisy = torch.randn(7, *event_shape)
    sigma = torch.linspace(0.1, 3.0, 7)

    denoised = Denoiser(Zero())(noisy, sigma, torch.zeros_like(noisy, dtype=torch.bool))

    variance = sigma.reshape(-1, *[1] * len(event_shape)) ** 2
    torch.testing.assert_close(denoised, noisy / (1 + variance))


@EVENTS
def test_given_entries_come_back_unchanged(event_shape):
    noisy = torch.randn(7, *event_shape)
    given = torch.rand(7, *event_shape) < 0.5

    denoised = Denoiser(Zero())(noisy, torch.full((7,), 0.5), given)

    assert torch.equal(denoised[given], noisy[given])
    assert (denoised[~given] != noisy[~given]).all()


def test_loss_of_the_zero_network_on_unit_gaussian_data_is_one():
    generator = torch.Generator().manual_seed(0)
    values, noise = torch.randn(2, 20_000, 5, generator=generator)
    sigma = torch.rand(20_000, generator=generator) * 3 + 0.05
    nothing = torch.zeros_like(values, dtype=torch.bool)

    loss = denoising_loss(Denoiser(Zero()), values, ~nothing, sigma, noise, nothing)

    assert loss.item() == pytest.approx(1.0, abs=0.02)


def test_loss_counts_only_scored_entries_that_are_not_given():
    values = torch.randn(30, 5)
    noise, sigma = torch.randn(30, 5), torch.full((30,), 0.5)
    scored, given = torch.rand(30, 5) < 0.7, torch.rand(30, 5) < 0.3
    denoiser = Denoiser(Zero())

    loss = denoising_loss(denoiser, values, scored, sigma, noise, given)

    noisy = torch.where(given, values, values + 0.5 * noise)
    errors = (denoiser(noisy, sigma, given) - values) ** 2 * (1 + 0.25) / 0.25
    torch.testing.assert_close(loss, errors[scored & ~given].mean())


def test_untrained_network_is_the_zero_network():
    x, given = torch.randn(6, 4), torch.rand(6, 4) < 0.5

    assert torch.equal(ResidualMLP(4, width=16)(x, given, torch.randn(6)), torch.zeros(6, 4))


def test_float64_input_keeps_the_digits_of_small_differences():
    x = torch.randn(100, 3, dtype=torch.float64) * 1e3
    sigma = torch.full((100,), 1e-4, dtype=torch.float64)

    moved = Denoiser(Zero())(x, sigma, torch.zeros(100, 3, dtype=torch.bool)) - x

    torch.testing.assert_close(moved, -x * 1e-8 / (1 + 1e-8), rtol=1e-6, atol=0)
