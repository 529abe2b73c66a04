"""Scoring steps one after the other, with the same scores as a batch."""

from collections import deque

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.encoding.panel import Stretch
from anomdiff.reference.segments import Piece

# Windows of a stream that a voice judges together, where steps wait for longer windows anyway.
AT_ONCE = 16


class Streams:
    """The streams of a detector's series.

    Parameters
    ----------
    detector : TimeSeriesDetector
        A fitted detector.
    """

    def __init__(self, detector):
        self.detector = detector
        self.layout = detector.layout_
        self.streams: dict = {}
        self.n_rows = 0
        labels = [name for name in (self.layout.series, self.layout.time) if name is not None]
        self.nothing = pd.DataFrame(columns=labels)

    def push(self, rows) -> pd.DataFrame:
        """See ``TimeSeriesDetector.score_next``."""
        numbered = not isinstance(rows, pd.DataFrame | pd.Series)
        frame = self.detector._check(rows, reset=False, by_name=True)
        if numbered:
            frame.index = range(self.n_rows, self.n_rows + len(frame))
        parts = self.layout.read(frame)
        self._require_order(parts)
        self.n_rows += len(frame)
        labels = pd.DataFrame(self.layout.labels(frame), index=frame.index)
        self.nothing = labels.iloc[:0]
        return self._lay_out([step for part in parts for step in self._push_part(part, labels)])

    def finish(self) -> pd.DataFrame:
        """See ``TimeSeriesDetector.finish``."""
        return self._lay_out([step for stream in self.streams.values() for step in stream.finish()])

    def _require_order(self, parts: list[Stretch]) -> None:
        """Refuse all rows, before any is taken, if one comes late."""
        for part in parts:
            stream = self.streams.get(part.series)
            if stream and stream.time_to(part) <= 0:
                of = "" if part.series is None else f" of series {part.series!r}"
                raise ValueError(
                    f"need rows{of} in the order of their time; a moment came twice or late."
                )

    def _push_part(self, part: Stretch, labels: pd.DataFrame) -> list:
        """Take the next steps of a series; return the steps that have become final."""
        stream, scored = self.streams.get(part.series), []
        if stream and self.layout.is_gap(stream.time_to(part)):
            stream, scored = None, stream.finish()
        if not stream:
            familiar = self.detector.encoder_.is_familiar(part)
            stream = self.streams[part.series] = _Stream(self.detector, familiar)
        return scored + stream.push(part, labels)

    def _lay_out(self, scored: list) -> pd.DataFrame:
        """Frame of final steps."""
        rows = [labels for labels, _, _ in scored] or [self.nothing]
        labels = pd.concat(rows) if len(rows) > 1 else rows[0]
        scores = np.array([score for _, score, _ in scored])
        return self.detector._laid_out(labels, scores, [channel for _, _, channel in scored])


class _Stream:
    """The end of one series: what steps that are still to come can change."""

    def __init__(self, detector, familiar: bool):
        self.detector = detector
        voices = detector._voices(familiar)
        self.keep = max(voice.length for voice in voices)
        nothing = torch.zeros(0, len(detector.encoder_.names), dtype=torch.float64)
        self.steps = Piece(nothing, nothing.bool(), 0)  # the last ``keep`` of the series
        self.voices = [_Voice(voice, self.keep, turn, nothing) for turn, voice in enumerate(voices)]
        self.waiting: deque = deque()  # labels of the steps without a final score
        self.moment = None

    @property
    def n_steps(self) -> int:
        """Steps that have come."""
        return self.steps.place + len(self.steps)

    def time_to(self, part: Stretch) -> float:
        """Time from the last step to the first of a part; NaN where rows are only in order."""
        if self.moment is None or part.moments is None:
            return np.nan
        return part.moments[0] - self.moment

    def push(self, part: Stretch, labels: pd.DataFrame) -> list:
        """Take the next steps; return the steps that have become final."""
        first = self.n_steps - len(self.waiting)
        self.steps = _joined(self.steps, self.detector._piece(part))
        self.waiting.extend(labels.iloc[[row]] for row in part.rows)
        self.moment = None if part.moments is None else part.moments[-1]
        for voice in self.voices:
            if self.n_steps >= voice.due:
                voice.judge(self.steps, first)
        self.steps = self.steps.cut(max(0, len(self.steps) - self.keep), len(self.steps))
        return self._final(len(self.waiting) - self.keep + 1)

    def finish(self) -> list:
        """Return all waiting steps: nothing more will come."""
        for voice in self.voices:
            voice.judge(self.steps, self.n_steps - len(self.waiting))
        return self._final(len(self.waiting))

    def _final(self, n: int) -> list:
        """Score the steps that have waited longest."""
        if n <= 0:
            return []
        first = self.n_steps - len(self.waiting)
        folded = [torch.stack([v.fold(first + i) for i in range(n)]) for v in self.voices]
        scores, blame = self.detector.calibration_.score(torch.stack(folded))
        names = self.detector.encoder_.names
        channels = [names[i] for i in blame.argmax(1).tolist()]
        labels = [self.waiting.popleft() for _ in range(n)]
        return list(zip(labels, scores.tolist(), channels, strict=True))


class _Voice:
    """What a voice says of the end of a series.

    A step waits for the longest windows that cover it. Shorter ones can wait too, and be judged
    some at once, which costs little more than one; the voices take turns.
    """

    def __init__(self, voice, keep: int, turn: int, nothing: Tensor):
        self.voice = voice
        self.at_once = min(AT_ONCE, keep - voice.length + 1)
        self.due = voice.length + turn % self.at_once  # number of steps at which to judge
        self.energies = nothing  # of the windows that can count for a waiting step
        self.first = 0  # place of the first of these windows

    def judge(self, steps: Piece, waiting: int) -> None:
        """Judge all new windows; forget those that no step from ``waiting`` on needs."""
        start, n_steps = self.first + len(self.energies), steps.place + len(steps)
        if n_steps - start < self.voice.length:
            return
        new = steps.cut(start - steps.place, len(steps))
        energies = self.voice.energies(new.values, new.observed)
        gone = max(0, waiting + self.voice.offsets[0] - self.first)
        self.energies = torch.cat([self.energies[gone:], energies])
        self.first += gone
        self.due = n_steps + self.at_once

    def fold(self, step: int) -> Tensor:
        """Mean energy of the windows that count for a step; NaN where there is none."""
        first, stop = (max(0, step + offset - self.first) for offset in self.voice.offsets)
        return self.energies[first:stop].nanmean(0)


def _joined(steps: Piece, new: Piece) -> Piece:
    values = torch.cat([steps.values, new.values])
    return Piece(values, torch.cat([steps.observed, new.observed]), steps.place)
