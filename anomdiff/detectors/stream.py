"""Scoring steps one after the other, with the same scores as a batch."""

from collections import deque
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.encoding.segment import Segment
from anomdiff.models.judged_steps import warn_of_other_step
from anomdiff.models.window_model import WindowModel
from anomdiff.reference.segments import as_tensors
from anomdiff.reference.sliding_windows import WindowComponent, fold_residuals

__all__ = ["PanelStream"]

# Windows of a stream that a component scores together, where steps wait for longer windows anyway.
AT_ONCE = 16
# Series that are kept open however long ago their last step was; beyond them, those end that are
# behind the others by so many of the longest windows. In streams without times nobody is behind:
# there, of so many open series, the one ends whose last row came first.
OPEN_SERIES, BEHIND, MOST_SERIES = 64, 4, 10_000
# Pushes whose median time says how far the stream is: one clock that is wrong ends no series.
RECENT = 15
# Steps, in time, after which a stream is warned of if most are other steps than in training.
ENOUGH_STEPS = 16

# Labels, score, whether it is off itself, and channel of a step whose score is final.
Final = tuple[pd.DataFrame, float, bool, object]
# The same of many steps: frame of labels, scores, flags, channels.
FinalSteps = tuple[pd.DataFrame, np.ndarray, np.ndarray, list]


class PanelStream:
    """The streams of a panel's series.

    Parameters
    ----------
    model : WindowModel
        Fitted.
    """

    def __init__(self, model: WindowModel):
        self.model, self.layout = model, model.layout
        self.streams: dict[object, _SeriesStream] = {}
        self.n_rows = 0
        self.recent: deque[float] = deque(maxlen=RECENT)  # times up to which pushes came
        self.steps = _StepCheck(model)
        names = [name for name in (self.layout.series, self.layout.time) if name is not None]
        self.nothing = pd.DataFrame(columns=names)

    def push(self, frame: pd.DataFrame, numbered: bool) -> FinalSteps:
        """Take the next rows, number them if asked to; return the steps that have become final."""
        if numbered:
            frame = frame.set_axis(range(self.n_rows, self.n_rows + len(frame)))
        segments = self.layout.read(frame)
        self._require_order(segments)
        self.n_rows += len(frame)
        labels = pd.DataFrame(self.layout.labels(frame), index=frame.index)
        self.nothing = labels.iloc[:0]
        final = [step for segment in segments for step in self._push_segment(segment, labels)]
        times = [segment.times[-1] for segment in segments if segment.times is not None]
        self.recent += [max(times)] if times else []
        return self._laid_out(final + self._end_series())

    def finish(self) -> FinalSteps:
        """Return all waiting steps: nothing more will come."""
        return self._laid_out(
            [step for stream in self.streams.values() for step in stream.finish()]
        )

    def _require_order(self, segments: list[Segment[np.ndarray]]) -> None:
        """Refuse all rows, before any is taken, if one comes late."""
        for segment in segments:
            stream = self.streams.get(segment.series)
            if stream and stream.time_to(segment) <= 0:
                of = "" if segment.series is None else f" of series {segment.series!r}"
                raise ValueError(
                    f"need rows{of} in the order of their time; a time came twice or late."
                )

    def _push_segment(self, segment: Segment[np.ndarray], labels: pd.DataFrame) -> list[Final]:
        """Take the next steps of a series; return the steps that have become final."""
        stream, final = self.streams.get(segment.series), list[Final]()
        self.steps.count(segment, stream.time_to(segment) if stream else np.nan)
        if stream and self.layout.is_gap(stream.time_to(segment)):
            final, stream = stream.finish(), None
        encoded = as_tensors(self.model.scaler.encode(segment))
        stream = stream or _SeriesStream(self.model, encoded)
        if segment.times is None:  # the series that has waited longest comes first
            self.streams.pop(segment.series, None)
        self.streams[segment.series] = stream
        return final + stream.push(encoded, labels)

    def _end_series(self) -> list[Final]:
        """End the series that nothing more will come of; return their waiting steps."""
        if len(self.streams) <= OPEN_SERIES:
            return []
        if self.recent and self.layout.step:
            late = np.median(self.recent) - BEHIND * (self.model.delay + 1) * self.layout.step
            ended = [each for each, stream in self.streams.items() if stream.is_before(late)]
        else:
            ended = list(self.streams)[: -max(MOST_SERIES, 2 * len(self.model.scaler.scales))]
        return [step for each in ended for step in self.streams.pop(each).finish()]

    def _laid_out(self, final: list[Final]) -> FinalSteps:
        rows = [labels for labels, *_ in final] or [self.nothing]
        labels = pd.concat(rows) if len(rows) > 1 else rows[0]
        scores = np.array([score for _, score, _, _ in final])
        evident = np.array([own for _, _, own, _ in final], dtype=bool)
        return labels, scores, evident, [channel for *_, channel in final]


class _StepCheck:
    """Warns once of a stream whose steps are not as far apart as in training."""

    def __init__(self, model: WindowModel):
        self.layout = model.layout
        self.n_steps = self.n_other = 0
        self.warned = False

    def count(self, segment: Segment[np.ndarray], time_to: float) -> None:
        """Count the steps to and in a segment."""
        if segment.times is None or self.warned:
            return
        steps = np.append(np.diff(segment.times), time_to)
        steps = steps[~np.isnan(steps)]
        other = steps[self.layout.is_other_step(steps)]
        self.n_steps, self.n_other = self.n_steps + len(steps), self.n_other + len(other)
        if len(other) and self.n_steps >= ENOUGH_STEPS and 2 * self.n_other > self.n_steps:
            self.warned = True
            warn_of_other_step(self.layout, float(np.median(other)))


class _SeriesStream:
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
        own = labels.iloc[segment.rows]
        self.waiting.extend((own, row) for row in range(len(own)))
        self.time = None if segment.times is None else segment.times[-1]
        for component in self.components:
            if self.n_steps >= component.due:
                component.score(self.steps, self.n_known)
        self.steps = self.steps.slice(max(0, len(self.steps) - self.keep), len(self.steps))
        return self._final(self.n_steps - self.keep + 1, ended=False)

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
        self._know(stop)
        errors, residuals = torch.cat(self.errors, 1), torch.cat(self.residuals, 1)
        judged = self.model.combine(errors, residuals)
        part = slice(first - self.first, last - self.first)
        names = [self.model.names[i] for i in judged.channels[part].tolist()]
        waited = [self.waiting.popleft() for _ in range(last - first)]
        labels = [own.iloc[[row]] for own, row in waited]
        self._forget(self.model.first_needed(last))
        found = judged.scores[part].tolist(), judged.evident[part].tolist()
        return list(zip(labels, *found, names, strict=True))

    def _know(self, stop: int) -> None:
        """Fold what the components say of the next steps, up to ``stop``."""
        start = self.n_known
        if stop <= start:
            return
        found = [each.fold(start, stop) for each in self.components]
        self.errors.append(torch.stack([errors for errors, _ in found[: self.n_windows]]))
        several = [each for _, residuals in found for each in residuals]
        nothing = self.errors[-1].new_zeros(0, *self.errors[-1].shape[1:])
        self.residuals.append(torch.stack(several) if several else nothing)

    def _forget(self, first: int) -> None:
        """Forget the steps before one, which no other is judged with any more."""
        gone = first - self.first
        self.errors = [torch.cat(self.errors, 1)[:, gone:]]
        self.residuals = [torch.cat(self.residuals, 1)[:, gone:]]
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
