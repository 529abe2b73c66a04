import math
from itertools import product

import pytest
import torch

from anomdiff.scoring.cooccurrence import PRIOR_ROWS, Cooccurrence

SIZES = torch.tensor([3, 4, 2])


def table(n, depends, seed=0):
    """Codes of three columns; the second follows the first, or not."""
    g = torch.Generator().manual_seed(seed)
    first = torch.randint(3, (n,), generator=g)
    noise = torch.randint(4, (n,), generator=g)
    second = torch.where(torch.rand(n, generator=g) < 0.9, first, noise) if depends else noise
    return torch.stack([first, second, torch.randint(2, (n,), generator=g)], dim=1)


def test_errors_equal_the_naive_counts():
    codes, held_out, rows = table(60, True), table(40, True, 1), table(30, False, 2)
    n = len(codes)

    def single(j, a):
        return ((codes[:, j] == a).sum().item() + 1) / (n + SIZES[j].item())

    def pair(i, a, j, b):
        prior = single(i, a) * single(j, b)
        both = ((codes[:, i] == a) & (codes[:, j] == b)).sum().item()
        return math.log(prior) - math.log((both + PRIOR_ROWS * prior) / (n + PRIOR_ROWS))

    def sums(row):
        cells = [(j, row[j].item()) for j in range(3)]
        return [sum(pair(*one, *two) for two in cells if two[0] != one[0]) for one in cells]

    typical = torch.tensor([sums(row) for row in held_out], dtype=torch.float64).mean(0)
    naive = torch.tensor([sums(row) for row in rows], dtype=torch.float64) - typical

    errors = Cooccurrence.fit(codes, held_out, SIZES).errors(rows)

    torch.testing.assert_close(errors[:, 0], naive.clamp(min=0).sqrt().sum(1))


def test_pairs_that_do_not_go_together_stand_out():
    cooccurrence = Cooccurrence.fit(table(2000, True), table(500, True, 1), SIZES)
    rows = torch.tensor(list(product(range(3), range(3), range(2))))
    errors = cooccurrence.errors(rows)[:, 0]

    together = rows[:, 0] == rows[:, 1]
    assert errors[~together].min() > errors[together].max()


@pytest.mark.parametrize(("depends", "low", "high"), [(True, 0.4, 1.0), (False, 0.0, 0.12)])
def test_strength_grows_with_the_dependence_of_columns(depends, low, high):
    cooccurrence = Cooccurrence.fit(table(2000, depends), table(800, depends, 1), SIZES)

    strength = cooccurrence.strength(table(800, depends, 1), torch.Generator().manual_seed(0))

    assert low <= strength <= high
