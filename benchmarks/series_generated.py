"""Generated series with known anomalies: four shapes of normal data, spikes or level shifts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from benchmarks.series_files import Series
from benchmarks.series_results import MEASURES

N_ROWS = 4_000
N_TRAIN = 2_000  # without anomalies
N_ANOMALIES = 8
SPIKE = 4.0, 7.0  # size, in standard deviations of the series about its moving mean
SHIFT = 2.0, 4.0
SHIFT_ROWS = 40, 120
FLOORS = "linear16", "median"


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
    "seasonal": seasonal,
    "trend": trend,
    "autoregressive": autoregressive,
    "wandering": wandering,
}
KINDS = "spike", "shift"


@dataclass(frozen=True)
class Generated:
    """A series of one shape with anomalies of one kind, the same for the same seed."""

    shape: str
    kind: str
    seed: int

    @property
    def name(self) -> str:
        """Shape, kind and seed."""
        return f"{self.shape}-{self.kind}-{self.seed}"

    @property
    def family(self) -> str:
        """Kind and shape: the floor is that of the kind."""
        return f"{self.kind} {self.shape}"

    def read(self) -> Series:
        """Generate it."""
        tag = [*SHAPES].index(self.shape), KINDS.index(self.kind)
        rng = np.random.default_rng([self.seed, *tag])
        values = SHAPES[self.shape](N_ROWS, rng)
        size = _spread(values[:N_TRAIN])
        offset = spikes(rng) if self.kind == "spike" else shifts(rng)
        whole = (values + size * offset)[:, None]
        return Series(whole[:N_TRAIN], whole, offset != 0)


def spikes(rng: np.random.Generator) -> np.ndarray:
    """Offsets of one row each, up or down, in standard deviations."""
    offset = np.zeros(N_ROWS)
    for start in _starts(rng):
        offset[start] = rng.choice([-1, 1]) * rng.uniform(*SPIKE)
    return offset


def shifts(rng: np.random.Generator) -> np.ndarray:
    """Offsets that begin at once, last for a while and end at once, in standard deviations."""
    offset = np.zeros(N_ROWS)
    for start in _starts(rng):
        stop = start + rng.integers(*SHIFT_ROWS)
        offset[start:stop] = rng.choice([-1, 1]) * rng.uniform(*SHIFT)
    return offset


def generated(n_seeds: int) -> list[Generated]:
    """Every shape with every kind of anomaly, with as many seeds."""
    return [Generated(s, k, seed) for k in KINDS for s in SHAPES for seed in range(n_seeds)]


def kinds(figures: pd.DataFrame) -> str:
    """Means per kind of anomaly, in one line; the floor is the better simple method of each.

    Parameters
    ----------
    figures : DataFrame
        From `series_results.complete`; index (file, family), columns (measure, method).
    """
    kind = figures.index.get_level_values("family").str.split().str[0]
    means = figures.groupby(kind).mean()
    return " | ".join(f"{name}: {', '.join(_words(mean))}" for name, mean in means.iterrows())


def _words(mean: pd.Series) -> list[str]:
    table = mean.unstack(level=0)[[*MEASURES]]  # a row per method
    floors = table.loc[table.index.isin(FLOORS)]
    lines = {
        method: [f"{name} {value:.3f}" for name, value in row.items()]
        for method, row in table.drop(floors.index).iterrows()
    }
    if len(floors):
        lines["floor"] = [
            f"{name} {column.max():.3f} ({column.idxmax()})" for name, column in floors.items()
        ]
    return [f"{method} {' '.join(words)}" for method, words in lines.items()]


def _starts(rng: np.random.Generator) -> np.ndarray:
    """One row in each of as many stretches of the scored part, with room for the anomaly."""
    room = (N_ROWS - N_TRAIN) // N_ANOMALIES
    return (
        N_TRAIN + room * np.arange(N_ANOMALIES) + rng.integers(0, room - SHIFT_ROWS[1], N_ANOMALIES)
    )


def _spread(values: np.ndarray) -> float:
    return float((values - pd.Series(values).rolling(51, center=True).mean()).std())
