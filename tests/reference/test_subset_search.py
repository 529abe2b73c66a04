import math

import pytest
import torch

from anomdiff.diffusion.noise import seeded
from anomdiff.reference.subset_search import (
    N_PARTS,
    N_SUBSPACES,
    PART_ROWS,
    SUBSPACE_ROWS,
    SubsetSearch,
    parts,
    subspaces,
)

# Three columns of one, two and three coords.
COLUMNS = torch.tensor([[1, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]).bool()


def drawn(n, seed=0):
    return torch.randn(n, 6, generator=seeded(seed), dtype=torch.float64)


def everything(values):
    return torch.ones_like(values, dtype=torch.bool)


def search(n_reference=40, n_excluding=0, subsets=None):
    """A search of subspaces, in which the first rows exclude themselves."""
    subsets = subspaces(n_reference, COLUMNS, seeded(1)) if subsets is None else subsets
    excluding = torch.arange(n_reference) < n_excluding
    return SubsetSearch.build(subsets, drawn(n_reference), excluding)


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_distances_are_those_to_the_nearest_row_of_each_subset_in_its_coords(scale):
    reference, values = drawn(1000), scale * drawn(200, seed=1)
    observed = torch.rand(values.shape, generator=seeded(2)) < 0.7
    subsets = subspaces(1000, COLUMNS, seeded(1))
    built = SubsetSearch.build(subsets, reference, torch.zeros(1000, dtype=torch.bool))

    found = built.distances(torch.where(observed, values, 0.0), observed)

    for i, (rows, coords) in enumerate(zip(subsets.rows, subsets.coords, strict=True)):
        gaps = (values[:, None] - reference[rows]) * (observed & coords)[:, None]
        torch.testing.assert_close(found[:, i], gaps.square().sum(2).amin(1).sqrt())


def test_rows_that_exclude_themselves_are_compared_with_the_others():
    reference, built = drawn(40), search(n_excluding=10)

    found = built.distances(reference, everything(reference))

    for i, (rows, coords) in enumerate(zip(built.subsets.rows, built.subsets.coords, strict=True)):
        for row in range(40):
            away = (reference[rows] - reference[row])[:, coords].square().sum(1).sqrt()
            away[(rows == row) & (row < 10)] = torch.inf
            torch.testing.assert_close(found[row, i], away.min())


def test_a_copy_of_a_row_that_excludes_itself_finds_other_copies():
    reference = drawn(10).repeat(2, 1)
    subsets = subspaces(20, COLUMNS, seeded(1))
    built = SubsetSearch.build(subsets, reference, torch.ones(20, dtype=torch.bool))

    assert (built.distances(reference, everything(reference)) == 0).all()


def test_errors_are_mean_logarithms_in_units_of_the_distances_of_held_out_rows():
    held, new = drawn(30, seed=3), drawn(20, seed=4)
    built = search().measured(held, everything(held))
    whole = torch.rand(20, 1, generator=seeded(5)).double() + 0.5

    found = built.errors(new, everything(new), whole)

    means = built.distances(held, everything(held)).mean(0)
    distances = built.distances(new, everything(new)) / whole
    naive = [
        [sum(math.log(1 + (d / m).item()) for d, m in zip(row, means, strict=True))]
        for row in distances
    ]
    torch.testing.assert_close(found, torch.tensor(naive).double() / N_SUBSPACES)


def test_subspaces_hold_whole_columns_two_at_least():
    subsets = subspaces(100_000, COLUMNS, seeded(0))

    assert subsets.rows.shape == (N_SUBSPACES, SUBSPACE_ROWS)
    for rows, coords in zip(subsets.rows, subsets.coords, strict=True):
        shares = [coords[column].double().mean().item() for column in COLUMNS]
        assert sum(shares) >= 2
        assert set(shares) <= {0.0, 1.0}
        assert len(rows.unique()) == len(rows)


def test_a_view_without_some_columns_and_a_single_column_have_subspaces_too():
    without = subspaces(5, COLUMNS & torch.tensor([1, 1, 0, 0, 0, 0]).bool(), seeded(0))
    single = subspaces(5, COLUMNS[:1], seeded(0))

    assert not without.coords[:, 2:].any()
    assert (single.coords == COLUMNS[0]).all()
    assert without.rows.shape == single.rows.shape == (N_SUBSPACES, 5)


@pytest.mark.parametrize("n_reference", [1, 4, 5, 23, 100_000])
def test_parts_are_disjoint_and_of_equal_size(n_reference):
    subsets = parts(n_reference, COLUMNS.any(0), seeded(0))

    n_parts = min(N_PARTS, n_reference)
    assert subsets.rows.shape == (n_parts, min(n_reference // n_parts, PART_ROWS))
    assert len(subsets.rows.unique()) == subsets.rows.numel()
    assert subsets.coords.all()


def test_subsets_depend_on_the_seed_alone():
    one, same, other = (subspaces(2000, COLUMNS, seeded(seed)) for seed in (0, 0, 1))

    assert torch.equal(one.rows, same.rows)
    assert torch.equal(one.coords, same.coords)
    assert not torch.equal(one.rows, other.rows)
