"""Which windows and steps of training segments are used: reference, training and calibration."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from anomdiff.encoding.segment import Segment
from anomdiff.reference.sliding_windows import LEAST_SHARE
from anomdiff.reference.window_bank import LevelBank, UncentredBank, WindowBank

__all__ = [
    "are_held_out",
    "as_tensors",
    "draw_segments",
    "draw_windows",
    "reference_banks",
    "spread_out",
    "training_windows",
    "uncentred_banks",
    "usable_lengths",
]

# Steps of a segment that are calibrated on together.
CALIBRATION_STEPS = 2048
# A length is used if training has this many times as many windows of it.
LEAST_WINDOWS = 2
# Steps whose mean is a level. Only of several channels: a single one's level wanders, and
# scoring it cost more on TSB-AD-U than it found.
LEVEL_LENGTH = 16
# Steps of the windows that are compared as they are, level and all: they say when.
UNCENTRED_LENGTHS = 1, 8
# Windows drawn of the held-out ends tell when training stops; at least this many.
LEAST_VALIDATION = 64

Segments = Sequence[Segment[Tensor]]
Bank = TypeVar("Bank", bound=WindowBank)


def as_tensors(segment: Segment[np.ndarray]) -> Segment[Tensor]:
    """Scaled steps of a segment as tensors."""
    values, observed = torch.from_numpy(segment.values), torch.from_numpy(segment.observed)
    return Segment(**vars(segment) | {"values": values, "observed": observed})


def spread_out(segments: Segments, apart: int) -> list[Segment[Tensor]]:
    """Give every segment its start, more than ``apart`` steps after the end of the one before."""
    placed, start = [], 0
    for segment in segments:
        placed.append(replace(segment, start=start))
        start += len(segment) + apart
    return placed


def usable_lengths(segments: Segments, lengths: Sequence[int]) -> tuple[int, ...]:
    """Window lengths of which training shows enough windows, ascending; none is an error."""
    counts = {w: sum(_n_windows(segment, w) for segment in segments) for w in lengths}
    usable = tuple(w for w, n in sorted(counts.items()) if n >= LEAST_WINDOWS * w)
    if not usable:
        least = min(lengths)
        raise ValueError(
            f"need at least {(LEAST_WINDOWS + 1) * least - 1} steps in a row, most of them "
            f"observed; got n_samples={max(map(len, segments))}, {counts[least]} usable windows."
        )
    return usable


def draw_windows(
    segments: Segments,
    length: int,
    most: int,
    rng: np.random.RandomState,
    view: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = WindowBank.view,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw training windows, all of them if there are no more than ``most``, and where they begin.

    ``view`` is to take off their means; windows that are mostly missing are left out.
    """
    counts = np.array([max(0, len(segment) - length + 1) for segment in segments])
    total = int(counts.sum())
    chosen = np.sort(rng.choice(total, most, replace=False)) if total > most else np.arange(total)
    owners = np.searchsorted(np.cumsum(counts), chosen, side="right")
    places = chosen - (np.cumsum(counts) - counts)[owners]
    n_channels = segments[0].values.shape[1]
    empty = torch.zeros(0, n_channels, length, dtype=torch.float64)
    parts = [(*view(empty, empty.bool()), torch.zeros(0, dtype=torch.long))]
    for owner in np.unique(owners):
        segment, rows = segments[owner], torch.from_numpy(places[owners == owner])
        steps = rows[:, None] + torch.arange(length)
        values, observed = segment.values[steps].mT, segment.observed[steps].mT
        parts.append((*view(values, observed), segment.start + rows))
    windows, observed, starts = (torch.cat(part) for part in zip(*parts, strict=True))
    kept = observed.double().mean((1, 2)) >= LEAST_SHARE
    return windows[kept], observed[kept], starts[kept]


