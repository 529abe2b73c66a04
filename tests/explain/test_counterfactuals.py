from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from anomdiff.explain.counterfactuals import above_goal, choose, excess_over, search

GOAL = 1.0
N_ROWS, N_PARTS = 200, 6
EVERY = torch.ones(N_PARTS, dtype=torch.bool)
SOME = torch.arange(N_PARTS) % 2 == 0


class Toy(NamedTuple):
    """Items whose score is the sum of their parts, all at least 0."""

    values: Tensor
    changed: Tensor
    excess: Tensor


def rows(*shape, seed=0):
    values = torch.rand(*shape, generator=torch.Generator().manual_seed(seed)).double()
    return with_zeros(values, torch.zeros(shape, dtype=torch.bool))


def with_zeros(values, changed):
    zeroed = values.where(~changed, 0.0)
    return Toy(zeroed, changed, excess_over(GOAL, zeroed.sum(-1, keepdim=True)))


def one_more(start, mutable, sign, state):
    """Set one more part to 0 in each item above the goal, by size: the largest, or the smallest."""
    left = mutable & ~state.changed & above_goal(state)[..., None]
    if not left.any():
        return None
    part = (sign * start.values).where(left, -torch.inf).argmax(-1, keepdim=True)
    more = torch.zeros_like(left).scatter(-1, part, True) & left
    return with_zeros(start.values, state.changed | more)


def without_part(start, part, state, accepted):
    return with_zeros(start.values, state.changed & (torch.arange(N_PARTS) != part))


def found(start, mutable=EVERY, signs=(-1,), n_rounds=N_PARTS):
    ways = [partial(one_more, start, mutable, sign) for sign in signs]
    attempts = [partial(without_part, start, part) for part in range(N_PARTS)]
    return search(start, ways, lambda _: attempts, n_rounds)


def test_every_item_comes_to_the_goal_where_changes_suffice():
    result = found(rows(N_ROWS, N_PARTS))

    assert (result.values.sum(1) <= GOAL).all()
    assert (result.excess == 0).all()


@pytest.mark.parametrize("sign", [1, -1], ids=["largest first", "smallest first"])
def test_no_change_can_be_taken_back(sign):
    start = rows(N_ROWS, N_PARTS)

    result = found(start, signs=[sign])

    back = result.values.sum(1, keepdim=True) + start.values
    assert result.changed.any(1).sum() > N_ROWS / 2
    assert (back[result.changed] > GOAL).all()


def test_the_fewest_changes_are_found_where_the_largest_parts_go_first():
    start = rows(N_ROWS, N_PARTS)

    n_changes = found(start, signs=[1]).changed.sum(1)

    by_size = start.values.sort(dim=1, descending=True).values
    left = start.values.sum(1, keepdim=True) - by_size.cumsum(1)
    needed = 1 + (left > GOAL).sum(1)
    torch.testing.assert_close(n_changes, needed.where(start.values.sum(1) > GOAL, 0))


def test_items_at_the_goal_and_immutable_parts_never_change():
    start = rows(N_ROWS, N_PARTS)

    result = found(start, mutable=SOME)

    assert not result.changed[:, ~SOME].any()
    torch.testing.assert_close(result.values[:, ~SOME], start.values[:, ~SOME], rtol=0, atol=0)
    assert not result.changed[~above_goal(start)].any()
    reachable = start.values[:, ~SOME].sum(1) <= GOAL
    torch.testing.assert_close(above_goal(result), ~reachable)


def test_what_does_not_come_to_the_goal_comes_as_near_as_so_many_changes_allow():
    start = rows(N_ROWS, N_PARTS)

    result = found(start, signs=[1], n_rounds=1)

    lowest = start.values.sum(1) - start.values.max(1).values
    wanted = lowest.where(above_goal(start), start.values.sum(1))
    torch.testing.assert_close(result.values.sum(1), wanted)


