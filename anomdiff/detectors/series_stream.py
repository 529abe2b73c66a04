"""Scoring the steps of one series as they come, each component by itself."""

from collections import deque
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.encoding.segment import Segment
from anomdiff.models.judged_steps import StepCells, step_cells
from anomdiff.models.segment_errors import values_of
from anomdiff.models.window_model import WindowModel
from anomdiff.reference.sliding_windows import WindowComponent, fold_residuals
from anomdiff.scoring.frozen_runs import run_lengths

__all__ = ["Final", "SeriesStream"]

# Windows of a stream that a component scores together, where steps wait for longer windows anyway.
AT_ONCE = 16
# Last steps of which it is not seen yet whether they are off themselves, or the windows around.
UNDECIDED = 16
# Labels, score, whether it is off itself, and channel of a step whose score is final; NaN, False
# and None of one that is not judged.
Final = tuple[pd.DataFrame, float, bool, object]


class SeriesStream:
    """The end of one series: what steps that are still to come can change."""

    def __init__(self, model: WindowModel, first: Segment[Tensor]):
        self.model = model
        windows = model.window_components(first.known)
        components = [*windows, *model.step_components(first.known)]
        self.n_windows = len(windows)
        self.keep = max(component.length for component in components)
        self.steps = replace(first.slice(0, 0), start=0)  # the last ``keep`` of the series
        self.components = [
            _ComponentStream(component, self.keep, turn, self.steps.values)
            for turn, component in enumerate(components)
        ]
        # Labels of the steps without a final score: those of a push, and the row there.
        self.waiting: deque[tuple[pd.DataFrame, int]] = deque()
        self.time: float | None = None
        # What components say of the steps from ``first`` on that others are judged with.
        self.first, self.errors, self.residuals = 0, list[Tensor](), list[Tensor]()
        # How many values are equal up to each step from ``first`` on, and the last values.
        self.runs = run_lengths(self.steps.values)
        self.last: Tensor | None = None

    @property
    def n_steps(self) -> int:
        """Steps that have come."""
        return self.steps.start + len(self.steps)

    @property
    def n_known(self) -> int:
        """Steps of which the components have said what they can."""
        return self.first + sum(part.shape[1] for part in self.errors)

    def time_to(self, segment: Segment) -> float:
        """Time from the last step to the first of a segment; NaN where rows are only in order."""
        if self.time is None or segment.times is None:
            return np.nan
        return segment.times[0] - self.time

    def is_before(self, time: float) -> bool:
        """Tell whether the last step was before a time."""
        return self.time is not None and self.time < time

    def push(self, segment: Segment[Tensor], labels: pd.DataFrame) -> list[Final]:
        """Take the next steps; return the steps that have become final."""
        self.steps = _joined(self.steps, segment)
        self._count_runs(values_of(segment))
        own = labels.iloc[segment.rows]
        self.waiting.extend((own, row) for row in range(len(own)))
        self.time = None if segment.times is None else segment.times[-1]
        for component in self.components:
            if self.n_steps >= component.due:
                component.score(self.steps, self.n_known)
        self.steps = self.steps.slice(max(0, len(self.steps) - self.keep), len(self.steps))
        return self._final(self.n_steps - self.keep + 1, ended=False)

    def _count_runs(self, values: Tensor) -> None:
        """Go on counting the equal values."""
        so_far = self.runs[-1] if len(self.runs) else None
        self.runs = torch.cat([self.runs, run_lengths(values, self.last, so_far)])
        self.last = values[-1:]

    def provisional(self, n: int) -> list[Final]:
        """Score those of the last ``n`` steps that wait, as if nothing more were to come.

        Of the very last, those count as off themselves too that are far from all normal steps, or
        have high errors of short windows: the long ones that tell are still to come.
        """
        n = min(n, len(self.waiting))
        if not n:
            return []
        for component in self.components:
            component.score(self.steps, self.n_known)
        errors, residuals = (torch.cat(each, 1) for each in self._known_up_to(self.n_steps))
        first = self.n_steps - n
        start = self.model.first_needed(first) - self.first
        judged = self.model.combine(errors[:, start:], residuals[:, start:], self.runs[start:])
        cells = step_cells(*judged, self.model.names)
        undecided = slice(max(start, errors.shape[1] - UNDECIDED), None)
        recent = self.model.are_off_now(
            errors[:, undecided], residuals[:, undecided], UNDECIDED
        ).numpy()
        cells.evident[-len(recent) :] |= recent & ~np.isnan(cells.scores[-len(recent) :])
        rows = [self.waiting[place] for place in range(len(self.waiting) - n, len(self.waiting))]
        return self._finals(rows, cells, first - self.first - start)

    def finish(self) -> list[Final]:
        """Return all waiting steps: nothing more will come."""
        for component in self.components:
            component.score(self.steps, self.n_known)
        return self._final(self.n_steps, ended=True)

    def _final(self, stop: int, ended: bool) -> list[Final]:
        """Score the steps that are final once the components have spoken of those up to stop."""
        first = self.n_steps - len(self.waiting)
        last = self.model.last_final(max(0, stop), ended)
        if last <= first:
            return []
        self.errors, self.residuals = self._known_up_to(stop)
        errors, residuals = torch.cat(self.errors, 1), torch.cat(self.residuals, 1)
        cells = step_cells(
            *self.model.combine(errors, residuals, self.runs[: errors.shape[1]]), self.model.names
        )
        waited = [self.waiting.popleft() for _ in range(last - first)]
        final = self._finals(waited, cells, first - self.first)
        self._forget(self.model.first_needed(last))
        return final

    def _finals(self, rows: list, cells: StepCells, start: int) -> list[Final]:
        """Put the labels of some steps beside what was found about them, from place ``start``."""
        part = slice(start, start + len(rows))
        labels = [own.iloc[[row]] for own, row in rows]
        return list(zip(labels, *(each[part].tolist() for each in cells), strict=True))

    def _known_up_to(self, stop: int) -> tuple[list[Tensor], list[Tensor]]:
        """Parts of what the components say of the steps from ``first`` up to ``stop``, folded."""
        start = self.n_known
        if stop <= start:
            return self.errors, self.residuals
        found = [each.fold(start, stop) for each in self.components]
        errors = torch.stack([errors for errors, _ in found[: self.n_windows]])
        several = [each for _, residuals in found for each in residuals]
        nothing = errors.new_zeros(0, *errors.shape[1:])
        new = torch.stack(several) if several else nothing
        return [*self.errors, errors], [*self.residuals, new]

    def _forget(self, first: int) -> None:
        """Forget the steps before one, which no other is judged with any more."""
        gone = first - self.first
        self.errors = [torch.cat(self.errors, 1)[:, gone:]]
        self.residuals = [torch.cat(self.residuals, 1)[:, gone:]]
        self.runs = self.runs[gone:]
        self.first = first


