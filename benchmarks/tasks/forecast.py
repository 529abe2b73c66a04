"""Forecasts of seasonal series: ours against seasonal naive and linear autoregressions.

Every method sees the normal rows that train and nothing of the others but what comes before an
origin.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.common.processes import gather
from benchmarks.series.methods import timeseries
from benchmarks.tasks.forecasters import METHODS, QUANTILES
from benchmarks.tasks.seasonal_series import Case, generated_cases, seasonal_cases

__all__ = ["figure", "measure", "pinball", "read", "summary"]

HISTORY = 512  # rows before an origin that our forecast is shown


def read(folder: Path | None, seed: int = 0) -> list[Case]:
    """Pick the seasonal files of TSB-AD's univariate ones; without a folder, generate series."""
    return generated_cases(seed) if folder is None else seasonal_cases(folder / "TSB-AD-U")


def measure(
    cases: Sequence[Case],
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
    processes: int = 1,
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


def ours(case: Case, seed: int, params: Mapping[str, Any] | None) -> np.ndarray:
    """Quantiles of our forecasts."""
    detector = timeseries(seed, params).fit(case.values[: case.n_fit, None])
    names = [f"q{round(100 * q)}" for q in QUANTILES]
    return np.stack(
        [
            detector.forecast(
                case.values[max(0, t - HISTORY) : t, None], case.horizon, quantiles=QUANTILES
            )[names].to_numpy()
            for t in case.origins
        ]
    )


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
