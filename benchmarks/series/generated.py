"""Generated series with known anomalies: four shapes of normal data, spikes or level shifts."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from benchmarks.common.comparison import Source, Split
from benchmarks.series.reading import series

__all__ = ["KINDS", "N_TRAIN", "SHAPES", "generate", "generated", "seasonal"]

N_ROWS = 4_000
N_TRAIN = 2_000  # without anomalies
N_ANOMALIES = 8
# Smallest and largest size, in standard deviations of the series about its moving mean.
KINDS = {"spike": (4.0, 7.0), "shift": (2.0, 4.0)}
SHIFT_ROWS = 40, 120  # a spike lasts for one row


def seasonal(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Two harmonics and noise."""
    phase = 2 * np.pi * (np.arange(n_rows) / rng.integers(20, 80) + rng.uniform())
    return np.sin(phase) + 0.5 * np.sin(2 * phase + 1) + 0.1 * rng.normal(size=n_rows)


def trend(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """A straight line, one standard deviation of the noise up or down in 500 rows, and noise."""
    return rng.choice([-1, 1]) * np.arange(n_rows) / 500 + rng.normal(size=n_rows)


def autoregressive(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """A damped oscillation that noise keeps going: two complex poles of modulus 0.9."""
    angle = rng.uniform(0.2, 1.0)
    return lfilter([1], [1, -1.8 * np.cos(angle), 0.81], rng.normal(size=n_rows))


def wandering(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Nearly a random walk: each value is 0.995 times the previous one plus noise."""
    return lfilter([1], [1, -0.995], rng.normal(size=n_rows))


SHAPES: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    shape.__name__: shape for shape in (seasonal, trend, autoregressive, wandering)
}


def generated(n_seeds: int) -> list[Source]:
    """Every shape with every kind of anomaly, which begins the family, with as many seeds."""
    return [
        series(f"{shape}-{kind}-{seed}", f"{kind} {shape}", partial(generate, shape, kind, seed))
        for kind in KINDS
        for shape in SHAPES
        for seed in range(n_seeds)
    ]


def generate(shape: str, kind: str, seed: int) -> Split:
    """Make a series of one shape with anomalies of one kind, the same for the same seed."""
    rng = np.random.default_rng([seed, [*SHAPES].index(shape), [*KINDS].index(kind)])
    values = SHAPES[shape](N_ROWS, rng)
    about_mean = values[:N_TRAIN] - pd.Series(values[:N_TRAIN]).rolling(51, center=True).mean()
    offset = _offsets(kind, rng)
    whole = (values + float(about_mean.std()) * offset)[:, None]
    return Split(whole[:N_TRAIN], whole, offset != 0)


def _offsets(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Offsets, up or down, in as many parts of the scored half, with room for the longest."""
    room = (N_ROWS - N_TRAIN) // N_ANOMALIES
    starts = rng.integers(0, room - SHIFT_ROWS[1], N_ANOMALIES)
    offset = np.zeros(N_ROWS)
    for start in N_TRAIN + room * np.arange(N_ANOMALIES) + starts:
        stop = start + (1 if kind == "spike" else rng.integers(*SHIFT_ROWS))
        offset[start:stop] = rng.choice([-1, 1]) * rng.uniform(*KINDS[kind])
    return offset