class _ComponentStream:
    """Errors of one component at the end of a series.

    A step waits for the longest windows that cover it. Shorter ones can wait too, and be scored
    some at once, which costs little more than one; the components take turns.
    """

    def __init__(self, component: WindowComponent, keep: int, turn: int, nothing: Tensor):
        self.component = component
        self.at_once = min(AT_ONCE, keep - component.length + 1)
        self.due = component.length + turn % self.at_once  # number of steps at which to score
        self.errors = nothing  # of the windows that can count for a step to come
        self.residuals = nothing[:, :, None].expand(-1, -1, len(component.places)).float()
        self.first = 0  # first step of the first of these windows

    def score(self, steps: Segment[Tensor], known: int) -> None:
        """Score all new windows; forget those that no step from ``known`` on needs."""
        start, n_steps = self.first + len(self.errors), steps.start + len(steps)
        if n_steps - start < self.component.length:
            return
        new = steps.slice(start - steps.start, len(steps))
        errors, residuals = self.component.judge(new.values, new.observed)
        gone = max(0, known + 1 - self.component.length - self.first)
        self.errors = torch.cat([self.errors[gone:], errors])
        self.residuals = torch.cat([self.residuals[gone:], residuals])
        self.first += gone
        self.due = n_steps + self.at_once

    def fold(self, start: int, stop: int) -> tuple[Tensor, list[Tensor]]:
        """Mean error and residuals of the steps from ``start`` up to ``stop``; NaN for none."""
        length = self.component.length
        first = max(self.first, start + 1 - length)
        part = slice(first - self.first, stop - self.first)
        errors, residuals = self.errors[part], self.residuals[part]
        n_steps = stop - start
        if not len(errors):
            missing = errors.new_full((n_steps, errors.shape[1]), torch.nan)
            return missing, [missing] * len(self.component.shares)
        places, shares = self.component.places, self.component.shares
        folded = [fold_residuals(residuals, places, share) for share in shares]
        several = [self.component.fold(errors), *folded]
        mean, *rest = [_cut(each, start - first, n_steps) for each in several]
        return mean, rest


def _cut(values: Tensor, start: int, n_steps: int) -> Tensor:
    """Some steps; NaN beyond the last."""
    found = values.new_full((n_steps, values.shape[1]), torch.nan, dtype=torch.float64)
    part = values[start : start + n_steps]
    found[: len(part)] = part
    return found


def _joined(steps: Segment[Tensor], new: Segment[Tensor]) -> Segment[Tensor]:
    return replace(
        steps,
        rows=np.concatenate([steps.rows, new.rows]),
        values=torch.cat([steps.values, new.values]),
        observed=torch.cat([steps.observed, new.observed]),
        times=None,
        mean=None,
        std=None,
    )
