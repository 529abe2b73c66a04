"""Which cells of a series are to blame for a run of alarms: which channel, from when to when.

Windows blur: an alarm lasts as long as windows that hold what is wrong. So the steps that a
channel is blamed for most are hidden first, and of these only those count that lie far from what
the rest lets one expect.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from anomdiff.conditional.intervals import Surroundings
from anomdiff.explain.alarm_segments import runs

# The core of a run of flagged steps has this share of its largest blame. A channel is suspected
# that is blamed there for this share of what the first one is.
CORE, CHANNEL = 0.5, 0.2
# A step is off that lies this many halves of the interval of 90 % from what is expected, where
# 1 in 70 Gaussian ones does, and this share of how far the worst lies.
OFF, SHARE = 1.5, 0.2
# Looks at what was given before and may be off too.
ROUNDS = 3


def find_culprits(
    surroundings: Surroundings,
    blame: Float[Tensor, "step channel"],
    run: tuple[int, int],
    join: int,
) -> Bool[Tensor, "step channel"]:
    """Find the cells to blame for a run of flagged steps.

    Parameters
    ----------
    surroundings : Surroundings
        Of the stretch.
    blame : float Tensor of shape (step, channel)
        What each channel adds to the scores of the stretch.
    run : tuple of int
        Bounds of the run.
    join : int
        Cells of a channel at most this many steps apart belong together.

    Returns
    -------
    culprits : bool Tensor of shape (step, channel)
        At least one cell, unless none of the suspected ones is observed.
    """
    hidden = suspected(blame, run) & surroundings.observed
    first = int((blame * hidden).sum(0).argmax())
    culprits = hidden
    for _ in range(ROUNDS):
        culprits = joined(_off(surroundings, hidden, first), join) & surroundings.observed
        around = widened(culprits, join) & surroundings.observed
        if not (around & ~hidden).any():
            break
        hidden = (hidden | around) & culprits.any(0)
    return culprits


def _off(
    surroundings: Surroundings, hidden: Bool[Tensor, "step channel"], first: int
) -> Bool[Tensor, "step channel"]:
    """Of hidden cells those that are off; in the first channel at least that which is most so."""
    off = surroundings.hidden(hidden).outside(surroundings.values)
    off = off.where(hidden, 0.0).nan_to_num(1.0)  # in a short stretch, all may be as wrong
    found = off > max(OFF, SHARE * float(off.max()))
    if not found[:, first].any():
        found[:, first] = hidden[:, first] & (off[:, first] == off[:, first].max())
    return found


def suspected(
    blame: Float[Tensor, "step channel"], run: tuple[int, int]
) -> Bool[Tensor, "step channel"]:
    """Cells that a run of flagged steps may be due to: the core of the blame."""
    suspects = torch.zeros_like(blame, dtype=torch.bool)
    total = blame[slice(*run)].sum(1, keepdim=True)
    suspects[slice(*run)] = joined(total >= CORE * total.max(), len(blame))
    inside = blame.where(suspects, 0.0)
    shares, peaks = inside.sum(0), inside.max(0).values
    suspects &= shares >= CHANNEL * shares.max()
    return joined(suspects & (inside >= CORE * peaks), len(blame))


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


def nearest_run(flags: np.ndarray, step: int) -> tuple[int, int]:
    """Bounds of the run of flags that holds a step, or is nearest to it."""
    return min(runs(flags, 0), key=lambda run: max(run[0] - step, step - run[1] + 1, 0))