def test_the_lowest_state_met_is_kept_even_if_further_changes_raise_the_score():
    start = rows(N_ROWS, N_PARTS)._replace(values=torch.full((N_ROWS, N_PARTS), 0.5).double())
    start = with_zeros(start.values, start.changed)
    sizes = iter([0.4, 0.3, 0.9])

    def propose(state):
        values = torch.full_like(start.values, next(sizes))
        return Toy(values, ~start.changed, excess_over(GOAL, values.sum(1, keepdim=True)))

    result = search(start, [propose], lambda _: [], 3)

    torch.testing.assert_close(result.values, torch.full_like(start.values, 0.3))


def test_the_way_with_the_fewest_changes_wins_in_every_item():
    start = rows(N_ROWS, N_PARTS)

    best = found(start, signs=[-1, 1]).changed.sum(1)

    ways = torch.stack([found(start, signs=[sign]).changed.sum(1) for sign in (-1, 1)])
    torch.testing.assert_close(best, ways.min(0).values)
    assert (ways[0] > ways[1]).any()


def test_of_ways_with_as_many_changes_the_smaller_ones_win():
    values = torch.tensor([[0.9, 0.8, 0.0, 0.0, 0.0, 0.0]]).double()
    start = with_zeros(values, torch.zeros(1, N_PARTS, dtype=torch.bool))

    result = found(start, signs=[1, -1], mutable=values[0] > 0)

    assert result.changed[0].tolist() == [False, True, False, False, False, False]


def test_a_way_that_comes_to_the_goal_wins_over_one_with_fewer_changes():
    start = rows(N_ROWS, N_PARTS)
    ways = [
        partial(one_more, start, mutable, 1) for mutable in (SOME & (start.values > 0.5), EVERY)
    ]

    result = search(start, ways, lambda _: [], N_PARTS)

    assert not above_goal(result).any()


def test_items_are_searched_independently():
    start = rows(N_ROWS, N_PARTS)

    result = found(start)

    for i in range(0, N_ROWS, 17):
        alone = found(Toy(*(each[i] for each in start)))  # no axis of items
        for whole, own in zip(result, alone, strict=True):
            torch.testing.assert_close(whole[i], own, rtol=0, atol=0)


def test_an_attempt_is_told_which_items_the_one_before_was_accepted_for():
    start = rows(N_ROWS, N_PARTS)
    told = []

    def attempt(part, state, accepted):
        told.append((state, accepted))
        return without_part(start, part, state, accepted)

    attempts = [partial(attempt, part) for part in range(2)]
    search(start, [partial(one_more, start, EVERY, -1)], lambda _: attempts, N_PARTS)

    (before, first), (after, second) = told
    assert first.all()
    torch.testing.assert_close(second, (before.changed != after.changed).any(1))


def test_excess_counts_the_scores_above_the_goal_and_adds_up_by_how_much():
    scores = torch.tensor([[3.0, 1.0, -torch.inf], [0.0, 2.0, 1.5], [1.0, 0.0, -1.0]])

    excess = excess_over(GOAL, scores)

    torch.testing.assert_close(excess, torch.tensor([[1.0, 2.0], [2.0, 1.5], [0.0, 0.0]]))


def test_fewer_scores_above_the_goal_matter_more_than_by_how_much():
    far = Toy(torch.zeros(2), torch.ones(2, dtype=torch.bool), torch.tensor([1.0, 9.0]))
    many = Toy(torch.ones(2), torch.ones(2, dtype=torch.bool), torch.tensor([2.0, 0.1]))
    start = Toy(torch.ones(2), torch.zeros(2, dtype=torch.bool), torch.tensor([3.0, 9.0]))

    result = search(start, [lambda _: many, lambda _: far], lambda _: [], 1)

    assert result.excess.tolist() == [1.0, 9.0]


def test_each_item_is_taken_from_one_of_two_states():
    one, other = rows(4, N_PARTS), rows(4, N_PARTS, seed=1)
    first = torch.tensor([True, False, True, False])

    chosen = choose(first, one, other)

    torch.testing.assert_close(chosen.values[first], one.values[first])
    torch.testing.assert_close(chosen.values[~first], other.values[~first])
