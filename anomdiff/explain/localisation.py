"""Which cells of a series an alarm is due to: which channels, from when to when.

An alarm is a run of flagged steps. Windows blur: steps are flagged as long as a window holds what
is wrong. So the cells that contribute most are hidden first, and of these only those count that
lie far from what is expected given the other cells.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from anomdiff.conditional.intervals import ConditionalIntervals

__all__ = ["anomalous_cells", "joined", "nearest_run", "runs", "suspected_cells", "widened"]

# Steps and cells are suspected that contribute at least this share of the largest contribution;
# a channel, if it contributes at least this share of what the first one does there.
CORE, CHANNEL = 0.5, 0.2
# A cell is anomalous that lies this many halves of the interval of 90 % from what is expected,
# where 1 in 70 Gaussian ones does, and this share of how far the worst lies.
OUTSIDE, OUTSIDE_SHARE = 1.5, 0.2
# Times that cells which were given before are hidden too, because they may be anomalous.
LOCALISATION_ROUNDS = 3


def anomalous_cells(
    intervals: ConditionalIntervals,
    contributions: Float[Tensor, "step channel"],
    alarm: tuple[int, int],
    join: int,
) -> Bool[Tensor, "step channel"]:
    """Cells that an alarm, given by its first step and the one after its last, is due to.

    At least one cell, unless none of the suspected ones is observed. Cells of a channel at most
    ``join`` steps apart belong together.
    """
    hidden = suspected_cells(contributions, alarm) & intervals.observed
    first = int((contributions * hidden).sum(0).argmax())
    anomalous = hidden
    for _ in range(LOCALISATION_ROUNDS):
        anomalous = joined(_outside(intervals, hidden, first), join) & intervals.observed
        around = widened(anomalous, join) & intervals.observed
        if not (around & ~hidden).any():
            break
        hidden = (hidden | around) & anomalous.any(0)
    return anomalous


def suspected_cells(
    contributions: Float[Tensor, "step channel"], alarm: tuple[int, int]
) -> Bool[Tensor, "step channel"]:
    """Cells that an alarm may be due to: the core of the contributions."""
    suspected = torch.zeros_like(contributions, dtype=torch.bool)
    total = contributions[slice(*alarm)].sum(1, keepdim=True)
    suspected[slice(*alarm)] = joined(total >= CORE * total.max(), len(contributions))
    inside = contributions.where(suspected, 0.0)
    shares, peaks = inside.sum(0), inside.max(0).values
    suspected &= shares >= CHANNEL * shares.max()
    return joined(suspected & (inside >= CORE * peaks), len(contributions))


def joined(cells: Bool[Tensor, "step channel"], join: int) -> Bool[Tensor, "step channel"]:
    """Fill gaps of at most ``join`` steps between cells of a channel."""
    filled = cells.clone()
    for channel, own in enumerate(cells.T.numpy()):
        for start, stop in runs(own, join):
            filled[start:stop, channel] = True
    return filled


def widened(cells: Bool[Tensor, "step channel"], steps: int) -> Bool[Tensor, "step channel"]:
    """Cells and those of the same channel at most so many steps away."""
    spread = F.max_pool1d(cells.T[None].float(), 2 * steps + 1, stride=1, padding=steps)
    return spread[0].T.bool()


def runs(flags: np.ndarray, join: int) -> list[tuple[int, int]]:
    """Bounds of the runs of flags, those at most ``join`` steps apart put together."""
    at = np.flatnonzero(flags)
    if not len(at):
        return []
    parts = np.split(at, np.flatnonzero(np.diff(at) > join + 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def nearest_run(flags: np.ndarray, step: int) -> tuple[int, int]:
    """Bounds of the run of flags that holds a step, or is nearest to it."""
    return min(runs(flags, 0), key=lambda run: max(run[0] - step, step - run[1] + 1, 0))


def _outside(
    intervals: ConditionalIntervals, hidden: Bool[Tensor, "step channel"], first: int
) -> Bool[Tensor, "step channel"]:
    """Hidden cells far from what is expected; in the first channel at least the farthest."""
    distance = intervals.hidden(hidden).outside(intervals.values)
    distance = distance.where(hidden, 0.0).nan_to_num(1.0)  # no interval: all may be as wrong
    found = distance > max(OUTSIDE, OUTSIDE_SHARE * float(distance.max()))
    if not found[:, first].any():
        found[:, first] = hidden[:, first] & (distance[:, first] == distance[:, first].max())
    return found