def reference_banks(
    segments: Segments,
    lengths: Sequence[int],
    max_reference: int,
    rng: np.random.RandomState,
) -> tuple[WindowBank, ...]:
    """Draw the reference windows of each length, and reference levels of several channels."""
    n_channels = segments[0].values.shape[1]
    most = max(2, max_reference // n_channels)
    banks = [_reference_windows(segments, w, most, rng, WindowBank) for w in lengths]
    if LEVEL_LENGTH in lengths and n_channels > 1:
        banks.append(_reference_windows(segments, LEVEL_LENGTH, max_reference, rng, LevelBank))
    return tuple(banks)


def uncentred_banks(
    segments: Segments, max_reference: int, rng: np.random.RandomState
) -> tuple[UncentredBank, ...]:
    """Draw reference windows of a few steps that are compared with their levels."""
    n_channels = segments[0].values.shape[1]
    banks = [
        _reference_windows(
            segments, w, max(2, max_reference // min(w, n_channels)), rng, UncentredBank
        )
        for w in UNCENTRED_LENGTHS
    ]
    return tuple(bank for bank in banks if len(bank.starts))


def training_windows(
    segments: Segments, fraction: float, length: int, most: int, rng: np.random.RandomState
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], list[Segment[Tensor]]]:
    """Draw the windows that the network is trained on, and those that tell when to stop.

    Both as values and which are observed. The third are the segments that are held out: no
    training window is from them.
    """
    training, held_out = _split(segments, fraction, length)
    windows, observed, _ = draw_windows(training, length, most, rng)
    if not len(windows):  # all that is observed is held out
        windows, observed, _ = draw_windows(segments, length, most, rng)
    validation = windows[::5], observed[::5]  # where no part is left for it
    if held_out:
        drawn = draw_windows(held_out, length, max(LEAST_VALIDATION, most // 5), rng)[:2]
        validation = drawn if len(drawn[0]) else validation
    return (windows, observed), validation, held_out


def draw_segments(
    segments: Segments, most: int, rng: np.random.RandomState
) -> list[Segment[Tensor]]:
    """Cut segments of about ``CALIBRATION_STEPS`` and draw some, until they have ``most`` steps."""
    cuts = [segment.slice(*bounds) for segment in segments for bounds in _bounds(len(segment))]
    drawn, n_steps = [], 0
    for i in rng.permutation(len(cuts)):
        if n_steps >= most:
            break
        drawn.append(cuts[i])
        n_steps += len(cuts[i])
    return drawn


def are_held_out(segment: Segment[Tensor], held_out: Segments, length: int) -> Tensor:
    """Tell the steps of a segment of which all windows of a length lie in a held-out part."""
    steps = segment.start + torch.arange(len(segment))
    found = torch.zeros(len(segment), dtype=torch.bool)
    for part in held_out:
        found |= (steps >= part.start + length - 1) & (steps < part.start + len(part))
    return found


def _reference_windows(
    segments: Segments, length: int, most: int, rng: np.random.RandomState, bank: type[Bank]
) -> Bank:
    """Draw the reference windows of one length, or their levels."""
    windows, _, starts = draw_windows(segments, length, most, rng, bank.view)
    return bank(length, windows.flatten(1).float(), starts)


def _split(
    segments: Segments, fraction: float, length: int
) -> tuple[list[Segment[Tensor]], list[Segment[Tensor]]]:
    """Hold out the end of every segment that is long enough for windows of ``length``."""
    training, held_out = [], []
    for segment in segments:
        tail = round(fraction * len(segment))
        if tail < length or len(segment) - tail < length:
            training.append(segment)
            continue
        training.append(segment.slice(0, len(segment) - tail))
        held_out.append(segment.slice(len(segment) - tail, len(segment)))
    return training, held_out


def _n_windows(segment: Segment[Tensor], length: int) -> int:
    """Count the windows that are not mostly missing."""
    if len(segment) < length:
        return 0
    seen = F.pad(segment.observed.sum(1).cumsum(0), (1, 0))
    whole = length * segment.observed.shape[1]
    return int((seen[length:] - seen[:-length] >= LEAST_SHARE * whole).sum())


def _bounds(n_steps: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, n_steps, max(1, round(n_steps / CALIBRATION_STEPS)) + 1).astype(int)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
