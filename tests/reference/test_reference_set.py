import pytest
import torch

from anomdiff.reference.reference_set import (
    DAMPING,
    LEAST_SCALE,
    SCALE_NEIGHBOUR,
    kth_distances,
    local_scales,
)


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def test_local_scales_follow_their_definition():
    rows = normal(100, 3)
    rows[:60] = rows[0]  # many copies

    scales = local_scales(rows)

    naive = torch.cdist(rows, rows).fill_diagonal_(torch.inf).sort(dim=1)[0][:, SCALE_NEIGHBOUR - 1]
    torch.testing.assert_close(scales, naive.clamp(min=LEAST_SCALE * naive.mean()) ** DAMPING)


def test_few_rows_have_scales_too():
    assert (local_scales(normal(1, 3)) > 0).all()
    assert (local_scales(torch.ones(5, 3, dtype=torch.float64)) > 0).all()
    torch.testing.assert_close(local_scales(torch.tensor([[0.0], [4.0]])), torch.full((2,), 2.0))


@pytest.mark.parametrize("k", [1, 3, 99])
def test_distances_to_the_kth_neighbour_equal_a_sort(k):
    reference, values = normal(20, 3), normal(1500, 3)

    distances = kth_distances(reference, values, k)

    naive = torch.cdist(values, reference).sort(dim=1)[0][:, min(k, 20) - 1]
    torch.testing.assert_close(distances, naive)
