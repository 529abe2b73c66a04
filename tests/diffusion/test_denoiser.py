import pytest
import torch

from anomdiff.diffusion.denoiser import Denoiser, EmpiricalDenoiser, denoising_loss
from anomdiff.diffusion.networks import ResidualMLP
from tests.oracles import GaussianDenoiser, Zero, correlated_gaussian

EVENTS = pytest.mark.parametrize("event_shape", [(5,), (3, 16)], ids=["table", "window"])


@EVENTS
def test_zero_network_gives_the_posterior_mean_of_a_unit_gaussian(event_shape):
    noisy = torch.randn(7, *event_shape)
    sigma = torch.linspace(0.1, 3.0, 7)

    denoised = Denoiser(Zero())(noisy, sigma, torch.zeros_like(noisy, dtype=torch.bool))

    variance = sigma.reshape(-1, *[1] * len(event_shape)) ** 2
    torch.testing.assert_close(denoised, noisy / (1 + variance))


@EVENTS
@pytest.mark.parametrize("kind", ["network", "memory"])
def test_given_entries_come_back_unchanged(event_shape, kind):
    noisy = torch.randn(7, *event_shape)
    given = torch.rand(7, *event_shape) < 0.5
    denoiser = Denoiser(Zero()) if kind == "network" else EmpiricalDenoiser(torch.randn_like(noisy))

    denoised = denoiser(noisy, torch.full((7,), 0.5), given)

    assert torch.equal(denoised[given], noisy[given])
    assert (denoised[~given] != noisy[~given]).all()


@EVENTS
def test_empirical_denoiser_equals_the_naive_sum(event_shape):
    memory = torch.randn(20, *event_shape, dtype=torch.float64)
    noisy = torch.randn(4, *event_shape, dtype=torch.float64)
    sigma = torch.tensor([0.3, 0.5, 1.0, 3.0], dtype=torch.float64)

    denoised = EmpiricalDenoiser(memory)(noisy, sigma, torch.zeros_like(noisy, dtype=torch.bool))

    for row, s, result in zip(noisy, sigma, denoised, strict=True):
        weights = torch.stack([(-((row - m) ** 2).sum() / (2 * s**2)).exp() for m in memory])
        naive = sum(w * m for w, m in zip(weights, memory, strict=True)) / weights.sum()
        torch.testing.assert_close(result, naive)


def test_empirical_denoiser_returns_the_nearest_row_as_noise_vanishes():
    memory = torch.randn(50, 4, dtype=torch.float64)
    rows = torch.randn(9, 4, dtype=torch.float64)

    denoised = EmpiricalDenoiser(memory)(
        rows, torch.full((9,), 1e-3), torch.zeros(9, 4, dtype=torch.bool)
    )

    torch.testing.assert_close(denoised, memory[torch.cdist(rows, memory).argmin(1)])


def test_empirical_denoiser_returns_the_mean_as_noise_grows():
    memory = torch.randn(50, 4, dtype=torch.float64)

    denoised = EmpiricalDenoiser(memory)(
        torch.zeros(1, 4, dtype=torch.float64),
        torch.full((1,), 1e5),
        torch.zeros(1, 4, dtype=torch.bool),
    )

    torch.testing.assert_close(denoised[0], memory.mean(0))


def test_empirical_denoiser_conditions_on_given_entries():
    memory, covariance = correlated_gaussian(20_000)
    x = torch.tensor([[1.5, 0.0]], dtype=torch.float64)
    given = torch.tensor([[True, False]])
    sigma = torch.tensor([3.0], dtype=torch.float64)

    denoised = EmpiricalDenoiser(memory)(x, sigma, given)

    exact = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)(x, sigma, given)
    torch.testing.assert_close(denoised, exact, atol=0.05, rtol=0)


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
