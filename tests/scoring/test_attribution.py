import torch

from anomdiff.scoring.attribution import contributions, expected_parts
from tests.oracles import GaussianDenoiser, correlated_gaussian

PARTS = torch.eye(2, dtype=torch.bool)


def test_the_expected_part_is_the_conditional_mean():
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    values = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)

    expected = expected_parts(denoiser, values, torch.ones(2, 2, dtype=bool), PARTS, sigma=1e3)

    torch.testing.assert_close(expected[0, :, 0], 0.8 * values[:, 1], rtol=1e-4, atol=0)
    torch.testing.assert_close(expected[1, :, 1], 0.8 * values[:, 0], rtol=1e-4, atol=0)
    torch.testing.assert_close(expected[0, :, 1], values[:, 1])


def test_missing_entries_are_never_given():
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    values = torch.tensor([[5.0, 0.0]], dtype=torch.float64)

    expected = expected_parts(denoiser, values, torch.tensor([[True, False]]), PARTS, sigma=1e3)

    torch.testing.assert_close(expected[0, 0, 0].item(), 0.0, atol=1e-3, rtol=0)


def test_the_column_that_is_off_contributes_most():
    values = torch.tensor([[0.0, 6.0]], dtype=torch.float64)
    expected = torch.zeros(2, 1, 2, dtype=torch.float64)
    expected[0, 0, 1] = 6.0

    shares = contributions(
        lambda v, o: v.abs().sum(1), values, torch.ones(1, 2, dtype=bool), expected
    )

    torch.testing.assert_close(shares, torch.tensor([[0.0, 6.0]], dtype=torch.float64))
