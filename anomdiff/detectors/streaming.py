"""Scoring steps one after the other, with the same scores as a batch."""

from collections import deque

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.detectors.window_parts import Piece
from anomdiff.encoding.panel import Stretch


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
        parts, labels = self.layout.read(frame), self.layout.labels(frame)
        moments = self.layout.moments(frame)
        if moments is None:
            moments = np.full(len(frame), None)
        self._require_order(parts, moments)
        self.n_rows += len(frame)
        self.nothing = labels.iloc[:0]
        scored = []
        for part in parts:
            for place, row in enumerate(part.rows):
                step = Stretch(part.series, part.rows[[place]], part.values[[place]])
                scored += self._push_step(step, labels.iloc[[row]], moments[row])
        return self._lay_out(scored)

    def finish(self) -> pd.DataFrame:
        """See ``TimeSeriesDetector.finish``."""
        return self._lay_out([row for stream in self.streams.values() for row in stream.finish()])

    def _require_order(self, parts: list[Stretch], moments: np.ndarray) -> None:
        """Refuse all rows, before any is taken, if one comes late."""
        for part in parts:
            stream, first = self.streams.get(part.series), part.rows[0]
            if stream and stream.moment is not None and moments[first] is not None:
                if moments[first] <= stream.moment:
                    of = "" if part.series is None else f" of series {part.series!r}"
                    raise ValueError(
                        f"need rows{of} in the order of their time; a moment came twice or late."
                    )

    def _push_step(self, step: Stretch, labels: pd.DataFrame, moment) -> list:
        """Take one step; return the steps that have become final."""
        stream, scored = self.streams.get(step.series), []
        if stream and stream.jumps(moment):
            scored = stream.finish()
        if not stream or stream.jumps(moment):
            stream = self.streams[step.series] = _Stream(self.detector)
        return scored + stream.push(step, labels, moment)

    def _lay_out(self, scored: list) -> pd.DataFrame:
        """Frame of final steps."""
        frame = pd.concat([labels for labels, _, _ in scored]) if scored else self.nothing
        scores = np.array([score for _, score, _ in scored])
        return self.detector._laid_out(frame, scores, [channel for _, _, channel in scored])


class _Stream:
    """The end of one series: what steps that are still to come can change."""

    def __init__(self, detector):
        self.detector = detector
        self.voices = detector._voices()
        self.keep = max(voice.length for voice in self.voices)
        self.steps = None  # the last ``keep`` encoded steps
        self.n_steps = 0
        self.waiting: deque = deque()  # labels of the steps without a final score
        # Energies of the windows that can still cover a waiting step, by voice.
        self.energies = [deque(maxlen=self.keep + voice.length) for voice in self.voices]
        self.moment = None

    def jumps(self, moment) -> bool:
        """Whether the next moment begins a new stretch."""
        if moment is None or self.moment is None:
            return False
        return self.detector.layout_.is_gap(moment - self.moment)

    def push(self, stretch: Stretch, labels: pd.DataFrame, moment) -> list:
        """Take one step; return the step that has become final, if any."""
        values, observed = (torch.from_numpy(p) for p in self.detector.encoder_.encode(stretch))
        piece = self.steps
        if piece is not None:
            values = torch.cat([piece.values, values])[-self.keep :]
            observed = torch.cat([piece.observed, observed])[-self.keep :]
        self.steps = Piece(values, observed, 0)
        self.n_steps += 1
        self.moment = moment
        self.waiting.append(labels)
        for voice, energies in zip(self.voices, self.energies, strict=True):
            if self.n_steps >= voice.length:
                last = slice(-voice.length, None)
                energies.append(voice.energies(values[last], observed[last])[0])
        return [self._final()] if len(self.waiting) == self.keep else []

    def finish(self) -> list:
        """Return all waiting steps: nothing more will come."""
        return [self._final() for _ in range(len(self.waiting))]

    def _final(self) -> tuple:
        """Score the step that has waited longest."""
        step = self.n_steps - len(self.waiting)
        folded = [self._fold(v, e, step) for v, e in zip(self.voices, self.energies, strict=True)]
        score, blame = self.detector.calibration_.score(torch.stack(folded)[:, None])
        channel = self.detector.encoder_.names[int(blame[0].argmax())]
        return self.waiting.popleft(), float(score[0]), channel

    def _fold(self, voice, energies: deque, step: int) -> Tensor:
        """Mean energy of the windows that count for a step."""
        gone = max(0, self.n_steps - voice.length + 1) - len(energies)
        first, stop = (step + offset - gone for offset in voice.offsets)
        counted = [energies[i] for i in range(max(0, first), min(stop, len(energies)))]
        if not counted:
            return torch.full_like(self.steps.values[0], torch.nan)
        return torch.stack(counted).nanmean(0)
