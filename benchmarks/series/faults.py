"""How faults of known place are found: whether, where, in which channel, and of what kind.

Four kinds of series (`seasonal`, `autoregressive`, `load`, `machine`) of two or three channels,
each with one fault in one channel: a spike of 2 steps, a shift of 20, noise of 40, a frozen sensor
of 200, a drift of 80. One fit serves the faults of a series: `python -m benchmarks.series.faults`.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from anomdiff.plots import series_figure
from benchmarks.common.commands import add_params, add_processes, count
from benchmarks.common.methods import Params
from benchmarks.common.processes import gather
from benchmarks.common.results import write
from benchmarks.series.methods import timeseries

__all__ = [
    "FAULTS",
    "SERIES",
    "Fault",
    "draw",
    "faults",
    "judge",
    "main",
    "measure",
    "named",
    "summary",
]

N_TRAIN, N_SCORED = 4_000, 2_000
# Steps that each kind of fault lasts for.
FAULTS = {"spike": 2, "shift": 20, "noise": 40, "frozen": 200, "drift": 80}
# Size of spikes, shifts and drifts, in standard deviations of their channel.
SIZES = {"spike": 5.0, "shift": 2.5, "drift": 3.0}
# First steps that faults begin at.
PLACES = 500, 1_300
# Steps on either side of a fault in its picture.
DRAWN_AROUND = 300
COLUMNS = ["series", "fault", "seed", "found", "overlap", "outside", "first_channel", "segments"]
# Kinds of segments that are called otherwise here.
NAMES = {"frozen": "flatline"}


class Fault(NamedTuple):
    """A series with one fault, from ``start`` up to ``stop`` in a channel."""

    kind: str
    values: np.ndarray  # (step, channel)
    start: int
    stop: int
    channel: int


def seasonal(n: int, rng: np.random.Generator) -> np.ndarray:
    """Three channels of two harmonics each, out of phase, and noise."""
    turns = 2 * np.pi * np.arange(n) / rng.integers(24, 60)
    phases = rng.uniform(0, 2 * np.pi, 3)
    channels = [np.sin(turns + p) + 0.5 * np.sin(2 * turns + 1 + p) for p in phases]
    return np.stack(channels, axis=1) + 0.15 * rng.normal(size=(n, 3))


def autoregressive(n: int, rng: np.random.Generator) -> np.ndarray:
    """Three mixtures of two damped oscillations that noise keeps going."""
    noise, angle = rng.normal(size=(n, 2)), rng.uniform(0.3, 0.8)
    hidden = lfilter([1], [1, -1.7 * np.cos(angle), 0.72], noise, axis=0)
    return hidden / hidden.std(0) @ rng.normal(size=(2, 3)) + 0.3 * rng.normal(size=(n, 3))


def load(n: int, rng: np.random.Generator) -> np.ndarray:
    """Load by time of day and week, with a level that wanders, and what it heats."""
    step = np.arange(n)
    day, is_weekday = np.sin(2 * np.pi * step / 48 - 1.5), (step // 48) % 7 < 5
    level = lfilter([1], [1, -0.95], 0.1 * rng.normal(size=n))
    size = np.exp(0.5 * day * (0.5 + 0.5 * is_weekday) + 0.5 * level + 0.08 * rng.normal(size=n))
    return np.stack([size, 20 + 5 * day + 2 * level + 0.5 * rng.normal(size=n)], axis=1)


def machine(n: int, rng: np.random.Generator) -> np.ndarray:
    """Cycles of changing length: current, a temperature that follows it slowly, a pressure."""
    cycles = [np.arange(rng.integers(20, 40)) < rng.integers(10, 25) for _ in range(n // 20 + 1)]
    on = np.concatenate(cycles)[:n].astype(float)
    warmth = lfilter([0.1], [1, -0.9], on)
    pressure = 0.8 * on + 0.2 * np.sin(np.arange(n) / 15)
    current = on * (1 + 0.05 * rng.normal(size=n))
    return np.stack([current, warmth, pressure], axis=1) + 0.05 * rng.normal(size=(n, 3))


SERIES = {make.__name__: make for make in (seasonal, autoregressive, load, machine)}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write and print the figures; the last line has their means."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series.faults", description=__doc__)
    parser.add_argument("--seeds", type=count, default=5, help="series of each kind")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a CSV")
    parser.add_argument("--pictures", type=Path, help="a folder; draw a fault of each kind only")
    add_processes(parser)
    add_params(parser)
    options = parser.parse_args(argv)
    if options.pictures is not None:
        return draw(options.pictures, options.first_seed, options.params)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    figures = measure(seeds, options.processes, options.params)
    write(figures, options.out)
    for by in ("fault", "series"):
        print(figures.groupby(by)[COLUMNS[3:]].mean().round(3).to_string())
    print(pd.crosstab(figures["fault"], figures["kind"]).to_string())
    print(summary(figures))


def measure(seeds: Sequence[int], processes: int = 1, params: Params = None) -> pd.DataFrame:
    """Fit to the beginning of each series and find each fault in the rest."""
    tasks = [(name, seed, dict(params or {})) for name in SERIES for seed in seeds]
    rows = gather(_found, tasks, processes)
    return pd.DataFrame(rows, columns=[*COLUMNS, "kind"])


def draw(folder: Path, seed: int, params: Params = None) -> None:
    """Draw a fault of each kind, in one kind of series after the other, and what is found."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, kind in enumerate(FAULTS):
        name = [*SERIES][place % len(SERIES)]
        train, several = faults(name, seed)
        fault = next(each for each in several if each.kind == kind)
        detector = timeseries(seed, params).fit(pd.DataFrame(train))
        frame = pd.DataFrame(fault.values)
        part = slice(max(0, fault.start - DRAWN_AROUND), fault.stop + DRAWN_AROUND)
        scored = detector.score_frame(frame)
        figure = series_figure(detector, frame[part], scored[part])
        figure.suptitle(f"{name}: {kind} in channel {fault.channel}, from step {fault.start}")
        figure.savefig(folder / f"{kind}.png", dpi=100)


