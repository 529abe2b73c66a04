"""How near imputed cells come to the cells that were removed, beside two imputers of scikit-learn.

Every method learns from the same complete normal rows. From other normal rows each cell is removed
with one probability. The error of a column is the root mean squared error of its numbers, in
standard deviations of the training column, or the share of its categories that are wrong; that of
a table the mean over columns. Categories are one-hot for the others, the largest coordinate
counts. Timestamps are never removed.
"""

import time
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from anomdiff import TabularDetector
from benchmarks.common.methods import Params
from benchmarks.tables.reading import Table
from benchmarks.tasks import data

__all__ = ["COLUMNS", "RATES", "figure", "measure", "read", "summary"]

# Chosen before the first figure was seen.
SETS = {
    "adbench": ("cardio", "magic.gamma", "Wilt", "pendigits", "Waveform", "satellite"),
    "mixed": ("ai4i2020", "hmeq", "sick", "creditcard_ulb_merged_subset"),
}
RATES = (0.1, 0.3, 0.5)
MAX_TRAIN, N_ROWS, N_DRAWS = 3000, 600, 50
LEVEL = 0.9
COLUMNS = ["table", "rate", "anomdiff", "knn", "iterative", "coverage", "width", "seconds"]

read = partial(data.read_tables, sets=SETS)


def measure(
    tables: Mapping[str, Table], seed: int = 0, n_draws: int = N_DRAWS, params: Params = None
) -> pd.DataFrame:
    """Remove cells and fill them again.

    A line per table and share of cells removed: the error of each method, the share of removed
    numbers inside the interval of ``LEVEL`` between two quantiles of the draws, the mean width of
    that in standard deviations, and seconds for mean and draws.
    """
    lines = []
    for name, table in tables.items():
        detector, training, normal = data.fitted_half(table, seed, MAX_TRAIN, params)
        rows = normal.sample(min(N_ROWS, len(normal)), random_state=seed).reset_index(drop=True)
        coding = _Coding(detector, training)
        times = [column.name for column in detector.schema_.used if column.kind == "datetime"]
        for rate in RATES:
            chosen = np.random.default_rng(seed).random(rows.shape) < rate
            removed = rows.notna() & chosen & ~rows.columns.isin(times)
            holed = rows.mask(removed)
            start = time.perf_counter()
            filled = {"anomdiff": detector.impute(holed)}
            drawn = detector.impute(holed, n_draws=n_draws, random_state=seed)
            seconds = time.perf_counter() - start
            filled["knn"] = coding.fill(KNNImputer(), holed)
            filled["iterative"] = coding.fill(IterativeImputer(random_state=seed), holed)
            errors = [coding.error(each, rows, removed) for each in filled.values()]
            within = coding.intervals(drawn, n_draws, rows, removed)
            lines.append((name, rate, *errors, *within, seconds))
    return pd.DataFrame(lines, columns=COLUMNS)


def summary(results: pd.DataFrame) -> str:
    """Say in one line how our errors compare, and how often the intervals hold the number."""
    parts = []
    for other in ("knn", "iterative"):
        ratio = results["anomdiff"] / results[other]
        wins = f"{(ratio < 1).sum()}/{len(ratio)} lower"
        parts.append(f"error / {other} {ratio.mean():.3f} (worst {ratio.max():.3f}, {wins})")
    inside = results["coverage"]
    held = f"{LEVEL:.0%} intervals hold {inside.mean():.1%} ({inside.min():.1%}-{inside.max():.1%})"
    return " | ".join([*parts, held, f"tables {results['table'].nunique()}"])


def figure(results: pd.DataFrame) -> str:
    """Say how our error compares to that of the competitor it is nearest to."""
    ratios = [(results["anomdiff"] / results[other]).mean() for other in ("knn", "iterative")]
    return f"impute ratio {max(ratios):.3f}"


class _Coding:
    """Numbers in standard deviations, categories one-hot, and how wrong cells are."""

    def __init__(self, detector: TabularDetector, training: pd.DataFrame):
        kinds = {column.name: column.kind for column in detector.schema_.used}
        self.training = training
        self.numeric = [name for name, kind in kinds.items() if kind == "number"]
        self.levels = {
            name: training[name].dropna().unique()
            for name, kind in kinds.items()
            if kind in ("category", "boolean")
        }
        self.mean = training[self.numeric].mean()
        std = training[self.numeric].std()
        self.std = std.where(std > 0, 1.0)

    def fill(self, imputer: KNNImputer | IterativeImputer, holed: pd.DataFrame) -> pd.DataFrame:
        """Fill the cells by an imputer of arrays, fitted to the training rows."""
        coded = imputer.fit(self._code(self.training)).transform(self._code(holed))
        filled, at = holed.copy(), len(self.numeric)
        filled[self.numeric] = coded[:, :at] * self.std.to_numpy() + self.mean.to_numpy()
        for name, levels in self.levels.items():
            likeliest = levels[coded[:, at : at + len(levels)].argmax(axis=1)]
            filled[name] = holed[name].where(holed[name].notna(), likeliest)
            at += len(levels)
        return filled

    def error(self, filled: pd.DataFrame, truth: pd.DataFrame, removed: pd.DataFrame) -> float:
        """Mean error of the columns that cells were removed from."""
        error = (filled[self.numeric] - truth[self.numeric]) / self.std
        errors = [*(error[removed[self.numeric]] ** 2).mean().pow(0.5)]
        for name in self.levels:
            wrong = (filled[name] != truth[name])[removed[name]]
            errors.append(wrong.mean() if len(wrong) else np.nan)
        return float(np.nanmean(errors))

    def intervals(
        self, drawn: pd.DataFrame, n_draws: int, truth: pd.DataFrame, removed: pd.DataFrame
    ) -> tuple[float, float]:
        """Share of the removed numbers inside the intervals, and the mean width of these."""
        cells = drawn[self.numeric].to_numpy(float).reshape(n_draws, *truth[self.numeric].shape)
        low, high = np.quantile(cells, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        true, counted = truth[self.numeric].to_numpy(float), removed[self.numeric].to_numpy()
        slack = 1e-9 * self.std.to_numpy()
        inside = (true >= low - slack) & (true <= high + slack)
        width = (high - low) / self.std.to_numpy()
        return float(inside[counted].mean()), float(width[counted].mean())

    def _code(self, rows: pd.DataFrame) -> np.ndarray:
        blocks = [((rows[self.numeric] - self.mean) / self.std).to_numpy(float)]
        for name, levels in self.levels.items():
            one_hot = (rows[name].to_numpy()[:, None] == levels).astype(float)
            one_hot[rows[name].isna()] = np.nan
            blocks.append(one_hot)
        return np.hstack(blocks)
