"""What kind of fault a segment of alarms is: spike, shift, drift, noise, flatline, joint, shape."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from anomdiff.conditional.intervals import ConditionalIntervals
from anomdiff.encoding.segment import Segment
from anomdiff.models.window_model import WindowModel
from anomdiff.scoring.local_variation import LEAST_DIFFERENCE

__all__ = ["alarm_kinds", "core", "is_joint", "segment_kind"]

# Chosen on one half of the series of benchmarks.series.faults (seeds 0 to 4), which gives the
# shares of kinds named right; measured on the other half (seeds 100 to 104).
# Share of the squared deviations that the core of a segment holds, and the steps of a spike.
CORE_SHARE, SPIKE_STEPS = 0.9, 3
# Neighbouring steps differ less, or more, than usual by these factors.
FLAT, NOISY = 0.25, 1.5
# Share of the squared deviations that one level explains; change along the core of a segment that
# is a drift, as a share of its level, and of the rest that a straight line explains.
LEVEL_SHARE, DRIFT, LINE = 0.75, 0.5, 0.2
# Share of the steps of the core outside the interval of 90 % of what is expected: at least, of a
# channel that does not go with the others; at most, of channels that are as usual by themselves.
LEAST_OUTSIDE, MOST_OUTSIDE = 0.5, 0.2
# Steps on either side that say what differences are usual, and the fewest of them.
AROUND, LEAST_AROUND = 256, 32


def segment_kind(
    values: Float[np.ndarray, "step"],
    deviations: Float[np.ndarray, "step"],
    usual_difference: float,
) -> str:
    """Kind of fault of one channel.

    Parameters
    ----------
    values : ndarray of shape (step,)
        The steps of the segment, in standard deviations of the channel.
    deviations : ndarray of shape (step,)
        Values minus what is expected when they are hidden.
    usual_difference : float
        Median absolute difference of neighbouring steps where all is normal.

    Returns
    -------
    kind : {"spike", "shift", "drift", "noise", "flatline", "shape"}
    """
    if not len(values):
        return "shape"
    start, stop = core(deviations, CORE_SHARE)
    length, off = stop - start, deviations[start:stop]
    if _movement(values, usual_difference) < FLAT:
        return "flatline"
    if length <= SPIKE_STEPS:
        return "spike"
    mean, steps = off.mean(), np.arange(length) - (length - 1) / 2
    if length * mean**2 >= LEVEL_SHARE * (off**2).sum():
        slope = (steps @ off) / (steps @ steps)
        line = slope**2 * (steps @ steps) / max(((off - mean) ** 2).sum(), 1e-12)
        moves = abs(slope) * length >= DRIFT * abs(mean)
        return "drift" if moves and line >= LINE else "shift"
    return "noise" if _movement(values[start:stop], usual_difference) > NOISY else "shape"


def core(deviations: Float[np.ndarray, "step"], share: float) -> tuple[int, int]:
    """Bounds of the fewest steps in a row that hold a share of the squared deviations."""
    sums = np.concatenate([[0.0], np.cumsum(deviations**2)])
    needed = sums[:-1] + share * sums[-1] * (1 - 1e-9)
    stops = np.searchsorted(sums, needed)
    lengths = np.where(stops < len(sums), stops - np.arange(len(stops)), len(sums))
    start = int(lengths.argmin())
    return start, start + int(lengths[start])


def is_joint(
    given_others: Float[np.ndarray, "step"], alone: Float[np.ndarray, "step channel"]
) -> bool:
    """Tell whether channels do not go together while each by itself is as usual.

    Parameters
    ----------
    given_others : ndarray of shape (step,)
        How far the channel of a segment is from what is expected given the other channels, in
        halves of the interval that holds 90 %; NaN where there is none.
    alone : ndarray of shape (step, channel)
        The same of all channels while all of them are hidden.
    """
    if alone.shape[1] < 2 or not len(alone):
        return False
    apart = (given_others > 1).mean() >= LEAST_OUTSIDE
    return bool(apart and (~(alone <= 1)).mean(axis=0).max() <= MOST_OUTSIDE)


def alarm_kinds(
    model: WindowModel,
    frame: pd.DataFrame,
    scored: pd.DataFrame,
    alarms: Sequence[np.ndarray],
    channels: Iterable[tuple],
) -> list[str]:
    """Kinds of segments, given by the rows of each and its channels."""
    segments = model.encode(frame)
    owner, place = np.zeros(len(frame), dtype=int), np.zeros(len(frame), dtype=int)
    for number, segment in enumerate(segments):
        owner[segment.rows], place[segment.rows] = number, np.arange(len(segment))
    scores, flagged = (scored[name].to_numpy() for name in ("anomaly_score", "is_anomaly"))
    kinds = []
    for rows, named in zip(alarms, channels, strict=True):
        own = owner[rows[np.nanargmax(scores[rows])]]  # a gap of time may part the alarm
        steps = place[rows[owner[rows] == own]]
        bounds = int(steps.min()), int(steps.max()) + 1
        channel = model.names.index(named[0])
        kinds.append(_kind(model, segments[own], bounds, channel, flagged[segments[own].rows]))
    return kinds


def _kind(
    model: WindowModel,
    segment: Segment[torch.Tensor],
    bounds: tuple[int, int],
    channel: int,
    flagged: np.ndarray,
) -> str:
    """Kind of the steps between bounds of a segment."""
    part = slice(*bounds)
    intervals = ConditionalIntervals(model, segment.values, segment.observed)
    hidden = torch.zeros_like(segment.observed)
    hidden[part, channel] = True
    known = segment.observed[part, channel].numpy()
    values = segment.values[:, channel]
    expected = intervals.hidden(hidden)
    given_others = expected.outside(segment.values)[part, channel].numpy()[known]
    deviations = (values - expected.mean[:, channel])[part].numpy()[known]
    usual = _usual_difference(model, segment, channel, bounds, flagged)
    kind = segment_kind(values[part].numpy()[known], deviations, usual)
    if kind != "flatline" and len(model.names) > 1 and known.any():
        hidden[part] = True
        alone = intervals.hidden(hidden).outside(segment.values)[part].numpy()[known]
        inside = slice(*core(deviations, CORE_SHARE))
        kind = "joint" if is_joint(given_others[inside], alone[inside]) else kind
    return kind


def _usual_difference(
    model: WindowModel,
    segment: Segment[torch.Tensor],
    channel: int,
    bounds: tuple[int, int],
    flagged: np.ndarray,
) -> float:
    """Median absolute difference of the steps around, of reference windows where these are few."""
    part = slice(max(0, bounds[0] - AROUND), bounds[1] + AROUND)
    usual = segment.observed[part, channel].numpy() & ~flagged[part]
    steps = np.abs(np.diff(segment.values[part, channel].numpy()))[usual[1:] & usual[:-1]]
    if len(steps) < LEAST_AROUND:
        bank = model.shape_banks[-1]
        windows = bank.windows.unflatten(1, (len(model.names), bank.length))[:, channel]
        steps = windows.diff(dim=1).abs().numpy()
    return float(np.median(steps))


def _movement(values: Float[np.ndarray, "step"], usual_difference: float) -> float:
    """Median absolute difference of neighbouring steps, as a factor of the usual one."""
    if len(values) <= SPIKE_STEPS:
        return 1.0
    here = np.median(np.abs(np.diff(values)))
    return float((here + LEAST_DIFFERENCE) / (usual_difference + LEAST_DIFFERENCE))
