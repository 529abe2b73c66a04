import pytest
import torch

from anomdiff.explain.attribution import (
    MAX_DISTANCE,
    expected_parts,
    nearest_without,
    scores_with_one_replaced,
    shares_of_score,
)
from tests.oracles import GaussianDenoiser, correlated_gaussian

PARTS = torch.eye(2, dtype=torch.bool)
MIXED_PARTS = torch.tensor([[True, True, False, False], [False, False, True, False]])


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def all_seen(values):
    return torch.ones_like(values, dtype=torch.bool)


def test_the_expected_part_is_the_conditional_mean():
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    values = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)

    expected = expected_parts(denoiser, values, all_seen(values), PARTS, sigma=1e3)

    torch.testing.assert_close(expected, 0.8 * values.flip(1), rtol=1e-4, atol=0)


def test_missing_entries_are_never_given():
    _, covariance = correlated_gaussian(1)
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), covariance)
    values = torch.tensor([[5.0, 0.0]], dtype=torch.float64)

    expected = expected_parts(denoiser, values, torch.tensor([[True, False]]), PARTS, sigma=1e3)

    torch.testing.assert_close(expected[0, 0].item(), 0.0, atol=1e-3, rtol=0)


def test_entries_of_no_part_stay():
    denoiser = GaussianDenoiser(torch.zeros(2, dtype=torch.float64), correlated_gaussian(1)[1])
    values = normal(3, 2)

    expected = expected_parts(denoiser, values, all_seen(values), PARTS[:1], sigma=1e3)

    torch.testing.assert_close(expected[:, 1], values[:, 1])


def test_the_nearest_rows_are_those_of_a_naive_search():
    reference, values = normal(50, 4), normal(6, 4, seed=1)
    observed = torch.rand(6, 4, generator=torch.Generator().manual_seed(2)) < 0.8
    exclude_self = torch.zeros(50, dtype=torch.bool)

    found = nearest_without(reference, values, observed, MIXED_PARTS, 5, exclude_self)

    squares = torch.where(observed[:, None], (values[:, None] - reference) ** 2, 0.0)
    apart = [squares[:, :, part].sum(2).clamp(max=MAX_DISTANCE) for part in MIXED_PARTS]
    for place, distances in enumerate([apart[1], apart[0], apart[0] + apart[1]]):
        torch.testing.assert_close(found[place], distances.argsort(1)[:, :5])


def test_how_far_off_one_part_is_does_not_change_which_rows_are_near():
    reference, values = normal(50, 2), normal(4, 2, seed=1)
    exclude_self = torch.zeros(50, dtype=torch.bool)
    off, further = (values + torch.tensor([away, 0.0]) for away in (20.0, 1e9))

    near, still = (
        nearest_without(reference, x, all_seen(x), PARTS, 3, exclude_self) for x in (off, further)
    )

    torch.testing.assert_close(near, still)


def test_rows_that_exclude_themselves_are_no_neighbours_of_their_copies():
    rows = normal(20, 2)
    exclude_self = torch.arange(20) < 10

    nearest = nearest_without(rows, rows, all_seen(rows), PARTS, 1, exclude_self)[-1, :, 0]

    torch.testing.assert_close(nearest == torch.arange(20), ~exclude_self)


def test_every_copy_differs_from_its_row_in_one_part():
    values, suggested, scored = normal(3, 4), normal(3, 4, seed=1), []
    seen, present = all_seen(values), torch.zeros(3, 4, dtype=torch.bool)

    def score(*cells):
        scored.extend(each.reshape(2, 3, 4) for each in cells)
        return cells[0].sum(1)

    scores_with_one_replaced(score, values, seen, (suggested, present), MIXED_PARTS)

    for part, copy, observed in zip(MIXED_PARTS, *scored, strict=True):
        torch.testing.assert_close(copy[:, part], suggested[:, part])
        torch.testing.assert_close(copy[:, ~part], values[:, ~part])
        torch.testing.assert_close(observed, (~part).expand(3, 4))


def test_the_score_falls_most_without_the_part_that_is_off():
    values = torch.tensor([[0.0, 6.0], [-3.0, 1.0]], dtype=torch.float64)
    suggested = torch.zeros_like(values), all_seen(values)

    def score(values, observed):
        return values.abs().sum(1)

    after = scores_with_one_replaced(score, values, all_seen(values), suggested, PARTS)

    torch.testing.assert_close(after, torch.tensor([[6.0, 0.0], [1.0, 3.0]]).double())


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_shares_add_up_to_the_score_whatever_the_drops(scale):
    scores, drops = scale * normal(200), normal(200, 7, seed=1)
    drops[:20] = -drops[:20].abs()

    shares = shares_of_score(scores, drops)

    torch.testing.assert_close(shares.sum(1), scores, rtol=1e-12, atol=0)


def test_shares_rank_as_drops_do_and_are_none_for_a_part_that_lowers_nothing():
    scores, drops = normal(50).abs() + 0.1, normal(50, 4, seed=1)

    shares = shares_of_score(scores, drops)

    lower = drops > 0
    assert (shares[~lower & lower.any(1, keepdim=True)] == 0).all()
    ratio = (shares / drops)[lower].reshape(-1)
    assert (ratio > 0).all()


def test_all_parts_contribute_alike_to_a_score_no_higher_than_typical():
    shares = shares_of_score(torch.tensor([-2.0, 0.0]), torch.tensor([[3.0, 1.0], [3.0, 1.0]]))

    torch.testing.assert_close(shares, torch.tensor([[-1.0, -1.0], [0.0, 0.0]]))
