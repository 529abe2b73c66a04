"""What hidden steps of a series are expected to be, given the steps around and other channels."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.conditional import constants as tuned
from anomdiff.conditional.window_imputer import Stack, WindowImputer, interpolated, spans_to_fill
from anomdiff.models.window_model import WindowModel

__all__ = ["ConditionalIntervals", "Expected"]

# Masks whose weights are kept: most of those asked for are single steps in the middle.
MASKS_KEPT = 1024


class Expected(NamedTuple):
    """Expectations of some cells, in standard deviations."""

    mean: Tensor
    low: Tensor  # low to high holds 90 % of the values that go with the rest of the window
    high: Tensor

    def outside(self, values: Tensor) -> Tensor:
        """How far values are off, in halves of the interval; NaN where there is none."""
        half = torch.where(values < self.mean, self.mean - self.low, self.high - self.mean)
        return (values - self.mean).abs() / half.clamp(min=1e-6)


class ConditionalIntervals:
    """What cells of a segment could be, if they were hidden, given the cells around.

    Only windows of training are compared with: what else is wrong in the segment does not make
    an anomaly look normal. ``values`` are scaled steps, 0 where not observed.
    """

    def __init__(
        self,
        model: WindowModel,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
    ):
        self.values, self.observed = values, observed
        self.windows = _WindowIntervals.of(model, len(values))

    def hidden(self, hidden: Bool[Tensor, "step channel"]) -> Expected:
        """Expect all hidden cells, given the cells that are not, which stay as they are.

        Cells that lie further apart than half a window are expected one after the other, the
        first ones being given to the next. The interval is missing where the segment is shorter
        than all windows.
        """
        known = self.observed & ~hidden
        mean = interpolated(torch.where(known, self.values, 0.0), known)
        low = torch.where(known, mean, torch.nan)
        if self.windows is None:
            return Expected(mean, low, low)
        expected, length = Expected(mean, low, low.clone()), self.windows.length
        for start, stop in spans_to_fill(~hidden.any(1).numpy(), length):
            steps = slice(start, start + length)
            found = self.windows.expect(mean[steps].T[None], known[steps].T)
            new = ~known[start:stop]
            for whole, part in zip(expected, found, strict=True):
                whole[start:stop][new] = part[0].T[: stop - start][new]
            known[start:stop] = True
        return expected

    def alone(self, steps: np.ndarray, channel: int) -> Expected:
        """Expect single cells of a channel, each as if it alone were hidden; of shape (step,)."""
        rows = torch.arange(len(steps))
        found = Expected(*(self.values.new_full((len(steps),), torch.nan) for _ in range(3)))
        if self.windows is None:
            return found
        length = self.windows.length
        starts = (torch.from_numpy(steps) - length // 2).clamp(0, len(self.values) - length)
        positions = torch.from_numpy(steps) - starts
        values, given = (
            each.unfold(0, length, 1)[starts].clone() for each in (self.values, self.observed)
        )
        values[rows, channel, positions], given[rows, channel, positions] = 0.0, False
        masks, which = given.unique(dim=0, return_inverse=True)
        for number, mask in enumerate(masks):
            own = rows[which == number]
            for whole, part in zip(found, self.windows.expect(values[own], mask), strict=True):
                whole[own] = part[torch.arange(len(own)), channel, positions[own]]
        return found


class _WindowIntervals:
    """Expectations of windows of one length, with what was learned of the masks seen before."""

    def __init__(self, imputer: WindowImputer):
        self.imputer, self.length = imputer, imputer.length
        self.learned: dict[bytes, tuple[Stack, Tensor, Tensor]] = {}

    @classmethod
    def of(cls, model: WindowModel, n_steps: int) -> "_WindowIntervals | None":
        """Windows as long as the segment and a regression across channels allow, None if none."""
        n_channels = len(model.names)
        most = min(tuned.MAX_LENGTH, max(tuned.LEAST_LENGTH, tuned.MAX_GAUSSIAN // n_channels))
        fitting = [bank for bank in model.shape_banks if bank.length <= n_steps]
        if not fitting:
            return None
        bank = ([bank for bank in fitting if bank.length <= most] or fitting[:1])[-1]
        size = n_channels, tuned.INTERVAL_WINDOWS, tuned.INTERVAL_TRIALS
        return model.derived(("intervals", bank.length), lambda: cls(WindowImputer(bank, *size)))

    def expect(
        self, values: Float[Tensor, "window channel time"], given: Bool[Tensor, "channel time"]
    ) -> Expected:
        stack, low, high = self._learn(given)
        mean = self.imputer.mean(values, given, stack)
        return Expected(mean, mean + low, mean + high)

    def _learn(self, given: Tensor) -> tuple[Stack, Tensor, Tensor]:
        """Weights of the guesses, and how far the value may lie below and above their mean."""
        mask = given.numpy().tobytes()
        if (known := self.learned.get(mask)) is not None:
            return known
        stack = self.imputer.weigh(given)
        n = len(stack.residuals)
        # A further value falls below the k-th of n with probability k / (n + 1).
        tail = max(0.0, (tuned.TAIL * (n + 1) - 1) / max(1, n - 1))
        ends = torch.tensor([tail, 1 - tail]).to(stack.residuals)
        low, high = stack.residuals.quantile(ends, dim=0)
        if len(self.learned) >= MASKS_KEPT:
            self.learned = {}
        self.learned[mask] = found = stack, low.clamp(max=0), high.clamp(min=0)
        return found
