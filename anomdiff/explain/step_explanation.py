"""Which channels and steps contribute to a step's score, and what could be expected there."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from anomdiff.conditional.draws import check_count
from anomdiff.conditional.intervals import ConditionalIntervals, Expected
from anomdiff.encoding.json_values import label_array
from anomdiff.encoding.segment import Segment
from anomdiff.explain.attribution import shares_of_score
from anomdiff.explain.localisation import anomalous_cells, nearest_run, runs
from anomdiff.models.parallel import map_blocks
from anomdiff.models.window_model import WindowModel

__all__ = ["explain_steps"]


class Explanation(NamedTuple):
    """What some steps' scores are due to; all arrays of shape (step, channel)."""

    contributions: np.ndarray  # shares of the score
    order: np.ndarray  # channels, those first that contribute most
    expected: np.ndarray  # in the units of the channels, NaN where not asked for, as these two:
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray  # bounds of the anomalous steps, as numbers of rows
    last: np.ndarray


def explain_steps(
    model: WindowModel,
    threshold: float,
    frame: pd.DataFrame,
    top: int | None,
    rows: ArrayLike | None,
) -> pd.DataFrame:
    """Contributions of the channels to each step's score; see ``TimeSeriesDetector.explain``.

    Consecutive steps that score above ``threshold`` are explained together.
    """
    check_count("top", top)
    asked = _asked(frame.index, rows)
    segments = [segment for segment in model.encode(frame) if asked[segment.rows].any()]
    found = map_blocks(lambda each: _explain(model, threshold, each, asked, top), segments)
    shape, kinds = (len(frame), len(model.names)), (float, int, float, float, float, int, int)
    whole = Explanation(*(np.zeros(shape, dtype=kind) for kind in kinds))
    for segment, explanation in zip(segments, found, strict=True):
        for to, each in zip(whole, explanation, strict=True):
            to[segment.rows] = each
    return _laid_out(model, frame, np.flatnonzero(asked), whole, top)


def _asked(index: pd.Index, rows: ArrayLike | None) -> np.ndarray:
    """Which rows are asked for, of shape (row,): all, by a mask, or by their labels."""
    if rows is None:
        return np.ones(len(index), dtype=bool)
    wanted = pd.Index(rows)
    if wanted.dtype == bool:
        if len(wanted) != len(index):
            raise ValueError(f"need rows as a mask of {len(index)} flags; got {len(wanted)}.")
        return wanted.to_numpy()
    if not (known := wanted.isin(index)).all():
        raise ValueError(f"need rows among the labels of X; got {wanted[~known].tolist()[:5]}.")
    return index.isin(wanted)


def _explain(model, threshold, segment, asked: np.ndarray, top: int | None) -> Explanation:
    """Explain some steps of a segment."""
    judged, known = model.judge(segment)
    scores, contributions = judged.scores.where(known, 0.0), judged.contributions
    order = np.argsort(-contributions.numpy(), axis=1, kind="stable")
    listed = np.zeros(order.shape, dtype=bool)
    np.put_along_axis(listed, order[:, :top], asked[segment.rows][:, None], axis=1)
    cells = ListedCells(model, segment, contributions, torch.from_numpy(listed))
    cells.explain(scores > threshold)
    mean, std = model.scaler.scale_of(segment)
    expected = (each.numpy() * std + mean for each in cells.expected)
    bounds = (segment.rows[each] for each in (cells.first, cells.last))
    return Explanation(shares_of_score(scores, contributions).numpy(), order, *expected, *bounds)


class ListedCells:
    """Bounds and expectations of the listed cells of a segment, of shape (step, channel)."""

    def __init__(self, model: WindowModel, segment: Segment, contributions: Tensor, listed: Tensor):
        self.join, self.contributions, self.listed = model.window_lengths[0], contributions, listed
        self.intervals = ConditionalIntervals(model, segment.values, segment.observed)
        unknown = torch.full_like(contributions, torch.nan)
        self.expected = Expected(unknown, unknown.clone(), unknown.clone())
        self.first = np.arange(len(listed))[:, None].repeat(listed.shape[1], axis=1)
        self.last = self.first.copy()

    def explain(self, flagged: Tensor) -> None:
        """Explain flagged steps alarm by alarm, each of the others by itself."""
        for alarm in runs(flagged.numpy(), 0):
            own = torch.zeros_like(self.listed)
            own[slice(*alarm)] = self.listed[slice(*alarm)]
            if own.any():
                self._explain_alarm(alarm, own)
        for channel, cells in enumerate((self.listed & ~flagged[:, None]).T.numpy()):
            if cells.any():
                steps = np.flatnonzero(cells)
                self._keep((steps, channel), self.intervals.alone(steps, channel))

    def _explain_alarm(self, alarm: tuple[int, int], own: Tensor) -> None:
        anomalous = anomalous_cells(self.intervals, self.contributions, alarm, self.join)
        inside, others = own & anomalous, own & ~anomalous
        if inside.any():
            self._keep_hidden(anomalous, inside)
        for channel in torch.nonzero(others.any(0))[:, 0]:
            cells = others & (torch.arange(others.shape[1]) == channel)
            self._keep_hidden(anomalous | cells, cells)
        for channel in torch.nonzero(anomalous.any(0) & own.any(0))[:, 0].tolist():
            for step in torch.nonzero(own[:, channel])[:, 0].tolist():
                start, stop = nearest_run(anomalous[:, channel].numpy(), step)
                self.first[step, channel], self.last[step, channel] = start, stop - 1

    def _keep_hidden(self, hidden: Tensor, cells: Tensor) -> None:
        expected = self.intervals.hidden(hidden)
        self._keep(cells, Expected(*(each[cells] for each in expected)))

    def _keep(self, cells: Tensor | tuple[np.ndarray, int], expected: Expected) -> None:
        for whole, part in zip(self.expected, expected, strict=True):
            whole[cells] = part


def _laid_out(model, frame, rows: np.ndarray, found: Explanation, top) -> pd.DataFrame:
    """One line per row asked for and channel, in the order of the frame."""
    channels = found.order[rows, :top]
    cells = rows[:, None], channels
    lines, time = np.repeat(rows, channels.shape[1]), model.layout.time
    labels = frame.index if time is None else pd.Index(frame[time])
    return pd.DataFrame(
        {
            "row": frame.index.take(lines).to_numpy(),
            "column": label_array(model.names)[channels].ravel(),
            "start": labels.take(found.first[cells].ravel()),
            "end": labels.take(found.last[cells].ravel()),
            "value": frame[model.names].to_numpy()[cells].ravel(),
            "expected": found.expected[cells].ravel(),
            "low": found.low[cells].ravel(),
            "high": found.high[cells].ravel(),
            "contribution": found.contributions[cells].ravel(),
        }
    )
