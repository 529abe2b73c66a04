"""Cells of training series so far outside that they are glitches, not what is normal there."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from anomdiff.encoding.parsing import shown
from anomdiff.encoding.segment import Segment
from anomdiff.encoding.sentinels import warn_of_sentinels

__all__ = ["glitches", "without_glitches"]

# Share of a channel's cells, at either end, that may be glitches, and cells that this takes.
MOST_GLITCHES, LEAST_CELLS = 0.005, 50
# Distances from the other cells, in their range: of what comes once, and of what may come again.
FAR_OUT, VERY_FAR = 3.0, 10.0
# Times that very far values come at most; one and the same value may come more often.
FEW_TIMES = 3
# Peaks that differ by less than this factor are alike: what comes again is normal.
ALIKE = 2.0

Segments = Sequence[Segment[np.ndarray]]


def without_glitches(segments: Segments, channels: Sequence) -> list[Segment[np.ndarray]]:
    """Segments of training whose glitches are missing; a warning names them.

    One glitch would otherwise set the scale of its channel and, by the windows that hold it, what
    counts as normal, so that nothing else there is an anomaly. Another one names numbers that come
    again and again far outside and may stand for missing cells.
    """
    by_series: dict[Any, list[int]] = {}
    left_out: dict[Any, list[float]] = {}
    for i, segment in enumerate(segments):
        by_series.setdefault(segment.series, []).append(i)
    cleaned = list(segments)
    whole = np.concatenate([segment.values for segment in segments])
    warn_of_sentinels(dict(zip(channels, whole.T, strict=True)))
    for places in by_series.values():
        values = np.concatenate([segments[i].values for i in places])
        found = np.column_stack([glitches(cells) for cells in values.T])
        for j in np.flatnonzero(found.any(0)).tolist():
            left_out.setdefault(channels[j], []).extend(values[found[:, j], j].tolist())
        ends = np.cumsum([len(segments[i]) for i in places])[:-1]
        for i, part in zip(places, np.split(found, ends), strict=True):
            cleaned[i] = _without(segments[i], part) if part.any() else segments[i]
    for name, cells in left_out.items():
        warnings.warn(
            f"channel {shown(name)}: {len(cells)} of its cells, such as {cells[0]:g}, are so far "
            "from all others that they are left out of training. If they are normal, train on "
            "more rows that hold such values.",
            stacklevel=2,
        )
    return cleaned


def glitches(cells: np.ndarray) -> np.ndarray:
    """Tell which cells of a channel, in the order of time, are glitches.

    These are few, and several times the range of all other cells away from them; a value that
    comes again is none, unless it is very far away.
    """
    found, present = np.zeros(len(cells), dtype=bool), np.flatnonzero(~np.isnan(cells))
    x = cells[present]
    if len(x) < LEAST_CELLS:
        return found
    ordered, few = np.sort(x), max(1, int(MOST_GLITCHES * len(x)))
    low, high = ordered[few], ordered[-1 - few]
    away = np.maximum(x - high, low - x)
    width = high - low
    far = away > FAR_OUT * width
    if not far.any():
        return found
    if width == 0:
        is_state = np.isin(x, (0, 1)).all()
        found[present[far]] = not is_state and _n_runs(far) == 1
        return found
    very_far = far & (away > VERY_FAR * width)
    seldom = _n_runs(very_far) <= FEW_TIMES or len(np.unique(x[very_far])) == 1
    found[present[(very_far & seldom) | (far & _comes_once(x > high, far, away))]] = True
    return found


def _comes_once(above: np.ndarray, far: np.ndarray, away: np.ndarray) -> np.ndarray:
    """Tell which cells belong to a run of far ones that is unlike all other runs of that side."""
    once = np.zeros_like(far)
    for side in (far & above, far & ~above):
        starts, stops = np.flatnonzero(np.diff(side, prepend=False, append=False)).reshape(-1, 2).T
        peaks = np.array([away[a:b].max() for a, b in zip(starts, stops, strict=True)])
        for i, (a, b) in enumerate(zip(starts, stops, strict=True)):
            ratio = np.delete(peaks, i) / peaks[i]
            once[a:b] = not ((ratio < ALIKE) & (ratio > 1 / ALIKE)).any()
    return once


def _n_runs(marked: np.ndarray) -> int:
    return int((np.diff(marked, prepend=False) & marked).sum())


def _without(segment: Segment[np.ndarray], found: np.ndarray) -> Segment[np.ndarray]:
    values = np.where(found, np.nan, segment.values)
    return dataclasses.replace(segment, values=values, observed=segment.observed & ~found)
