"""The nearest normal series: change the fewest channels and steps that bring the scores down.

In each round the cells that an alarm is due to are replaced by what the rest of the series lets
one expect. What is taken back are the changes of one channel for one alarm: all of them, or else
those of cells near to what is expected.
"""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.conditional.intervals import ConditionalIntervals
from anomdiff.encoding.casting import holds_whole_numbers, write_cells
from anomdiff.encoding.segment import Segment
from anomdiff.explain.changed_frame import mutable_columns, warn_of_rest
from anomdiff.explain.counterfactuals import excess_over, search
from anomdiff.explain.localisation import anomalous_cells, runs, widened
from anomdiff.models.judged_steps import EVIDENT
from anomdiff.models.progress import progressed
from anomdiff.models.window_model import WindowModel
from anomdiff.thresholds.conformal import safely_below

__all__ = ["repair_steps"]

# How often further cells are changed for what is still flagged.
REPAIR_ROUNDS = 20


class SegmentState(NamedTuple):
    """A segment by now, the only item of the search; scores that do not count are -inf."""

    values: Float[Tensor, "step channel"]
    changed: Bool[Tensor, "step channel"]
    excess: Float[Tensor, "2"]
    scores: Float[Tensor, "step"]
    contributions: Float[Tensor, "step channel"]


class ChannelCells(NamedTuple):
    """What the channels can hold: mean and standard deviation by step, whether whole numbers."""

    mean: np.ndarray
    std: np.ndarray
    whole: np.ndarray

    def decoded(self, values: Tensor) -> np.ndarray:
        """Cells of scaled steps."""
        cells = values.numpy() * self.std + self.mean
        return np.where(self.whole, cells.round(), cells)

    def nearest(self, values: Tensor) -> Tensor:
        """Move scaled steps to the nearest ones that stand for cells."""
        return torch.from_numpy((self.decoded(values) - self.mean) / self.std)


def repair_steps(
    model: WindowModel,
    threshold: float,
    frame: pd.DataFrame,
    max_channels: int | None,
    immutable: str | Iterable[Hashable],
) -> pd.DataFrame:
    """Series with as few cells changed as make them normal; see ``TimeSeriesDetector.repair``.

    ``frame`` is checked; the cells that stay are its own.
    """
    channels = list(model.layout.channels)
    mutable = mutable_columns("channel", channels, model.names, max_channels, immutable)
    repaired = frame.copy()
    whole, n_flagged = [holds_whole_numbers(frame[name].dtype) for name in model.names], 0
    for segment in progressed(model.encode(frame), "repair", unit="series"):
        judged = model.judge(segment)[0]
        flagged = (judged.scores > threshold).numpy()
        n_flagged += int((flagged & judged.evident.numpy()).sum())
        for start, stop in _neighbourhoods(flagged, model.longest - 1):
            part, own = segment.slice(start, stop), flagged[start:stop]
            cells = ChannelCells(*model.scaler.scale_of(part), np.array(whole))
            changes = SegmentChanges(model, safely_below(threshold), part, own, cells)
            _write(repaired, model.names, part.rows, cells, changes.search(mutable, max_channels))
    if n_flagged:
        scores, extra = model.score_frame(repaired[model.columns_in])
        rest = (scores > threshold) & extra[EVIDENT]
        warn_of_rest("channel", n_flagged, repaired.index[rest].tolist())
    return repaired


