"""Scoring steps one after the other, with the same scores as a batch."""

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.encoding.segment import Segment
from anomdiff.models.judged_steps import step_cells, warn_of_unjudged
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
# Last steps of a series, in time, that are warned of if most are other steps than in training.
ENOUGH_STEPS = 16

# Labels, score, whether it is off itself, and channel of a step whose score is final; NaN, False
# and None of one that is not judged.
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
        self.warned = False  # of steps that are not judged
        names = [name for name in (self.layout.series, self.layout.time) if name is not None]
        self.nothing = pd.DataFrame(columns=names)

    def push(self, frame: pd.DataFrame, numbered: bool) -> FinalSteps:
        """Take the next rows, number them if asked to; return the steps that have become final."""
        if numbered:
            frame = frame.set_axis(range(self.n_rows, self.n_rows + len(frame)))
        segments = [self._new_steps(segment) for segment in self.layout.read(frame)]
        segments = [segment for segment in segments if len(segment)]
        self._require_order(segments)
        self.n_rows += len(frame)
        labels = pd.DataFrame(self.layout.labels(frame), index=frame.index)
        self.nothing = labels.iloc[:0]
        final = [step for segment in segments for step in self._push_segment(segment, labels)]
        used = np.concatenate([np.empty(0, int), *(segment.rows for segment in segments)])
        nothing = [
            (labels.iloc[[row]], np.nan, False, None)  # of rows that share the time of another
            for row in np.setdiff1d(np.arange(len(frame)), used).tolist()
        ]
        times = [segment.times[-1] for segment in segments if segment.times is not None]
        self.recent += [max(times)] if times else []
        return self._laid_out(final + self._end_series(), nothing)

    def finish(self) -> FinalSteps:
        """Return all waiting steps: nothing more will come."""
        return self._laid_out(
            [step for stream in self.streams.values() for step in stream.finish()]
        )

    def _new_steps(self, segment: Segment[np.ndarray]) -> Segment[np.ndarray]:
        """Leave out a first step that repeats the last time, where the first row of a time counts.

        A step that came cannot be replaced by a later row, nor by a mean with it.
        """
        stream = self.streams.get(segment.series)
        repeated = stream is not None and stream.time_to(segment) == 0
        return segment.slice(int(repeated and self.layout.duplicate_times == "first"), len(segment))

    def _require_order(self, segments: list[Segment[np.ndarray]]) -> None:
        """Refuse all rows, before any is taken, if one comes late."""
        for segment in segments:
            stream = self.streams.get(segment.series)
            if stream and stream.time_to(segment) <= 0:
                of = "" if segment.series is None else f" of series {segment.series!r}"
                raise ValueError(
                    f"need rows{of} in the order of their time; a time came twice or late: pass "
                    "rows of one time together, or set duplicate_times='first'."
                )

    def _push_segment(self, segment: Segment[np.ndarray], labels: pd.DataFrame) -> list[Final]:
        """Take the next steps of a series; return the steps that have become final."""
        stream, final = self.streams.get(segment.series), list[Final]()
        self.steps.count(segment, stream.time_to(segment) if stream else np.nan)
        if stream and self.layout.steps.is_gap(stream.time_to(segment), segment.series):
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
            now, behind = np.median(self.recent), BEHIND * (self.model.delay + 1)
            ended = [
                label
                for label, stream in self.streams.items()
                if stream.is_before(now - behind * (self.layout.steps.of(label) or 0.0))
            ]
        else:
            ended = list(self.streams)[: -max(MOST_SERIES, 2 * len(self.model.scaler.scales))]
        for label in ended:
            self.steps.forget(label)
        return [step for each in ended for step in self.streams.pop(each).finish()]

    def _laid_out(self, final: list[Final], further: Sequence[Final] = ()) -> FinalSteps:
        self._warn_of_unjudged(final)
        final = [*final, *further]
        rows = [labels for labels, *_ in final] or [self.nothing]
        labels = pd.concat(rows) if len(rows) > 1 else rows[0]
        scores = np.array([score for _, score, _, _ in final])
        evident = np.array([own for _, _, own, _ in final], dtype=bool)
        return labels, scores, evident, [channel for *_, channel in final]

    def _warn_of_unjudged(self, final: list[Final]) -> None:
        """Warn of steps that are not judged, once for a stream."""
        unjudged = np.array([np.isnan(score) for _, score, _, _ in final], dtype=bool)
        if unjudged.any() and not self.warned:
            self.warned = True
            labels = pd.concat([labels for labels, *_ in final])
            warn_of_unjudged(self.layout, labels, unjudged, min(self.model.window_lengths))


class _StepCheck:
    """Warns of series whose steps are not as far apart as in training, once of each."""

    def __init__(self, model: WindowModel):
        self.layout = model.layout
        self.recent: dict[object, deque[float]] = {}  # differences of the times of each series
        self.warned: set[object] = set()

    def count(self, segment: Segment[np.ndarray], time_to: float) -> None:
        """Count the steps to and in a segment."""
        label = segment.series
        if segment.times is None or label in self.warned:
            return
        steps = np.append(time_to, np.diff(segment.times))
        recent = self.recent.setdefault(label, deque(maxlen=ENOUGH_STEPS))
        recent.extend(steps[~np.isnan(steps)])
        step = self.layout.steps.other(label, np.array(recent))
        if step is not None and len(recent) == ENOUGH_STEPS:
            self.warned.add(label)
            warnings.warn(self.layout.told_of_step(label, step), UserWarning, stacklevel=5)

    def forget(self, label: object) -> None:
        """Forget a series that has ended."""
        self.recent.pop(label, None)
        self.warned.discard(label)


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
        cells = step_cells(*self.model.combine(errors, residuals), self.model.names)
        part = slice(first - self.first, last - self.first)
        waited = [self.waiting.popleft() for _ in range(last - first)]
        labels = [own.iloc[[row]] for own, row in waited]
        self._forget(self.model.first_needed(last))
        return list(zip(labels, *(each[part].tolist() for each in cells), strict=True))

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
    )
