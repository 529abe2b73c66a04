"""What hidden steps of a series are expected to be, given the steps around and other channels."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.conditional.forecasts import shapes, without_gaps
from anomdiff.conditional.window_imputer import MAX_JOINT, MAX_LENGTH, Completer, fill_spans

# A further value falls below the interval with this probability, and above it.
TAIL = 0.05
# Windows to look at and to weigh guesses on: every mask costs a few milliseconds.
MAX_WINDOWS, MAX_TRIALS = 800, 100
# A window of fewer steps tells too little, even if it is all that a regression can hold.
LEAST_LENGTH = 16
# Masks whose weights are kept: most of those asked for are single steps in the middle.
MASKS_KEPT = 1024


class Expected(NamedTuple):
    """Expectations of some cells, in standard deviations.

    Attributes
    ----------
    mean : float Tensor
        What is expected.
    low, high : float Tensor
        Interval that holds 90 % of the values that go with the rest of the window.
    """

    mean: Tensor
    low: Tensor
    high: Tensor

    def outside(self, values: Tensor) -> Tensor:
        """How far values are off, in halves of the interval; NaN where there is none."""
        half = torch.where(values < self.mean, self.mean - self.low, self.high - self.mean)
        return (values - self.mean).abs() / half.clamp(min=1e-6)


class Surroundings:
    """Tells what cells of a stretch could be, if they were hidden, from the cells around.

    The windows come from the memory alone: what else is wrong in the series does not vouch for
    what is asked about.

    Parameters
    ----------
    detector : TimeSeriesDetector
        Fitted.
    values : float Tensor of shape (step, channel)
        Scaled steps of a stretch, 0 where not observed.
    observed : bool Tensor of shape (step, channel)
        False where missing.
    """

    def __init__(
        self,
        detector,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
    ):
        self.values, self.observed = values, observed
        self.windows = _windows(detector, len(values))

    def hidden(self, hidden: Bool[Tensor, "step channel"]) -> Expected:
        """Expect all hidden cells, given the cells that are not.

        Cells that lie further apart than half a window are expected one after the other, the
        first ones being given to the next.

        Returns
        -------
        expected : Expected
            Of shape (step, channel); the other cells are as they are. The interval is missing
            where the stretch is shorter than all windows.
        """
        known = self.observed & ~hidden
        seen = torch.where(known, self.values, 0.0).numpy()
        mean = torch.from_numpy(without_gaps(seen, known.numpy()))
        unsure = torch.where(known, mean, torch.nan)
        if self.windows is None:
            return Expected(mean, unsure, unsure)
        low, high = unsure.clone(), unsure.clone()
        length = self.windows.length
        for start, stop in fill_spans(~hidden.any(1).numpy(), length):
            steps, n_filled = slice(start, start + length), stop - start
            found = self.windows.expect(mean[steps].T[None], known[steps].T)
            new = ~known[start:stop]
            for whole, part in zip((mean, low, high), found, strict=True):
                whole[start:stop][new] = part[0].T[:n_filled][new]
            known = known.clone()
            known[start:stop] = True
        return Expected(mean, low, high)

    def alone(self, steps: np.ndarray, channel: int) -> Expected:
        """Expect single cells of a channel, each as if it alone were hidden; of shape (step,)."""
        steps = torch.from_numpy(steps)
        if self.windows is None:
            empty = torch.full(steps.shape, torch.nan, dtype=self.values.dtype)
            return Expected(empty, empty, empty)
        length, rows = self.windows.length, torch.arange(len(steps))
        starts = (steps - length // 2).clamp(0, len(self.values) - length)
        places = steps - starts
        values, given = (
            each.unfold(0, length, 1)[starts].clone() for each in (self.values, self.observed)
        )
        values[rows, channel, places], given[rows, channel, places] = 0.0, False
        found = Expected(*(values.new_empty(len(steps)) for _ in Expected._fields))
        masks, which = given.unique(dim=0, return_inverse=True)
        for number, mask in enumerate(masks):
            own = rows[which == number]
            for whole, part in zip(found, self.windows.expect(values[own], mask), strict=True):
                whole[own] = part[torch.arange(len(own)), channel, places[own]]
        return found


class _Windows:
    """A completer that keeps what it has learned of masks."""

    def __init__(self, completer: Completer):
        self.completer, self.length = completer, completer.length
        self.learned: dict[bytes, tuple[Tensor, Tensor, Tensor]] = {}

    def expect(
        self, values: Float[Tensor, "row channel time"], given: Bool[Tensor, "channel time"]
    ) -> Expected:
        shares, low, high = self._learn(given)
        mean = self.completer.mean(values, given, shares, self.completer.windows)
        return Expected(mean, mean + low, mean + high)

    def _learn(self, given: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights of the guesses, and how far the value may lie below and above their mean."""
        mask = given.numpy().tobytes()
        if mask not in self.learned:
            shares, misses = self.completer.weigh(given)
            # A further value falls below the k-th of n with probability k / (n + 1).
            tail = max(0.0, (TAIL * (len(misses) + 1) - 1) / max(1, len(misses) - 1))
            low, high = misses.quantile(torch.tensor([tail, 1 - tail]).to(misses), dim=0)
            if len(self.learned) >= MASKS_KEPT:
                self.learned = {}
            self.learned[mask] = shares, low.clamp(max=0), high.clamp(min=0)
        return self.learned[mask]


def _windows(detector, n_steps: int) -> _Windows | None:
    """Windows as long as the stretch and a regression across channels allow, None if none fits.

    What they have learned is kept with the detector until it is fitted again.
    """
    n_channels, kept = len(detector.encoder_.names), detector.__dict__.setdefault("_expecting", {})
    most = min(MAX_LENGTH, max(LEAST_LENGTH, MAX_JOINT // n_channels))
    fitting = [memory for memory in shapes(detector) if memory.length <= n_steps]
    short = [memory for memory in fitting if memory.length <= most] or fitting[:1]
    if not short:
        return None
    memory = short[-1]
    if memory.length not in kept:
        kept[memory.length] = _Windows(Completer(memory, n_channels, MAX_WINDOWS, MAX_TRIALS))
    return kept[memory.length]