class SegmentChanges:
    """Changes that a segment may make: cells of channels near its alarms.

    It holds the flagged steps and enough around them for every score that a change can change.
    """

    def __init__(
        self,
        model: WindowModel,
        goal: float,
        segment: Segment[Tensor],
        flagged: np.ndarray,
        cells: ChannelCells,
    ):
        self.model, self.goal, self.segment, self.cells = model, goal, segment, cells
        self.flagged, self.join = torch.from_numpy(flagged)[:, None], model.window_lengths[0]
        self.intervals = ConditionalIntervals(model, segment.values, segment.observed)
        # Further out, steps may lack windows that they have in the whole series.
        self.counted = widened(self.flagged, 2 * (model.longest - 1))[:, 0]
        self.start = self._state(segment.values, torch.zeros_like(segment.observed))
        self.alarms = runs(flagged, 0)
        self.alarm = _nearest(self.alarms, len(segment))

    def search(self, mutable: Tensor, max_channels: int | None) -> SegmentState:
        """The segment with the fewest flagged steps met, and no change that these do not need."""
        chosen = self._chosen(mutable, max_channels)
        allowed = chosen & widened(self.flagged, self.join) & self.segment.observed
        return search(self.start, [partial(self._further, allowed)], self._attempts, REPAIR_ROUNDS)

    def _chosen(self, mutable: Tensor, max_channels: int | None) -> Tensor:
        """Channels that may change at each step: those that contribute most to its alarm."""
        contributions = self.start.contributions
        total = torch.stack([contributions[slice(*alarm)].sum(0) for alarm in self.alarms])
        order = total.where(mutable, -1.0).argsort(dim=1, descending=True)
        chosen = torch.zeros_like(total, dtype=torch.bool)
        chosen.scatter_(1, order[:, :max_channels], True)
        return (chosen & mutable)[self.alarm]

    def _further(self, allowed: Tensor, state: SegmentState) -> SegmentState | None:
        """Change further cells for the worst alarm that is left and has any."""
        alarms = runs((state.scores > self.goal).numpy(), 0)
        for alarm in sorted(alarms, key=lambda alarm: -state.scores[slice(*alarm)].max()):
            for cells in self._suspected(allowed, state, alarm):
                if (cells & allowed & ~state.changed).any():
                    return self._filled(state.changed | (cells & allowed))
        return None

    def _suspected(self, allowed: Tensor, state: SegmentState, alarm: tuple) -> Iterator[Tensor]:
        """What an alarm is due to, then half as much on either side, then all of it."""
        intervals = ConditionalIntervals(self.model, state.values, self.segment.observed)
        cells = anomalous_cells(intervals, state.contributions * allowed, alarm, self.join)
        yield cells
        whole = torch.zeros_like(cells)
        whole[slice(*alarm)] = True
        cells = cells | (state.changed & whole)
        yield widened(cells, 1 + int(cells.sum(0).max()) // 2)
        yield whole

    def _attempts(self, state: SegmentState) -> Iterator[partial]:
        """Take back what a channel changed for an alarm, those first that contribute least."""
        near = self.intervals.hidden(state.changed).outside(self.segment.values) < 1
        for alarm in self.alarm.unique():
            own = state.changed & (self.alarm == alarm)[:, None]
            order = (self.start.contributions * own).sum(0).argsort()
            for channel in order[own.any(0)[order]]:
                cells = own & (torch.arange(own.shape[1]) == channel)
                yield partial(self._fewer, cells)
                yield partial(self._fewer, cells & near)

    def _fewer(self, cells: Tensor, state: SegmentState, accepted: Tensor) -> SegmentState:
        """Take back the changes of some cells."""
        cells = cells & state.changed
        if not cells.any():
            return state
        values = torch.where(cells, self.segment.values, state.values)
        return self._state(values, state.changed & ~cells)

    def _filled(self, changed: Tensor) -> SegmentState:
        """Replace cells by what is expected given the others."""
        expected = self.cells.nearest(self.intervals.hidden(changed).mean)
        return self._state(torch.where(changed, expected, self.segment.values), changed)

    def _state(self, values: Tensor, changed: Tensor) -> SegmentState:
        judged = self.model.judge(replace(self.segment, values=values))[0]
        scores, contributions = judged.scores, judged.contributions
        scores = scores.where(self.counted, -torch.inf)
        return SegmentState(values, changed, excess_over(self.goal, scores), scores, contributions)


def _neighbourhoods(flagged: np.ndarray, reach: int) -> list[tuple[int, int]]:
    """Parts of a segment with flagged steps and all that has to do with their scores."""
    near = [(a - 3 * reach - 1, b + 3 * reach + 1) for a, b in runs(flagged, 6 * reach + 2)]
    return [(max(a, 0), min(b, len(flagged))) for a, b in near]


def _nearest(alarms: list[tuple[int, int]], n_steps: int) -> Tensor:
    """Number of the alarm that is nearest to each step."""
    middles = torch.tensor([(a + b - 1) / 2 for a, b in alarms])
    return (torch.arange(n_steps)[:, None] - middles).abs().argmin(1)


def _write(repaired: pd.DataFrame, names: list, rows, cells: ChannelCells, found) -> None:
    """Write the changed cells into the frame."""
    new = cells.decoded(found.values).T
    for name, channel, changed in zip(names, new, found.changed.numpy().T, strict=True):
        if changed.any():
            write_cells(repaired, name, rows[changed], pd.Series(channel[changed]))
