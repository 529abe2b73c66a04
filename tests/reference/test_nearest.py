import pytest
import torch

from anomdiff.reference.nearest import NearestRows
from anomdiff.reference.reference_set import local_scales
from tests.oracles import ExactDenoiser


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64)


def search(rows, exclude_self=0):
    """Search reference rows, the first few of which exclude themselves."""
    return NearestRows(rows, local_scales(rows), torch.arange(len(rows)) < exclude_self)


@pytest.mark.parametrize("seen", [1.0, 0.7])
def test_distances_equal_the_naive_loop(seen):
    reference = search(normal(40, 5))
    observed = torch.rand(600, 5) < seen
    values = torch.where(observed, normal(600, 5), 0.0)

    distances = reference.distances(values, observed)

    for row, mask, (distance, local) in zip(values, observed, distances, strict=True):
        naive = torch.stack([((row - each)[mask] ** 2).sum().sqrt() for each in reference.rows])
        torch.testing.assert_close(distance, naive.min())
        torch.testing.assert_close(local, (naive / reference.scales).min())


@pytest.mark.parametrize(
    "scene", ["plain", "gaps", "far out", "ties", "one column", "copies", "heavy tails"]
)
def test_what_is_passed_over_holds_no_nearer_row(scene):
    rows, values = normal(3_001, 6), normal(150, 6)
    observed = torch.rand(150, 6) < (0.7 if scene == "gaps" else 2.0)
    if scene == "far out":
        values[::2] *= 1e6
    elif scene == "ties":
        rows, values = rows.round(), values.round()
    elif scene == "one column":
        rows, values, observed = rows[:, :1], values[:, :1], observed[:, :1]
    elif scene == "copies":
        values = rows[:150].clone()
    elif scene == "heavy tails":
        rows, values = rows**7, values**7
    values = torch.where(observed, values, 0.0)
    reference = search(rows, exclude_self=100 if scene == "copies" else 0)

    distances = reference.distances(values, observed)

    gaps = torch.where(observed[:, None], rows - values[:, None], 0.0).norm(dim=2)
    gaps[reference.exclude_self & (torch.arange(150)[:, None] == torch.arange(3_001))] = torch.inf
    naive = torch.stack([gaps.amin(1), (gaps / reference.scales).amin(1)], dim=1)
    torch.testing.assert_close(distances, naive, rtol=1e-12, atol=1e-12)


def test_a_row_is_as_far_alone_as_among_many():
    reference = search(normal(3_000, 8))
    values, observed = normal(100, 8), torch.rand(100, 8) < 0.9
    values = torch.where(observed, values, 0.0)

    alone = [reference.distances(values[[i]], observed[[i]]) for i in range(100)]

    together = reference.distances(values, observed)
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-12, atol=1e-12)


def test_distances_are_the_errors_of_the_exact_denoiser_as_noise_vanishes():
    rows, values = normal(2, 50, 4)
    observed = torch.ones(50, 4, dtype=torch.bool)

    distances = search(rows).distances(values, observed)[:, 0]

    denoised = ExactDenoiser(rows)(values, torch.full((50,), 1e-3), ~observed)
    torch.testing.assert_close(distances, (values - denoised).norm(dim=1))


def test_a_reference_row_is_at_no_distance_however_far_out():
    rows = normal(300, 6) * 1e4

    distances = search(rows).distances(rows, torch.ones(300, 6, dtype=torch.bool))

    assert (distances == 0).all()


def test_a_row_that_excludes_itself_is_as_far_as_if_it_were_not_there():
    rows = normal(30, 3)
    observed = torch.ones(30, 3, dtype=torch.bool)
    reference = search(rows, exclude_self=20)

    distances = reference.distances(rows, observed)

    assert (distances[20:] == 0).all()
    for i in range(20):
        others = torch.arange(30) != i
        without = NearestRows(
            rows[others], reference.scales[others], reference.exclude_self[others]
        )
        torch.testing.assert_close(
            distances[i : i + 1], without.distances(rows[[i]], observed[[i]])
        )


def test_a_row_that_excludes_itself_finds_its_other_copies():
    rows = normal(5, 3).repeat(2, 1)

    distances = search(rows, exclude_self=10).distances(rows, torch.ones(10, 3, dtype=torch.bool))

    assert (distances == 0).all()


def test_equally_near_rows_are_interchangeable():
    rows = torch.eye(4, dtype=torch.float64).repeat(50, 1)
    values = torch.zeros(3, 4, dtype=torch.float64)
    observed = torch.ones(3, 4, dtype=torch.bool)

    first = search(rows).distances(values, observed)
    again = search(rows[torch.randperm(200)]).distances(values, observed)

    assert (first[:, 0] == 1).all()
    torch.testing.assert_close(first, again)


def test_what_is_far_from_a_dense_cluster_is_near_in_a_sparse_one():
    rows = torch.cat([normal(200, 2) * 0.1, normal(200, 2) * 3 + 50])
    values = torch.tensor([[2.0, 0.0], [52.0, 50.0]], dtype=torch.float64)

    local = search(rows).distances(values, torch.ones(2, 2, dtype=torch.bool))[:, 1]

    assert local[0] > 5 * local[1]
