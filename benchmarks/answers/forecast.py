"""Forecasts of seasonal series: ours against seasonal naive and linear autoregressions.

Every method sees the normal rows that train and nothing of the others but what comes before an
origin. A label-free rule, written down before any figure was seen, picks the series.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import find_peaks
from sklearn.linear_model import Ridge

from benchmarks.runs import measure_all
from benchmarks.series_files import Series, find_tsb
from benchmarks.series_generated import seasonal

QUANTILES = np.arange(1, 10) / 10
MAX_HORIZON = 48  # a period, at most this
MAX_FIT = 10_000  # rows of the training prefix
HISTORY = 512  # rows before an origin that our forecast is shown
N_ORIGINS = 60  # per series, evenly spaced
# Which series are seasonal: by the autocorrelation of the training prefix.
PERIODS = 8, 300
LEAST_PEAK = 0.5
LEAST_RISE = 0.5  # above the deepest value before the peak
PER_FAMILY = 10
N_SERIES = 20
N_GENERATED = 4
# The competitors.
LEAST_LAGS = 32
ALPHAS = 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0
N_PATHS = 200


class Case(NamedTuple):
    """A seasonal series and its origins.

    Attributes
    ----------
    name, family : str
        What tells it apart, and what it belongs to.
    values : ndarray of shape (row,)
        First channel.
    n_fit : int
        Rows at the beginning that are fitted on.
    period, horizon : int
        In rows.
    origins : int ndarray
        First rows of the forecasts.
    """

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


def measure(
    data: Path | None, seed: int, *, params: dict[str, Any] | None = None, processes: int = 1
) -> pd.DataFrame:
    """Forecast every series with every method.

    Parameters
    ----------
    data : Path or None
        Folder of TSB-AD's univariate files; generated series if None.
    seed : int
        Of the methods, and of generated series.
    params : dict, optional
        Parameters of our detector that differ from its defaults.
    processes : int
        Series at a time.

    Returns
    -------
    figures : DataFrame
        A row per series and method: ``file``, ``family``, ``period``, ``horizon``, ``method``,
        ``pinball`` (mean over the quantiles 0.1 ... 0.9, steps and origins, in units of the
        series), ``ratio`` (to seasonal naive's) and ``coverage80``.

    Raises
    ------
    Exception
        Whatever a method raises.
    """
    cases = generated_cases(seed) if data is None else seasonal_cases(data)
    rows = []
    for _, result in measure_all([(case, seed, params or {}) for case in cases], processes, _row):
        if isinstance(result, Exception):
            raise result
        rows += result
    figures = pd.DataFrame(rows).sort_values(["file", "method"], ignore_index=True)
    naive = figures[figures["method"] == "seasonal-naive"].set_index("file")["pinball"]
    return figures.assign(ratio=figures["pinball"] / figures["file"].map(naive))


def summary(figures: pd.DataFrame) -> str:
    """One line: pinball loss over seasonal naive's, mean and median, and coverage, by method."""
    words = [
        f"{method} {own['ratio'].mean():.3f} (median {own['ratio'].median():.3f}, "
        f"80 % intervals cover {100 * own['coverage80'].mean():.0f} %)"
        for method, own in figures.groupby("method")
    ]
    best = figures.pivot(index="file", columns="method", values="ratio").idxmin(axis=1)
    wins = (best == "anomdiff").sum()
    return f"forecast: {', '.join(words)}; anomdiff best on {wins} of {len(best)} series"


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
            case = _case(file.name, file.family, series, peak[0])
            found.append((peak[2], len(series.train), case))
    found.sort(key=lambda item: (-item[0], item[2].name))
    chosen, seen, counts = [], set(), {}
    for _, n_train, case in found:
        family = case.family
        if (family, n_train) in seen or not len(case.origins):
            continue
        seen.add((family, n_train))
        counts[family] = counts.get(family, 0) + 1
        if counts[family] <= PER_FAMILY:
            chosen.append(case)
    return chosen[:N_SERIES]


def generated_cases(seed: int) -> list[Case]:
    """Sums of two harmonics with noise, without anomalies."""
    cases = []
    for i in range(N_GENERATED):
        whole = seasonal(3000, np.random.default_rng([seed, i]))[:, None]
        series = Series(whole[:1500], whole, np.zeros(len(whole), dtype=bool))
        peak = season(series.train[:, 0])
        cases.append(_case(f"seasonal-{i}", "generated", series, peak[0]))
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


def ours(case: Case, seed: int, params: dict[str, Any]) -> np.ndarray:
    """Quantiles of our forecasts."""
    from anomdiff import TimeSeriesDetector

    settings = {"random_state": seed, "progress": False, **params}
    detector = TimeSeriesDetector(**settings).fit(case.values[: case.n_fit, None])
    names = [f"q{round(100 * q)}" for q in QUANTILES]
    return np.stack(
        [
            detector.forecast(
                case.values[max(0, t - HISTORY) : t, None], case.horizon, quantiles=QUANTILES
            )[names].to_numpy()
            for t in case.origins
        ]
    )


def seasonal_naive(case: Case, seed: int) -> np.ndarray:
    """The values a period ago, plus the quantiles of what this misses in training."""
    known = case.values[: case.n_fit]
    misses = known[case.period :] - known[: -case.period]
    ago = [case.values[t - case.period : t - case.period + case.horizon] for t in case.origins]
    return np.stack(ago)[:, :, None] + np.quantile(misses, QUANTILES)


def autoregression(case: Case, seed: int) -> np.ndarray:
    """Linear in the last values, step by step along paths with bootstrapped residuals."""
    rng, lags, z = np.random.default_rng(seed), _n_lags(case), _scaled(case)
    windows = sliding_window_view(z[: case.n_fit], lags + 1)
    x = np.column_stack([windows[:, :lags], np.ones(len(windows))])
    y = windows[:, lags]
    weights = np.linalg.lstsq(x, y, rcond=1e-8)[0]
    residuals = (y - x @ weights) * np.sqrt(len(y) / (len(y) - min(lags, len(y) // 2)))
    found = []
    for t in case.origins:
        path = np.tile(z[t - lags : t], (N_PATHS, 1))
        for _ in range(case.horizon):
            new = path[:, -lags:] @ weights[:-1] + weights[-1] + rng.choice(residuals, N_PATHS)
            path = np.column_stack([path, new])
        found.append(np.quantile(path[:, lags:], QUANTILES, axis=0).T)
    return _unscaled(np.stack(found), case)


def ridge(case: Case, seed: int) -> np.ndarray:
    """Regress every step on the last values, about the mean of training."""
    return _direct(case, lambda past: np.zeros((len(past), 1)))


def moving_ridge(case: Case, seed: int) -> np.ndarray:
    """Regress every step on the last values, about their own mean: the level may wander."""
    return _direct(case, lambda past: past.mean(1, keepdims=True))


METHODS: dict[str, Callable[[Case, int], np.ndarray]] = {
    "seasonal-naive": seasonal_naive,
    "autoregression": autoregression,
    "ridge": ridge,
    "moving-ridge": moving_ridge,
}


def pinball(truth: np.ndarray, quantiles: np.ndarray) -> float:
    """Mean pinball loss of quantiles, whose last axis is that of `QUANTILES`."""
    errors = truth[..., None] - quantiles
    return float(np.maximum(QUANTILES * errors, (QUANTILES - 1) * errors).mean())


def _row(task) -> list[dict[str, Any]]:
    """Rows of all methods on one series."""
    case, seed, params = task
    found = {name: method(case, seed) for name, method in METHODS.items()}
    found["anomdiff"] = ours(case, seed, params)
    about = {"file": case.name, "family": case.family, "period": case.period}
    truth = case.truth
    return [
        about
        | {
            "horizon": case.horizon,
            "method": name,
            "pinball": pinball(truth, q),
            "coverage80": float(((truth >= q[..., 0]) & (truth <= q[..., -1])).mean()),
        }
        for name, q in found.items()
    ]


def _case(name: str, family: str, series: Series, period: int) -> Case:
    """Origins after training whose forecast, and the 256 rows before it, are normal."""
    n_fit, horizon = min(len(series.train), MAX_FIT), min(period, MAX_HORIZON)
    bad = np.concatenate([[0], series.anomalous.cumsum()])
    origins = np.arange(n_fit, len(series.whole) - horizon + 1)
    clean = bad[origins + horizon] == bad[np.maximum(origins - 256, 0)]
    origins = origins[clean]
    chosen = np.linspace(0, len(origins) - 1, min(N_ORIGINS, len(origins))).astype(int)
    return Case(name, family, series.whole[:, 0], n_fit, period, horizon, origins[chosen])


def _direct(case: Case, level: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Ridge regression of all steps at once, with quantiles of held-out residuals.

    The penalty is the one that misses least on the last fifth of training.
    """
    lags, z = _n_lags(case), _scaled(case)
    windows = sliding_window_view(z[: case.n_fit], lags + case.horizon)
    windows = windows - level(windows[:, :lags])
    n_first = round(0.8 * len(windows))
    first, late = windows[:n_first], windows[n_first + case.horizon :]
    trials = [_ridge(first, lags, alpha) for alpha in ALPHAS]
    misses = [late[:, lags:] - model.predict(late[:, :lags]) for model in trials]
    best = int(np.argmin([np.square(miss).mean() for miss in misses]))
    past = np.stack([z[t - lags : t] for t in case.origins])
    centre = _ridge(windows, lags, ALPHAS[best]).predict(past - level(past)) + level(past)
    return _unscaled(centre[:, :, None] + np.quantile(misses[best], QUANTILES, axis=0).T, case)


def _ridge(windows: np.ndarray, lags: int, alpha: float) -> Ridge:
    return Ridge(alpha=alpha * len(windows) / 100).fit(windows[:, :lags], windows[:, lags:])


def _n_lags(case: Case) -> int:
    return min(max(case.period, LEAST_LAGS), (case.n_fit - case.horizon) // 4)


def _scaled(case: Case) -> np.ndarray:
    known = case.values[: case.n_fit]
    return (case.values - known.mean()) / known.std()


def _unscaled(z: np.ndarray, case: Case) -> np.ndarray:
    known = case.values[: case.n_fit]
    return z * known.std() + known.mean()
