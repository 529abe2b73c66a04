"""The one search for what would be normal: few changes that bring all scores down to a goal.

Forward, changes are applied as they are proposed, and the lowest state met is kept. Backward,
changes that are not needed are taken back. Of several ways to propose changes, the best wins.
Rows and segments say what is particular to them: how changes are proposed and taken back.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from typing import Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["State", "above_goal", "choose", "excess_over", "search"]


@runtime_checkable
class State(Protocol):
    """What the search asks of a NamedTuple of tensors whose first axes are those of the items.

    Items, such as the rows of a table, are searched independently; one alone has no axis.
    """

    def __iter__(self) -> Iterator[Tensor]: ...

    @property
    def values(self) -> Tensor:
        r"""Encoded values by now, of shape (\*item, \*event)."""

    @property
    def changed(self) -> Tensor:
        r"""Tell the parts that differ from the start, of shape (\*item, \*part)."""

    @property
    def excess(self) -> Tensor:
        r"""From `excess_over`, of shape (\*item, 2)."""


S = TypeVar("S", bound=State)
# A state with further changes, None if there are none to propose.
Proposal = Callable[[S], S | None]
# A state with fewer changes, None if there is nothing left to try; called with the state and the
# items for which the attempt before was accepted.
Attempt = Callable[[S, Tensor], S | None]


def search(
    start: S,
    proposals: Sequence[Proposal],
    attempts: Callable[[S], Iterable[Attempt]],
    n_rounds: int,
) -> S:
    """Lowest state found, without the changes that it does not need.

    From the start, where nothing is changed, each proposal is followed for ``n_rounds`` at most;
    then ``attempts`` say what to take back. For every item the way counts that leaves the least
    excess, then the fewest changes, then the smallest ones; the first of equals.
    """
    ends = (_forward(start, propose, n_rounds) for propose in proposals)
    found = [_backward(end, attempts(end)) for end in ends]

    def better(best: S, other: S) -> S:
        return choose(_is_less(_cost(other, start), _cost(best, start)), other, best)

    return reduce(better, found)


def excess_over(goal: float, scores: Float[Tensor, "*item score"]) -> Float[Tensor, "*item 2"]:
    """How many scores of each item are above the goal, and by how much in sum."""
    above = (scores - goal).clamp(min=0)
    return torch.stack([(above > 0).sum(-1).to(above), above.sum(-1)], dim=-1)


def above_goal(state: State) -> Bool[Tensor, "*item"]:
    """Tell the items with a score above the goal."""
    return state.excess[..., 0] > 0


def choose(first_is_better: Bool[Tensor, "*item"], first: S, second: S) -> S:
    """Take each item from one of two states."""

    def pick(one: Tensor, other: Tensor) -> Tensor:
        further = [1] * (one.ndim - first_is_better.ndim)
        return torch.where(first_is_better.reshape(*first_is_better.shape, *further), one, other)

    return type(first)(*map(pick, first, second))


def _forward(start: S, propose: Proposal, n_rounds: int) -> S:
    """Apply what is proposed, and keep the lowest state met."""
    lowest = state = start
    for _ in range(n_rounds):
        if (further := propose(state)) is None:
            break
        state = further
        lowest = choose(_is_less(state.excess, lowest.excess), state, lowest)
    return lowest


def _backward(state: S, attempts: Iterable[Attempt]) -> S:
    """Take back changes where that adds no excess."""
    accepted = torch.ones(state.excess.shape[:-1], dtype=torch.bool)
    for attempt in attempts:
        if (tried := attempt(state, accepted)) is None:
            break
        differs = (tried.changed != state.changed).flatten(accepted.ndim).any(-1)
        accepted = differs & ~_is_less(state.excess, tried.excess)
        state = choose(accepted, tried, state)
    return state


def _cost(state: State, start: State) -> Float[Tensor, "*item 3"]:
    """Excess of each item, then the number of its changes and their size as a fraction."""
    n_axes = state.excess.ndim - 1
    n_changes = state.changed.flatten(n_axes).sum(-1)
    size = (state.values - start.values).abs().flatten(n_axes).sum(-1)
    return torch.cat([state.excess, (n_changes + size / (1 + size))[..., None]], dim=-1)


def _is_less(
    one: Float[Tensor, "*item number"], other: Float[Tensor, "*item number"]
) -> Bool[Tensor, "*item"]:
    """Compare number by number: the first that differs decides."""
    less = torch.zeros(one.shape[:-1], dtype=torch.bool)
    for a, b in reversed(list(zip(one.unbind(-1), other.unbind(-1), strict=True))):
        less = (a < b) | ((a == b) & less)
    return less
