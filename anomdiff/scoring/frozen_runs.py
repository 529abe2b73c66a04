"""Runs of exactly equal values, and which are longer than training lets one expect.

A sensor that is frozen repeats one number. Where training never does so, a few equal values are
enough to tell; where it often does, as states and counters do, its own runs say what is usual.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

__all__ = ["longest_usual", "over_long", "run_lengths"]

# Relative difference up to which values are equal: those computed from others are rounded.
EQUAL = 1e-9
# How rare a longer run has to be, in nats, where the chance of one falls with this power of its
# length; and how many steps it has more than the longest of training, at least.
RARE_RUN, POWER, LEAST_MORE = 9.0, 3.0, 4
# Share of the steps that frozen sensors may have in series which hold anomalies.
MOST_FROZEN = 0.2


def run_lengths(
    values: Float[Tensor, "step channel"],
    before: Float[Tensor, "1 channel"] | None = None,
    so_far: Int[Tensor, "run"] | None = None,
) -> Int[Tensor, "step run"]:
    """Number of equal values up to each step, of each channel and last of all at once.

    Parameters
    ----------
    values : Tensor of shape (step, channel)
        NaN where missing, which no value is equal to.
    before, so_far : Tensor of shape (1, channel) and (channel + 1,), optional
        The step before, and its numbers.
    """
    first = torch.full_like(values[:1], torch.nan) if before is None else before
    joined = torch.cat([first, values])
    size = joined.abs().maximum(joined.abs().roll(1, 0))[1:]
    same = joined.diff(dim=0).abs() <= EQUAL * size
    same = torch.cat([same, same.all(1, keepdim=True)], 1)
    steps = torch.arange(len(values))[:, None]
    start = torch.where(same, -1, steps).cummax(0).values
    earlier = 0 if so_far is None else so_far
    return torch.where(start < 0, steps + 1 + earlier, steps - start + 1)


def longest_usual(runs: Sequence[Tensor], *, with_anomalies: bool = False) -> Float[Tensor, "run"]:
    """Length up to which a run is usual, from the `run_lengths` of segments of training.

    ``with_anomalies`` leaves out the longest runs that those of the other steps make too long.
    """
    ends = [
        torch.cat([part[1:] == 1, torch.ones_like(part[:1], dtype=torch.bool)]) for part in runs
    ]
    lengths, last = torch.cat(list(runs)), torch.cat(ends)
    usual = [_usual(own[at], with_anomalies) for own, at in zip(lengths.T, last.T, strict=True)]
    return torch.tensor(usual, dtype=torch.float64)


def over_long(
    runs: Int[Tensor, "step run"], usual: Float[Tensor, "run"], together: int
) -> Float[Tensor, "step channel"]:
    """How much longer than usual, as a log, the run is that a step is in; 0 where it is not.

    Blocks of ``together`` steps are looked at one by one: a run counts up to the end of its block.
    Where only all channels at once are equal for too long, the one nearest to it counts.
    """
    found = torch.cat([_whole(part) for part in runs.split(together)]) / usual
    single, joint = found[:, :-1], found[:, -1:]
    nearest = F.one_hot(single.argmax(1), single.shape[1]).bool()
    return single.maximum(torch.where(nearest, joint, 0.0)).clamp(min=1).log()


def _whole(runs: Int[Tensor, "step run"]) -> Int[Tensor, "step run"]:
    """Length of the run that each step is in, as far as it goes."""
    last = torch.cat([runs[1:] == 1, torch.ones_like(runs[:1], dtype=torch.bool)])
    steps = torch.arange(len(runs))[:, None]
    stop = torch.where(last, steps, len(runs)).flip(0).cummin(0).values.flip(0)
    return runs.gather(0, stop)


def _usual(lengths: Int[Tensor, "run"], with_anomalies: bool) -> float:
    """Length up to which a run is usual where there are runs of such lengths."""
    ordered = lengths.sort(descending=True).values
    n_odd = 0
    if with_anomalies:
        covered = ordered.cumsum(0) <= MOST_FROZEN * ordered.sum()
        for n in range(1, min(int(covered.sum()) + 1, len(ordered))):
            if ordered[n - 1] <= 1 + LEAST_MORE:
                break
            n_odd = n if ordered[n - 1] > _limit(ordered[n:]) else n_odd
    return _limit(ordered[n_odd:])


def _limit(ordered: Int[Tensor, "run"]) -> float:
    longest = float(ordered[0])
    n_long = int((ordered > longest / 2).sum())
    factor = math.exp(max(0.0, RARE_RUN - math.log(n_long)) / POWER)
    return max(longest * factor, longest + LEAST_MORE)
