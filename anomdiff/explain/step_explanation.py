"""Which channels and steps to blame for a step's score, and what could be expected there."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.conditional.forecasts import target_scale
from anomdiff.conditional.intervals import Expected, Surroundings
from anomdiff.explain.alarm_segments import runs
from anomdiff.explain.attribution import shares_of_score
from anomdiff.explain.localisation import find_culprits, nearest_run
from anomdiff.models.parallel import map_blocks


class Reasons(NamedTuple):
    """Reasons for the scores of some steps; all arrays of shape (step, channel).

    Attributes
    ----------
    contributions : float ndarray
        Shares of the score.
    order : int ndarray
        Channels of each step, those first that are to blame most.
    expected, low, high : float ndarray
        Expectations in the units of the channels; NaN where not asked for.
    first, last : int ndarray
        Bounds of the span to blame, as numbers of rows.
    """

    contributions: np.ndarray
    order: np.ndarray
    expected: np.ndarray
    low: np.ndarray
    high: np.ndarray
    first: np.ndarray
    last: np.ndarray

    @classmethod
    def empty(cls, *shape: int) -> "Reasons":
        """Reasons to be filled in."""
        kinds = float, int, float, float, float, int, int
        return cls(*(np.zeros(shape, dtype=kind) for kind in kinds))


def explain_steps(detector, frame: pd.DataFrame, top: int | None, rows) -> pd.DataFrame:
    """Name the channels and spans to blame; see ``TimeSeriesDetector.explain``."""
    if top is not None and top < 1:
        raise ValueError(f"need top of at least 1, or None; got {top}.")
    asked = _asked(frame.index, rows)
    stretches = [part for part in detector.layout_.read(frame) if asked[part.rows].any()]
    found = map_blocks(lambda part: _explain(detector, part, asked[part.rows], top), stretches)
    whole = Reasons.empty(len(frame), len(detector.encoder_.names))
    for part, reasons in zip(stretches, found, strict=True):
        for to, each in zip(whole, reasons, strict=True):
            to[part.rows] = each
    return _laid_out(detector, frame, np.flatnonzero(asked), whole, top)


def _asked(index: pd.Index, rows) -> np.ndarray:
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


def _explain(detector, part, asked: np.ndarray, top: int | None) -> Reasons:
    """Explain some steps of a stretch."""
    piece = detector._piece(part)
    scores, blame = detector._judge(piece)
    order = np.argsort(-blame.numpy(), axis=1, kind="stable")
    listed = np.zeros(blame.shape, dtype=bool)
    np.put_along_axis(listed, order[:, :top], asked[:, None], axis=1)
    search = _Search(detector, piece, blame, torch.from_numpy(listed))
    search.find(scores > detector.threshold_)
    mean, std = target_scale(detector.encoder_, part.series)
    expected = (each.numpy() * std + mean for each in search.found)
    bounds = (part.rows[each] for each in (search.first, search.last))
    return Reasons(shares_of_score(scores, blame).numpy(), order, *expected, *bounds)


class _Search:
    """Finds spans and expectations of the listed cells of a stretch, of shape (step, channel)."""

    def __init__(self, detector, piece, blame: Tensor, listed: Tensor):
        self.join, self.blame, self.listed = detector.window_lengths_[0], blame, listed
        self.surroundings = Surroundings(detector, piece.values, piece.observed)
        self.found = Expected(*(torch.full_like(blame, torch.nan) for _ in Expected._fields))
        self.first = np.arange(len(blame))[:, None].repeat(blame.shape[1], axis=1)
        self.last = self.first.copy()

    def find(self, flagged: Tensor) -> None:
        """Explain flagged steps run by run, each of the others by itself."""
        for run in runs(flagged.numpy(), 0):
            own = torch.zeros_like(self.listed)
            own[slice(*run)] = self.listed[slice(*run)]
            if own.any():
                self._explain_run(run, own)
        for channel, steps in enumerate((self.listed & ~flagged[:, None]).T.numpy()):
            if steps.any():
                steps = np.flatnonzero(steps)
                self._keep((steps, channel), self.surroundings.alone(steps, channel))

    def _explain_run(self, run: tuple[int, int], own: Tensor) -> None:
        culprits = find_culprits(self.surroundings, self.blame, run, self.join)
        inside, others = own & culprits, own & ~culprits
        if inside.any():
            self._keep_hidden(culprits, inside)
        for channel in torch.nonzero(others.any(0))[:, 0]:
            cells = others & (torch.arange(others.shape[1]) == channel)
            self._keep_hidden(culprits | cells, cells)
        for channel in torch.nonzero(culprits.any(0) & own.any(0))[:, 0].tolist():
            for step in torch.nonzero(own[:, channel])[:, 0].tolist():
                start, stop = nearest_run(culprits[:, channel].numpy(), step)
                self.first[step, channel], self.last[step, channel] = start, stop - 1

    def _keep_hidden(self, hidden: Tensor, cells: Tensor) -> None:
        expected = self.surroundings.hidden(hidden)
        self._keep(cells, Expected(*(each[cells] for each in expected)))

    def _keep(self, cells, expected: Expected) -> None:
        for whole, part in zip(self.found, expected, strict=True):
            whole[cells] = part


def _laid_out(detector, frame, rows: np.ndarray, reasons: Reasons, top) -> pd.DataFrame:
    """One line per row asked for and channel, in the order of the frame."""
    names, layout = detector.encoder_.names, detector.layout_
    channels = reasons.order[rows, :top]
    cells = rows[:, None], channels
    lines = np.repeat(rows, channels.shape[1])
    labels = frame.index if layout.time is None else pd.Index(frame[layout.time])
    return pd.DataFrame(
        {
            "row": frame.index.take(lines).to_numpy(),
            "column": np.array(names, dtype=object)[channels].ravel(),
            "start": labels.take(reasons.first[cells].ravel()),
            "end": labels.take(reasons.last[cells].ravel()),
            "value": frame[names].to_numpy()[cells].ravel(),
            "expected": reasons.expected[cells].ravel(),
            "low": reasons.low[cells].ravel(),
            "high": reasons.high[cells].ravel(),
            "contribution": reasons.contributions[cells].ravel(),
        }
    )