def summary(figures: pd.DataFrame) -> str:
    """Means over all faults."""
    found, overlap, outside, first = figures[COLUMNS[3:7]].mean()
    frozen = figures.loc[figures["fault"] == "frozen", "found"].mean()
    right = (figures["kind"] == figures["fault"].replace(NAMES)).mean()
    return (
        f"faults {len(figures)} | found {found:.3f} | overlap {overlap:.3f} | flagged outside "
        f"{outside:.4f} | right channel first {first:.3f} | frozen found {frozen:.3f} | "
        f"kind named right {right:.3f}"
    )


def faults(name: str, seed: int) -> tuple[np.ndarray, Iterator[Fault]]:
    """Return the training part of a series, and the rest with each kind of fault."""
    rng = np.random.default_rng([seed, [*SERIES].index(name)])
    values = SERIES[name](N_TRAIN + N_SCORED, rng)
    train = values[:N_TRAIN]
    return train, (_with_fault(kind, values[N_TRAIN:], train.std(0), rng) for kind in FAULTS)


def named(segments: pd.DataFrame, fault: Fault) -> str:
    """Kind of the segment that has most steps in common with a fault, "none" without one."""
    stops, starts = segments["end"] + 1, segments["start"]
    common = stops.clip(upper=fault.stop) - starts.clip(lower=fault.start)
    return segments["kind"][common.idxmax()] if (common > 0).any() else "none"


def judge(scored: pd.DataFrame, segments: pd.DataFrame, fault: Fault) -> tuple:
    """Found, overlap of the best segment, share flagged outside, right channel, segments outside.

    ``scored`` has a running index. The overlap is intersection over union; the channel is the one
    named at the highest score within the fault.
    """
    flags = scored["is_anomaly"].to_numpy(dtype=bool)
    inside = np.zeros(len(flags), dtype=bool)
    inside[fault.start : fault.stop] = True
    starts, stops = segments["start"].to_numpy(), segments["end"].to_numpy() + 1
    common = np.minimum(stops, fault.stop) - np.maximum(starts, fault.start)
    union = np.maximum(stops, fault.stop) - np.minimum(starts, fault.start)
    overlap = max((common.clip(min=0) / union).tolist(), default=0.0)
    peak = fault.start + scored["anomaly_score"].to_numpy()[inside].argmax()
    channel = scored["channel"].iloc[peak] == fault.channel
    beside = int((common <= 0).sum())
    return bool((flags & inside).any()), overlap, flags[~inside].mean(), bool(channel), beside


def _with_fault(kind: str, normal: np.ndarray, std: np.ndarray, rng: np.random.Generator) -> Fault:
    channel, length = int(rng.integers(normal.shape[1])), FAULTS[kind]
    start, values = int(rng.integers(*PLACES)), normal.copy()
    part = slice(start, start + length)
    size, sign = std[channel] * SIZES.get(kind, 1.0), rng.choice([-1, 1])
    shapes = {
        "noise": rng.normal(size=length),
        "drift": sign * np.arange(1, length + 1) / length,
    }
    if kind == "frozen":
        values[part, channel] = values[start, channel]
    else:
        values[part, channel] += size * shapes.get(kind, sign)
    return Fault(kind, values, start, start + length, channel)


def _found(task: tuple) -> list[tuple]:
    name, seed, params = task
    train, several = faults(name, seed)
    names = [*range(train.shape[1])]
    detector = timeseries(seed, params).fit(pd.DataFrame(train, columns=names))
    rows = []
    for fault in several:
        frame = pd.DataFrame(fault.values, columns=names)
        scored = detector.score_frame(frame)
        segments = detector.segments(scored, frame)
        found = judge(scored, segments, fault)
        rows.append((name, fault.kind, seed, *found, named(segments, fault)))
    return rows


if __name__ == "__main__":
    main()
