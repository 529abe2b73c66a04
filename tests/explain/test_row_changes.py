import pytest
import torch

from anomdiff.explain.row_changes import Changes


def _drawn_changes(n_copies, n_coords, seed):
    """Copies of a row, both with gaps; the row, the copies and what they change."""
    generator = torch.Generator().manual_seed(seed)
    row, new = (
        torch.randn(n_copies + 1, n_coords, generator=generator).double().split([1, n_copies])
    )
    differs = torch.rand(n_copies, n_coords, generator=generator) < 0.3
    seen = torch.rand(n_coords, generator=generator) < 0.7
    observed = seen ^ (differs & (torch.rand(n_copies, n_coords, generator=generator) < 0.3))
    row = torch.where(seen, row[0], 0.0)
    values = torch.where(observed, torch.where(differs, new, row), 0.0)
    return row, seen, values, observed, Changes.find(values, observed, row, seen)


def _added(reference, row, seen, value, observed):
    """What a changed entry adds to the squared distance to a reference value."""
    return observed * (reference - value) ** 2 - seen * (reference - row) ** 2


@pytest.mark.parametrize("seed", range(5))
def test_a_change_reaches_as_far_as_at_the_ends_of_the_reference_values(seed):
    row, seen, values, observed, changes = _drawn_changes(6, 9, seed)
    reference = torch.randn(40, 9, generator=torch.Generator().manual_seed(seed)).double()
    low, high = reference.amin(0), reference.amax(0)

    reach = changes.reach(low, high)

    assert len(reach) == ((values != row) | (observed != seen)).sum()
    for far, copy, coord in zip(reach, changes.copies, changes.coords, strict=True):
        entry = row[coord], seen[coord], values[copy, coord], observed[copy, coord]
        ends = max(abs(_added(end[coord], *entry)) for end in (low, high))
        torch.testing.assert_close(far, ends)
        if seen[coord] == observed[copy, coord]:
            inside = max(abs(_added(x, *entry)) for x in reference[:, coord])
            assert inside <= far * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_squared_distances_of_copies_are_those_of_a_loop(seed):
    row, seen, values, observed, changes = _drawn_changes(6, 9, seed)
    reference = torch.randn(5, 9, generator=torch.Generator().manual_seed(seed)).double()
    own = ((reference - row) ** 2 * seen).sum(1)

    touched, squares = changes.squares(reference, own)

    for place, copy in enumerate(touched):
        for i, other in enumerate(reference):
            naive = sum((other - values[copy])[observed[copy]] ** 2)
            torch.testing.assert_close(squares[i, place], naive)
