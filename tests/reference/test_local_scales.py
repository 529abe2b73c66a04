import pytest
import torch

from anomdiff.reference.local_scales import CROWD, LEAST_SCALE, local_scales, neighbour_distances


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_local_scales_follow_their_definition():
    rows = normal(100, 3)
    rows[:60] = rows[0]  # many copies

    scales = local_scales(rows)

    naive = torch.cdist(rows, rows).fill_diagonal_(torch.inf).sort(dim=1)[0][:, CROWD - 1]
    torch.testing.assert_close(scales, naive.clamp(min=LEAST_SCALE * naive.mean()))


def test_few_rows_have_scales_too():
    assert (local_scales(normal(1, 3)) > 0).all()
    assert (local_scales(torch.ones(5, 3, dtype=torch.float64)) > 0).all()
    torch.testing.assert_close(local_scales(torch.tensor([[0.0], [2.0]])), torch.full((2,), 2.0))


@pytest.mark.parametrize("k", [1, 3, 99])
def test_neighbour_distances_equal_a_sort(k):
    memory, values = normal(20, 3), normal(1500, 3)

    distances = neighbour_distances(memory, values, k)

    naive = torch.cdist(values, memory).sort(dim=1)[0][:, min(k, 20) - 1]
    torch.testing.assert_close(distances, naive)
