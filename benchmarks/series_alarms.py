"""How many alarms new normal steps raise, by the length of the training period."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from anomdiff import TimeSeriesDetector
from benchmarks.runs import measure_all
from benchmarks.series_generated import SHAPES

LENGTHS = 500, 1_000, 2_000, 4_000
ALPHAS = 0.05, 0.01
N_NEW = 4_000


def heavy_tailed(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Independent values of Student's t with three degrees of freedom."""
    return rng.standard_t(3, n_rows)


STATIONARY: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
    "seasonal": SHAPES["seasonal"],
    "autoregressive": SHAPES["autoregressive"],
    "heavy-tailed": heavy_tailed,
}


def measure_alarms(
    n_seeds: int,
    processes: int = 1,
    params: Mapping[str, Any] | None = None,
    lengths: Sequence[int] = LENGTHS,
    n_new: int = N_NEW,
) -> pd.DataFrame:
    """Fit to the beginning of stationary series and score what follows.

    Parameters
    ----------
    n_seeds : int
        Series per shape and length.
    processes : int, default=1
        Of one thread each.
    params : mapping, optional
        Parameters of the detector that differ from its defaults.
    lengths : sequence of int
        Steps to fit to.
    n_new : int
        Steps to score.

    Returns
    -------
    rates : DataFrame
        Columns ``shape``, ``n_train``, ``seed``, ``alpha`` and ``rate``, the share of alarms.
    """
    tasks = [
        (shape, n_train, seed, n_new, dict(params or {}))
        for shape in STATIONARY
        for n_train in lengths
        for seed in range(n_seeds)
    ]
    rows = []
    for _, found in measure_all(tasks, processes, _rates):
        if isinstance(found, Exception):
            raise found
        rows += found
    columns = ["shape", "n_train", "seed", "alpha", "rate"]
    return pd.DataFrame(rows, columns=columns).sort_values(columns, ignore_index=True)


def alarms_table(rates: pd.DataFrame) -> str:
    """Mean rates by shape and length."""
    means = rates.pivot_table("rate", ["shape", "n_train"], "alpha")
    return means.round(4).to_string()


def alarms_line(rates: pd.DataFrame) -> str:
    """Mean rates by length, over all shapes."""
    parts = []
    for n_train, chosen in rates.groupby("n_train"):
        means = chosen.groupby("alpha")["rate"].mean()
        shown = ", ".join(f"{rate:.4f} at {alpha:g}" for alpha, rate in means.items())
        parts.append(f"{n_train} steps: {shown}")
    return f"alarms | {' | '.join(parts)} | series {len(rates) // rates['alpha'].nunique()}"


def _rates(task: tuple) -> list[tuple]:
    shape, n_train, seed, n_new, params = task
    values = STATIONARY[shape](n_train + n_new, np.random.default_rng(seed))[:, None]
    options = {"random_state": seed, "progress": False, **params}
    detector = TimeSeriesDetector(**options).fit(values[:n_train])
    scores = detector.score_frame(values[n_train:])["anomaly_score"].to_numpy()
    return [
        (shape, n_train, seed, alpha, float((scores > detector.set_alpha(alpha).threshold_).mean()))
        for alpha in ALPHAS
    ]
