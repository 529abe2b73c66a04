"""Attacks on a plant of forty channels: which detector ranks their steps highest.

A generated plant has slow modes, set points that switch, pumps that go on and off by the level of a
tank, linear and nonlinear sensors, and sensors that lag behind. Attacks move two sensors at once,
both within the range that each is used to. Average precision (AP) of our scores, of the nearest
single training step, of the nearest training window of 32 steps, and of principal components'
T-squared and squared prediction error (SPE): `python -m benchmarks.series.plants --seeds 5`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter
from sklearn.decomposition import PCA

from anomdiff.metrics.detection import auroc, average_precision
from benchmarks.common.commands import add_params, add_processes, count
from benchmarks.common.methods import Params, Score, neighbours
from benchmarks.common.processes import gather
from benchmarks.common.results import write
from benchmarks.series.methods import timeseries, to_points

__all__ = ["KINDS", "METHODS", "Plant", "attacked", "main", "measure", "plant", "summary"]

LENGTHS = 500, 5_000  # steps to learn from
N_SCORED = 4_000
N_CHANNELS, N_STATES = 40, 4
KINDS = "offset", "other time", "frozen", "scaled"
STEPS_PER_ATTACK, ATTACK_STEPS = 250, (40, 120)
# Offsets, in standard deviations of their sensors, and factors of what moves about the mean.
OFFSETS, FACTORS = (0.8, 2.0), (0.2, 2.0)
WINDOW = 32
VARIANCE = 0.95  # share that the principal components keep
COLUMNS = ["n_train", "seed", "method", "AP", "AUROC", "flagged"]


class Plant(NamedTuple):
    """Normal steps to learn from, steps with attacks, and which of these are attacked."""

    train: np.ndarray  # (step, channel)
    scored: np.ndarray
    attacked: np.ndarray  # (step,)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, write and print the figures; the last line has their means by length."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series.plants", description=__doc__)
    parser.add_argument("--seeds", type=count, default=5, help="plants of each length")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a CSV")
    add_processes(parser)
    add_params(parser)
    options = parser.parse_args(argv)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    figures = measure(seeds, options.processes, options.params)
    write(figures, options.out)
    means = figures.groupby(["n_train", "method"], sort=False)[COLUMNS[3:]].mean()
    print(means.round(4).to_string())
    print(summary(figures))


def measure(
    seeds: Sequence[int],
    processes: int = 1,
    params: Params = None,
    lengths: Sequence[int] = LENGTHS,
    n_scored: int = N_SCORED,
) -> pd.DataFrame:
    """Fit every method to the normal steps of plants, and score the steps with attacks."""
    tasks = [(n, seed, n_scored, dict(params or {})) for n in lengths for seed in seeds]
    return pd.DataFrame(gather(_judged, tasks, processes), columns=COLUMNS)


def summary(figures: pd.DataFrame) -> str:
    """Mean AP by length and method."""
    parts = []
    for n_train, chosen in figures.groupby("n_train"):
        means = chosen.groupby("method", sort=False)["AP"].mean()
        parts.append(
            f"{n_train} steps: " + ", ".join(f"{name} {ap:.3f}" for name, ap in means.items())
        )
    flagged = figures["flagged"].mean()
    n_plants = len(figures) // figures["method"].nunique()
    return (
        f"plants AP | {' | '.join(parts)} | normal steps flagged {flagged:.4f} | plants {n_plants}"
    )


def plant(n_train: int, seed: int, n_scored: int = N_SCORED) -> Plant:
    """Make a plant with attacks in its scored part, the same for the same seed."""
    rng = np.random.default_rng(seed)
    values = _sensors(n_train + n_scored, rng)
    train, scored = values[:n_train], values[n_train:]
    return Plant(train, *attacked(scored, rng))


def attacked(normal: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Move two sensors at once in some places; return the steps and which are attacked."""
    values, marked = normal.copy(), np.zeros(len(normal), dtype=bool)
    room = STEPS_PER_ATTACK
    for i in range(len(normal) // room):
        length = int(rng.integers(*ATTACK_STEPS))
        start = i * room + int(rng.integers(room - length))
        part = slice(start, start + length)
        for channel in rng.choice(N_CHANNELS - N_STATES, 2, replace=False):
            values[part, channel] = _moved(KINDS[i % len(KINDS)], normal[:, channel], part, rng)
        marked[part] = True
    return values, marked


def _moved(kind: str, own: np.ndarray, part: slice, rng: np.random.Generator) -> np.ndarray:
    length = part.stop - part.start
    if kind == "offset":
        ramp = np.minimum(np.arange(1, length + 1) / 10, 1.0)
        return own[part] + rng.choice([-1, 1]) * rng.uniform(*OFFSETS) * own.std() * ramp
    if kind == "other time":
        other = int(rng.integers(len(own) - length))
        return own[other : other + length]
    if kind == "frozen":
        return np.full(length, own[part.start])
    return own.mean() + rng.choice(FACTORS) * (own[part] - own.mean())


def _sensors(n: int, rng: np.random.Generator) -> np.ndarray:
    """All channels: linear, nonlinear, of flows, behind others, and the states of the pumps."""
    modes, pumps = _modes(n, rng), []
    for level in modes.T[:N_STATES]:
        pumps.append(_hysteresis(level + 0.05 * rng.normal(size=n)))
    states = np.stack(pumps, axis=1).astype(float)
    linear = modes @ (rng.normal(size=(modes.shape[1], 12)) * (rng.random((7, 12)) < 0.5))
    first, second = (modes[:, rng.integers(0, 7, 10)] for _ in range(2))
    curved = np.where(
        np.arange(10) % 2, first * second, np.tanh(2 * first) + np.abs(second + 0.5) ** 0.5
    )
    flows = states[:, rng.integers(0, N_STATES, 6)] * (1 + 0.4 * modes[:, rng.integers(0, 7, 6)])
    direct = np.concatenate([linear, curved, flows], axis=1)
    behind = direct[:, rng.choice(28, 8, replace=False)]
    lags = rng.uniform(0.7, 0.97, 8)
    behind = np.stack(
        [lfilter([1 - a], [1, -a], x) for a, x in zip(lags, behind.T, strict=True)], axis=1
    )
    measured = np.concatenate([direct, behind], axis=1)
    scale = np.maximum(measured.std(0), 1e-3)
    noise = rng.uniform(0.03, 0.3, measured.shape[1]) * rng.normal(size=measured.shape)
    units = 10 ** rng.uniform(-1, 3, measured.shape[1])
    return np.concatenate([(measured / scale + noise) * units, states], axis=1)


def _modes(n: int, rng: np.random.Generator) -> np.ndarray:
    """Seven slow modes: five that wander back to 0, and two set points that switch."""
    keep = np.exp(-1 / rng.uniform(8, 80, 5))
    driven = [
        lfilter([(1 - a * a) ** 0.5], [1, -a], rng.normal(size=n + 2000))[2000:] for a in keep
    ]
    points = []
    for _ in range(2):
        dwell = rng.integers(20, 120, n // 20 + 1)
        steps = np.repeat(rng.choice([-1.0, 0.0, 1.2], len(dwell)), dwell)[:n]
        a = rng.uniform(0.8, 0.95)
        points.append(lfilter([1 - a], [1, -a], steps))
    return np.stack([*driven, *points], axis=1)


def _hysteresis(level: np.ndarray) -> np.ndarray:
    """Whether a pump runs: on above a level, off below another one."""
    on, found = False, []
    for x in level:
        on = x > -0.5 if on else x > 0.5
        found.append(on)
    return np.array(found)


def _nearest_step(train: np.ndarray) -> Score:
    return neighbours(train, algorithm="brute")


def _nearest_window(train: np.ndarray) -> Score:
    def windows(x: np.ndarray) -> np.ndarray:
        return sliding_window_view(x, WINDOW, axis=0).reshape(len(x) - WINDOW + 1, -1)

    score = neighbours(windows(train), algorithm="brute")
    return lambda x: to_points(score(windows(x)), len(x))


def _principal_components(train: np.ndarray) -> Score:
    """T-squared of the components kept plus SPE of the rest, each over its mean in training."""
    fitted = PCA(VARIANCE).fit(train)

    def parts(x: np.ndarray) -> np.ndarray:
        kept = fitted.transform(x)
        rest = x - fitted.inverse_transform(kept)
        return np.stack([(kept**2 / fitted.explained_variance_).sum(1), (rest**2).sum(1)])

    means = parts(train).mean(1)
    return lambda x: (parts(x) / means[:, None]).sum(0)


METHODS = {
    "nearest step": _nearest_step,
    "nearest window": _nearest_window,
    "PCA": _principal_components,
}


def _judged(task: tuple) -> list[tuple]:
    n_train, seed, n_scored, params = task
    made = plant(n_train, seed, n_scored)
    detector = timeseries(seed, params).fit(made.train)
    ours = detector.score_frame(made.scored)
    flagged = float(ours["is_anomaly"].to_numpy()[~made.attacked].mean())
    mean, std = made.train.mean(0), made.train.std(0)
    train, scored = ((x - mean) / np.where(std > 0, std, 1.0) for x in (made.train, made.scored))
    scores = {"anomdiff": ours["anomaly_score"].to_numpy()}
    scores |= {name: fit(train)(scored) for name, fit in METHODS.items()}
    return [
        (
            n_train,
            seed,
            name,
            average_precision(made.attacked, each),
            auroc(made.attacked, each),
            flagged if name == "anomdiff" else np.nan,
        )
        for name, each in scores.items()
    ]


if __name__ == "__main__":
    main()
