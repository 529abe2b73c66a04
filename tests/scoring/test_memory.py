import pytest
import torch

from anomdiff.diffusion.denoiser import EmpiricalDenoiser
from anomdiff.scoring.memory import nearest_distances


@pytest.mark.parametrize("seen", [1.0, 0.7])
def test_distances_equal_the_naive_loop(seen):
    memory = torch.randn(40, 5, dtype=torch.float64)
    observed = torch.rand(600, 5) < seen
    values = torch.where(observed, torch.randn(600, 5, dtype=torch.float64), 0.0)

    distances = nearest_distances(memory, values, observed)

    for row, mask, distance in zip(values, observed, distances, strict=True):
        naive = min(((row - each)[mask] ** 2).sum().sqrt() for each in memory)
        torch.testing.assert_close(distance, naive)


def test_distances_are_the_misses_of_the_empirical_denoiser_as_noise_vanishes():
    memory, values = torch.randn(2, 50, 4, dtype=torch.float64)
    observed = torch.ones(50, 4, dtype=torch.bool)

    distances = nearest_distances(memory, values, observed)

    denoised = EmpiricalDenoiser(memory)(values, torch.full((50,), 1e-3), ~observed)
    torch.testing.assert_close(distances, (values - denoised).norm(dim=1))


def test_a_remembered_row_is_at_no_distance_however_far_out():
    memory = torch.randn(300, 6, dtype=torch.float64) * 1e4

    distances = nearest_distances(memory, memory, torch.ones(300, 6, dtype=torch.bool))

    assert (distances == 0).all()


def test_equally_near_rows_are_interchangeable():
    memory = torch.eye(4, dtype=torch.float64).repeat(50, 1)
    values = torch.zeros(3, 4, dtype=torch.float64)
    observed = torch.ones(3, 4, dtype=torch.bool)

    for order in (torch.arange(200), torch.randperm(200)):
        assert (nearest_distances(memory[order], values, observed) == 1).all()
