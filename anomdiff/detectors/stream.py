"""Scoring steps one after the other, with the same scores as a batch."""

import warnings
from collections import deque
from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from anomdiff.detectors.series_stream import Final, SeriesStream
from anomdiff.encoding.segment import Segment
from anomdiff.models.judged_steps import warn_of_unjudged, warn_of_unknown
from anomdiff.models.window_model import WindowModel
from anomdiff.reference.segments import as_tensors

__all__ = ["PanelStream"]

# Series that are kept open however long ago their last step was; beyond them, those end that are
# behind the others by so many of the longest windows. In streams without times nobody is behind:
# there, of so many open series, the one ends whose last row came first.
OPEN_SERIES, BEHIND, MOST_SERIES = 64, 4, 10_000
# Open series that a message names.
SHOWN_SERIES = 5
# Pushes whose median time says how far the stream is: one clock that is wrong ends no series.
RECENT = 15
# Last steps of a series, in time, that are warned of if most are other steps than in training.
ENOUGH_STEPS = 16

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
        self.streams: dict[object, SeriesStream] = {}
        self.latest: dict[object, int] = {}  # steps of the last push, by series
        self.n_rows = 0
        self.recent: deque[float] = deque(maxlen=RECENT)  # times up to which pushes came
        self.steps = _StepCheck(model)
        self.warned = False  # of steps that are not judged
        self.warned_of_unknown = False  # series
        names = [name for name in (self.layout.series, self.layout.time) if name is not None]
        self.nothing = pd.DataFrame(columns=names)

    def push(self, frame: pd.DataFrame, numbered: bool) -> FinalSteps:
        """Take the next rows, number them if asked to; return the steps that have become final."""
        if numbered:
            frame = frame.set_axis(range(self.n_rows, self.n_rows + len(frame)))
        read = self.layout.read(frame)
        self.model.scaler.require_clock(frame)
        segments = [self._new_steps(segment) for segment in read]
        segments = [segment for segment in segments if len(segment)]
        self._require_order(segments)
        if not self.warned_of_unknown:
            self.warned_of_unknown = warn_of_unknown(self.model.scaler, segments)
        self.n_rows += len(frame)
        self.latest = {}
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

    def provisional(self) -> FinalSteps:
        """Return those steps of the last push that wait, as if nothing more were to come."""
        waiting = [(self.streams.get(label), n) for label, n in self.latest.items()]
        return self._laid_out(
            [step for stream, n in waiting if stream for step in stream.provisional(n)],
            are_final=False,
        )

    def finish(self) -> FinalSteps:
        """Return all waiting steps: nothing more will come."""
        return self._laid_out(
            [step for stream in self.streams.values() for step in stream.finish()]
        )

    def finish_series(self, series: object) -> FinalSteps:
        """Return the waiting steps of one series, which has ended."""
        if not isinstance(series, Hashable) or series not in self.streams:
            raise ValueError(f"{self._shown_open()}; got {series!r}.")
        return self._laid_out(self.streams.pop(series).finish())

    def _shown_open(self) -> str:
        """Say which series can be ended, if any."""
        opened, more = [*self.streams][:SHOWN_SERIES], len(self.streams) > SHOWN_SERIES
        if not opened:
            return "need a series that is open, but none is: call score_next or stream first"
        return f"need a series that is open, one of {opened}{' and more' if more else ''}"

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
            self.latest.pop(segment.series, None)
        encoded = as_tensors(self.model.scaler.encode(segment))
        stream = stream or SeriesStream(self.model, encoded)
        if segment.times is None:  # the series that has waited longest comes first
            self.streams.pop(segment.series, None)
        self.streams[segment.series] = stream
        self.latest[segment.series] = self.latest.get(segment.series, 0) + len(segment)
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

    def _laid_out(
        self, final: list[Final], further: Sequence[Final] = (), *, are_final: bool = True
    ) -> FinalSteps:
        if are_final:  # others may be judged yet
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
