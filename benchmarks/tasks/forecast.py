"""Forecasts of seasonal series: ours against seasonal naive and linear autoregressions.

Every method sees the normal rows that train and nothing of the others but what comes before an
origin.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.linear_model import Ridge

from benchmarks.common.methods import Params
from benchmarks.common.processes import gather
from benchmarks.series.methods import timeseries
from benchmarks.tasks.seasonal_series import Case, generated_cases, seasonal_cases

__all__ = ["METHODS", "QUANTILES", "figure", "measure", "pinball", "read", "summary"]

QUANTILES = np.arange(1, 10) / 10
LEAST_LAGS = 32
ALPHAS = 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0
N_PATHS = 200
HISTORY = 512  # rows before an origin that our forecast is shown


def read(folder: Path | None, seed: int = 0) -> list[Case]:
    """Pick the seasonal files of TSB-AD's univariate ones; without a folder, generate series."""
    return generated_cases(seed) if folder is None else seasonal_cases(folder / "TSB-AD-U")


def measure(
    cases: Sequence[Case], seed: int = 0, params: Params = None, processes: int = 1
) -> pd.DataFrame:
    """Forecast every series with every method; raise whatever a method raises.

    A row per series and method: ``pinball`` is the mean over the quantiles 0.1 ... 0.9, steps and
    origins, in units of the series, and ``ratio`` that over seasonal naive's.
    """
    rows = gather(_rows, [(case, seed, params) for case in cases], processes)
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


def figure(figures: pd.DataFrame) -> str:
    """Say our pinball loss over seasonal naive's."""
    ratio = figures.loc[figures["method"] == "anomdiff", "ratio"].mean()
    return f"forecast pinball ratio {ratio:.3f}"


def ours(case: Case, seed: int, params: Params) -> np.ndarray:
    """Quantiles of our forecasts."""
    detector = timeseries(seed, params).fit(case.values[: case.n_fit, None])
    names = [f"q{round(100 * q)}" for q in QUANTILES]
    shown = [case.values[max(0, t - HISTORY) : t, None] for t in case.origins]
    return np.stack(
        [detector.forecast(rows, case.horizon, quantiles=QUANTILES)[names] for rows in shown]
    )


def seasonal_naive(case: Case, seed: int) -> np.ndarray:
    """The values a period ago, plus the quantiles of its errors in training."""
    known = case.values[: case.n_fit]
    errors = known[case.period :] - known[: -case.period]
    ago = [case.values[t - case.period : t - case.period + case.horizon] for t in case.origins]
    return np.stack(ago)[:, :, None] + np.quantile(errors, QUANTILES)


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


def _direct(case: Case, level: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Ridge regression of all steps at once, with quantiles of held-out residuals.

    The penalty is the one with the least error on the last fifth of training.
    """
    lags, z = _n_lags(case), _scaled(case)
    windows = sliding_window_view(z[: case.n_fit], lags + case.horizon)
    windows = windows - level(windows[:, :lags])
    n_first = round(0.8 * len(windows))
    first, late = windows[:n_first], windows[n_first + case.horizon :]
    trials = [_ridge(first, lags, alpha) for alpha in ALPHAS]
    errors = [late[:, lags:] - model.predict(late[:, :lags]) for model in trials]
    best = int(np.argmin([np.square(error).mean() for error in errors]))
    past = np.stack([z[t - lags : t] for t in case.origins])
    centre = _ridge(windows, lags, ALPHAS[best]).predict(past - level(past)) + level(past)
    return _unscaled(centre[:, :, None] + np.quantile(errors[best], QUANTILES, axis=0).T, case)


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


def pinball(truth: np.ndarray, quantiles: np.ndarray) -> float:
    """Mean pinball loss of quantiles, whose last axis is that of `QUANTILES`."""
    errors = truth[..., None] - quantiles
    return float(np.maximum(QUANTILES * errors, (QUANTILES - 1) * errors).mean())


def _rows(task: tuple) -> list[dict[str, Any]]:
    """Rows of all methods on one series."""
    case, seed, params = task
    found = {name: method(case, seed) for name, method in METHODS.items()}
    found["anomdiff"] = ours(case, seed, params)
    truth = case.truth
    return [
        {
            "file": case.name,
            "family": case.family,
            "period": case.period,
            "horizon": case.horizon,
            "method": name,
            "pinball": pinball(truth, q),
            "coverage80": float(((truth >= q[..., 0]) & (truth <= q[..., -1])).mean()),
        }
        for name, q in found.items()
    ]
