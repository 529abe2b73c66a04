"""Seasonal series to forecast, and the origins of the forecasts.

A label-free rule, written down before any figure was seen, picks the series.
"""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import find_peaks

from benchmarks.common.comparison import Split
from benchmarks.series.generated import seasonal
from benchmarks.series.reading import find_tsb

__all__ = ["LEAST_RISE", "Case", "generated_cases", "season", "seasonal_cases"]

MAX_HORIZON = 48  # a period, at most this
MAX_FIT = 10_000  # rows of the training prefix
N_ORIGINS = 60  # per series, evenly spaced
# Which series are seasonal: by the autocorrelation of the training prefix.
PERIODS = 8, 300
LEAST_PEAK = 0.5
LEAST_RISE = 0.5  # above the deepest value before the peak
PER_FAMILY = 10
N_SERIES = 20
N_GENERATED = 4


class Case(NamedTuple):
    """A seasonal series: values, rows that are fitted on, period, and first rows of forecasts."""

    name: str
    family: str
    values: np.ndarray
    n_fit: int
    period: int
    horizon: int
    origins: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """What came, of shape (origin, step)."""
        return np.stack([self.values[t : t + self.horizon] for t in self.origins])


def seasonal_cases(data: Path) -> list[Case]:
    """The most seasonal files by `season`, of a family at most `PER_FAMILY`.

    Files of a family whose training prefix has the same length are often copies of each other
    with another anomaly: only the most seasonal of them counts.
    """
    found = []
    for file in find_tsb(data):
        series = file.read()
        peak = season(series.train[:MAX_FIT, 0])
        if peak is not None and peak[1] >= LEAST_PEAK and peak[2] >= LEAST_RISE:
            case = _case(file.name, file.names["family"], series, peak[0])
            found.append((peak[2], len(series.train), case))
    found.sort(key=lambda item: (-item[0], item[2].name))
    chosen, seen, counts = [], set(), Counter()
    for _, n_train, case in found:
        if (case.family, n_train) not in seen and len(case.origins):
            seen.add((case.family, n_train))
            counts[case.family] += 1
            if counts[case.family] <= PER_FAMILY:
                chosen.append(case)
    return chosen[:N_SERIES]


def generated_cases(seed: int) -> list[Case]:
    """Sums of two harmonics with noise, without anomalies."""
    cases = []
    for i in range(N_GENERATED):
        whole = seasonal(3000, np.random.default_rng([seed, i]))[:, None]
        period, *_ = season(whole[:1500, 0])
        series = Split(whole[:1500], whole, np.zeros(len(whole), dtype=bool))
        cases.append(_case(f"seasonal-{i}", "generated", series, period))
    return cases


def season(values: np.ndarray) -> tuple[int, float, float] | None:
    """Period of a series, its autocorrelation there, and how far that rises above what precedes.

    Of all peaks within `PERIODS`, and a tenth of the series, the one that rises furthest above
    the lowest autocorrelation before it; a straight line is taken off before.
    """
    most = min(PERIODS[1], len(values) // 10)
    steps = np.arange(len(values))
    rest = values - np.polyval(np.polyfit(steps, values, 1), steps)
    if not rest.std() > 0 or most <= PERIODS[0]:
        return None
    spectrum = np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2
    products = np.fft.irfft(spectrum)[:most]
    correlations = products / products[0] * len(rest) / (len(rest) - np.arange(most))
    peaks = find_peaks(correlations)[0]
    peaks = peaks[peaks >= PERIODS[0]]
    if not len(peaks):
        return None
    rises = correlations[peaks] - np.minimum.accumulate(correlations)[peaks]
    best = peaks[rises.argmax()]
    return int(best), float(correlations[best]), float(rises.max())


def _case(name: str, family: str, series: Split, period: int) -> Case:
    """Origins after training whose forecast, and the 256 rows before it, are normal."""
    n_fit, horizon = min(len(series.train), MAX_FIT), min(period, MAX_HORIZON)
    bad = np.concatenate([[0], series.anomalous.cumsum()])
    origins = np.arange(n_fit, len(series.test) - horizon + 1)
    clean = bad[origins + horizon] == bad[np.maximum(origins - 256, 0)]
    origins = origins[clean]
    chosen = np.linspace(0, len(origins) - 1, min(N_ORIGINS, len(origins))).astype(int)
    return Case(name, family, series.test[:, 0], n_fit, period, horizon, origins[chosen])
