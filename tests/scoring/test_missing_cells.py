"""Laws of the component that looks at which cells are missing."""

import itertools

import pytest
import torch

from anomdiff.scoring.missing_cells import SHARE_OF_SCORE, MissingCells


def drawn(n, rates, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, len(rates), generator=generator) < torch.tensor(rates)


@pytest.fixture(scope="module")
def some_missing():
    rates = [0.0, 0.2, 0.5, 0.0, 0.01]
    return MissingCells.fit(drawn(2000, rates, 0), drawn(500, rates, 1), torch.randn(500))


def test_errors_are_those_of_a_loop_over_patterns(some_missing):
    rows = drawn(50, [0.3] * 5, 2)

    errors = some_missing.errors(rows)[:, 0]

    for row, error in zip(rows, errors, strict=True):
        costs = []
        for pattern in some_missing.patterns:
            pairs = zip(
                row, pattern, some_missing.cost_missing, some_missing.cost_present, strict=True
            )
            costs.append(sum((lost if r else there) for r, p, lost, there in pairs if r != p))
        assert error.item() == pytest.approx(float(min(costs)), abs=1e-9)


def test_patterns_of_training_cost_nothing(some_missing):
    assert some_missing.errors(some_missing.patterns).abs().max() < 1e-12


def test_more_never_missing_cells_are_more_unusual(some_missing):
    rows = torch.zeros(3, 5, dtype=torch.bool)
    rows[1, 0] = rows[2, [0, 3]] = True

    none, one, two = some_missing.adjusted(torch.zeros(3), rows).tolist()

    assert none == 0
    assert 0 < one < two


def test_what_is_usual_among_held_out_rows_adds_nothing(some_missing):
    rows = drawn(500, [0.0, 0.2, 0.5, 0.0, 0.01], 3)

    adds = some_missing.adjusted(torch.zeros(500), rows)

    assert (adds >= 0).all()
    assert (adds == 0).double().mean() > 0.85


def test_a_row_without_any_cell_never_scores_below_the_median():
    scores = torch.linspace(-1, 3, 401, dtype=torch.float64)
    blank = drawn(2000, [0.0] * 3, 0)
    blank[:200] = True  # blank lines were there in training
    known = MissingCells.fit(blank, blank[:401], scores)

    nothing, all_there = known.adjusted(
        torch.tensor([-5.0, -5.0]), torch.tensor([[True] * 3, [False] * 3])
    )

    assert nothing.item() == pytest.approx(1.0)
    assert all_there.item() == -5.0


def test_order_of_rows_and_batches_do_not_matter(some_missing):
    rows = torch.tensor(list(itertools.product([False, True], repeat=5)))

    together = some_missing.adjusted(torch.zeros(32), rows)

    alone = torch.cat([some_missing.adjusted(torch.zeros(1), row[None]) for row in rows])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        together.flip(0), some_missing.adjusted(torch.zeros(32), rows.flip(0))
    )


def test_it_is_the_same_after_storage(some_missing):
    again = MissingCells.from_dict(some_missing.to_dict())

    rows = drawn(50, [0.3] * 5, 4)
    assert torch.equal(
        again.adjusted(torch.zeros(50), rows), some_missing.adjusted(torch.zeros(50), rows)
    )
    assert 0 < SHARE_OF_SCORE < 1


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("n_held", [50, 401])
def test_a_row_without_any_cell_is_no_more_normal_than_half_of_the_held_out_rows(rate, n_held):
    held_out, scores = drawn(n_held, [rate] * 4, 1), torch.randn(n_held).double()
    typical = torch.arange(n_held) % 7 > 0
    known = MissingCells.fit(drawn(900, [rate] * 4, 0), held_out, scores, typical)

    nothing = known.adjusted(torch.tensor([-9.0]), torch.ones(1, 4, dtype=torch.bool)).item()

    assert nothing >= known.adjusted(scores, held_out).quantile(0.5).item()
