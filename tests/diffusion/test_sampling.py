import pytest
import torch

from anomdiff.diffusion.noise import karras_levels, seeded
from anomdiff.diffusion.sampling import sample
from tests.oracles import GaussianDenoiser, correlated_gaussian


def draw(given, values, n_levels=24):
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    levels = karras_levels(n_levels, 0.01, 20.0)
    return sample(denoiser, values, given, levels, seeded(0))


def test_samples_have_the_distribution_of_the_data():
    values = torch.zeros(4000, 2, dtype=torch.float64)

    drawn = draw(torch.zeros(4000, 2, dtype=torch.bool), values)

    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(drawn.T.cov(), covariance, atol=0.08, rtol=0)
    torch.testing.assert_close(drawn.mean(0), drawn.new_zeros(2), atol=0.06, rtol=0)


def test_given_entries_condition_the_others():
    values = torch.tensor([[1.5, 0.0]], dtype=torch.float64).expand(4000, 2)
    given = torch.tensor([[True, False]]).expand(4000, 2)

    drawn = draw(given, values)

    assert torch.equal(drawn[:, 0], values[:, 0])
    assert drawn[:, 1].mean().item() == pytest.approx(0.8 * 1.5, abs=0.04)
    assert drawn[:, 1].var().item() == pytest.approx(1 - 0.8**2, abs=0.04)


def test_the_same_generator_draws_the_same_events():
    values = torch.zeros(5, 2, dtype=torch.float64)
    nothing = torch.zeros(5, 2, dtype=torch.bool)

    assert torch.equal(draw(nothing, values), draw(nothing, values))


def test_levels_that_do_not_decrease_are_refused():
    values = torch.zeros(1, 2)

    with pytest.raises(ValueError, match="decrease"):
        sample(
            torch.nn.Identity(), values, values.bool(), torch.tensor([0.1, 1.0]), torch.Generator()
        )


def test_events_that_are_noised_and_denoised_keep_their_distribution():
    start, covariance = correlated_gaussian(1000)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    nothing = torch.zeros(1000, 2, dtype=torch.bool)
    levels = karras_levels(8, 0.01, 0.5)

    drawn = sample(denoiser, start, nothing, levels, seeded(0), start)

    torch.testing.assert_close(drawn.T.cov(), start.T.cov(), atol=0.1, rtol=0)
    assert 0.3 < (drawn - start).std() < 0.8
