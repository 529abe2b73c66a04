"""Missing steps of series: windows are completed given what was observed of them."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.conditional.forecasts import seeded, target_scale, without_gaps
from anomdiff.conditional.window_imputer import MAX_WINDOWS, Completer, fill_spans
from anomdiff.encoding.parsing import read_cells

# Share of a window of the series itself that must be known for others to learn from it.
LEAST_KNOWN = 0.8


def impute_steps(detector, frame: pd.DataFrame, n_draws, random_state) -> pd.DataFrame:
    """Fill missing cells; see ``TimeSeriesDetector.impute``."""
    if n_draws is not None and n_draws < 1:
        raise ValueError(f"need n_draws of at least 1, or None; got {n_draws}.")
    generator = seeded(detector, random_state)
    names = detector.encoder_.names
    cells = np.full((n_draws or 1, len(frame), len(names)), np.nan)
    observed = np.ones((len(frame), len(names)), dtype=bool)
    for part in detector.layout_.read(frame):
        values, seen = detector.encoder_.encode(part)
        observed[part.rows] = seen
        if not seen.all():
            mean, std = target_scale(detector.encoder_, part.series)
            paths = _fill(detector, values, seen, n_draws, generator)
            cells[:, part.rows] = paths * std + mean
    filled = [_filled(frame, names, each, observed) for each in cells]
    if n_draws is None:
        return filled[0]
    return pd.concat(filled, keys=range(n_draws), names=["draw", *frame.index.names])


def _fill(detector, values, seen, n_draws, generator) -> np.ndarray:
    """Complete a stretch window by window, of shape (draw, step, channel)."""
    straight = torch.from_numpy(without_gaps(values, seen))
    paths = straight.expand(n_draws or 1, *straight.shape).clone()
    completer = Completer.of(detector, len(values))
    if completer is None:  # too short for any window
        return paths.numpy()
    known = torch.from_numpy(seen)
    recent, begins = _nearly_whole(straight, known, completer.length)
    for start, stop in fill_spans(seen.all(1), completer.length):
        steps = slice(start, start + completer.length)
        given = known[steps].T
        others = recent[(begins - start).abs() >= completer.length]
        drawing = n_draws is not None
        drawn = completer.complete(paths[:, steps].mT, given, others, drawing, generator)
        inside = torch.arange(start, start + completer.length) < stop
        paths[:, steps] = torch.where(~given & inside, drawn, paths[:, steps].mT).mT
        known = known.clone()
        known[start:stop] = True  # what has been filled is given to the windows after it
    return paths.numpy()


def _nearly_whole(straight: Tensor, known: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Windows of a stretch of which little is missing, and where they begin."""
    share = known.double().mean(1).unfold(0, length, 1).mean(1)
    begins = torch.nonzero(share >= LEAST_KNOWN)[:, 0]
    begins = begins[:: max(1, -(-len(begins) // MAX_WINDOWS))]
    return straight.unfold(0, length, 1)[begins], begins


def _filled(frame: pd.DataFrame, names: list, cells: np.ndarray, observed) -> pd.DataFrame:
    """Write cells where they are missing; what is observed keeps its digits."""
    filled = frame.copy()
    for name, column, seen in zip(names, cells.T, observed.T, strict=True):
        if not seen.all():
            old = read_cells(frame[name], "number")
            filled[name] = np.where(seen, old, column)
    return filled
