"""Whether thresholds keep their promise: alarm rates on normal rows, false-discovery rates.

Three checks per table, in the column ``check``:

- ``split``: the detector is fitted once, to half of the normal rows. The scores of the others, a
  pool that neither network nor reference set ever saw, are split at random into calibration and
  test rows, many times; the rate is that of alarms among test rows. Splits of one pool are
  exchangeable whatever the detector: this tests the thresholds, not how ``fit`` calibrates.
- ``refit``: the whole detector, fitted to other rows by another seed each time, with the rows
  that ``fit`` itself holds out. It tests what ``split`` cannot, on fewer repetitions. A level
  for which ``fit`` holds out too few rows is left out: there, nothing is ever flagged.
- ``discoveries``: as ``split``, with anomalies among the test rows; the rate is the share of
  false flags, whose mean is the false-discovery rate.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.thresholds.conformal import conformal_p_values, conformal_threshold, needed_rows
from anomdiff.thresholds.fdr import benjamini_hochberg
from benchmarks.common.comparison import Rows
from benchmarks.tables.protocols import take
from benchmarks.tables.reading import Table
from benchmarks.tasks import data

__all__ = ["figure", "injected", "keeps", "measure", "read", "summary"]

ALPHAS = (0.01, 0.05, 0.1)
FALSE_DISCOVERIES = (0.1, 0.2)
ADBENCH = ("22_magic.gamma", "28_pendigits", "30_satellite", "32_shuttle", "41_Waveform")
MAX_ROWS = 4000  # trained on, or in the pool
LEAST_ROWS = 240  # of which half make a pool of 99 calibration rows and some to test
ANOMALOUS = 0.1  # share of a batch with anomalies
QUICK = {"max_iter": 500}  # the thresholds do not need the last of the training
COLUMNS = ["table", "check", "level", "rate", "standard_error", "n", "n_calibration", "power"]


def read(folder: Path | None, seed: int = 0) -> dict[str, Table]:
    """Read five sets of ADBench, with at least 1,500 normal rows each; no folder: make five."""
    if folder is not None:
        return data.read_tables(folder, seed, {"adbench": ADBENCH})
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(8, 8))
    centres = rng.normal(0, 5, (6, 5))
    return {
        **data.read_tables(None, seed, {}),
        "gaussian": injected(rng.normal(size=(4000, 8)) @ mixing, rng),
        "clusters": injected(centres[rng.integers(6, size=4000)] + rng.normal(size=(4000, 5)), rng),
        "heavy tails": injected(rng.standard_t(3, size=(4000, 6)), rng),
    }


def injected(rows: np.ndarray, rng: np.random.Generator, share: float = ANOMALOUS) -> Table:
    """Add rows whose cells come from different rows, and one of them from six sigma away."""
    n, n_columns = round(share * len(rows)), rows.shape[1]
    odd = np.stack([rng.choice(column, n) for column in rows.T], axis=1)
    at = np.arange(n), rng.integers(n_columns, size=n)
    odd[at] += 6 * rows.std(axis=0)[at[1]] * rng.choice([-1, 1], n)
    return Table(np.vstack([rows, odd]), np.arange(len(rows) + n) >= len(rows))


def measure(
    tables: Mapping[str, Table],
    n_splits: int = 200,
    n_refits: int = 10,
    seed: int = 0,
    params: Mapping[str, Any] = QUICK,
) -> pd.DataFrame:
    """Measure the rates of all checks, repeated so often, on tables with at least 240 normal rows.

    The columns are those of `COLUMNS`: ``level`` is alpha or q, ``n`` the number of repetitions,
    over whose mean ``standard_error`` is, and ``power`` the share of anomalies that is flagged (NaN
    where there are none). ``refit`` needs 2 repetitions, or 0 to leave it out.
    """
    rows = []
    for place, (name, table) in enumerate(tables.items()):
        _require_rows(name, table)
        pool, anomalies = _scores(table, seed, params)
        rng = np.random.default_rng([seed, place])  # tables of one size must not be split alike
        checks = {
            "split": [_alarm_rates(pool, rng) for _ in range(n_splits)],
            "refit": [_refitted_rates(table, seed + 1 + i, params) for i in range(n_refits)],
            "discoveries": [_false_shares(pool, anomalies, rng) for _ in range(n_splits)],
        }
        for check, found in checks.items():
            rows += [(name, check, *row) for row in _means(found)]
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(results: pd.DataFrame) -> str:
    """Say in one line what the rates are over all tables, and how many keep within two errors.

    Of single rates that are exact, one in twenty is expected to be outside.
    """
    parts = []
    for check, of_check in results.groupby("check", sort=False):
        shown = []
        for level, found in of_check.groupby("level"):
            error = np.sqrt((found["standard_error"] ** 2).sum()) / len(found)  # independent tables
            shown.append(f"{found['rate'].mean():.4f}±{error:.4f} at {level:g}")
        kept = f"{keeps(of_check).sum()}/{len(of_check)} kept"
        parts.append(f"{check}: {', '.join(shown)} ({kept})")
    return f"{results['table'].nunique()} tables | " + " | ".join(parts)


def figure(results: pd.DataFrame) -> str:
    """Say how many rates of splits keep."""
    kept = keeps(results[results["check"] != "refit"])
    return f"conformal ok {kept.sum()}/{len(kept)}"


def keeps(results: pd.DataFrame) -> pd.Series:
    """Which rates are within two standard errors: of alpha on both sides, below q."""
    excess = (results["rate"] - results["level"]) / results["standard_error"]
    return (excess <= 2) & ((results["check"] == "discoveries") | (excess >= -2))


def _require_rows(name: str, table: Table) -> None:
    n_normal = int((~table.anomalous).sum())
    if n_normal < LEAST_ROWS or n_normal == len(table.anomalous):
        raise ValueError(
            f"need {LEAST_ROWS} normal rows and an anomaly; table {name!r} has {n_normal} "
            f"and {len(table.anomalous) - n_normal}."
        )


def _parts(table: Table, seed: int) -> list[Rows]:
    """Random rows: normal ones to train on, normal ones to score, and anomalies."""
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(~table.anomalous))
    half = len(normal) // 2
    anomalies = rng.permutation(np.flatnonzero(table.anomalous))
    parts = normal[:half], normal[half:], anomalies
    return [take(table.rows, rows[:MAX_ROWS]) for rows in parts]


def _scores(table: Table, seed: int, params: Mapping) -> list[np.ndarray]:
    """Scores of the pool and of the anomalies, by one fit to the other normal rows."""
    training, *parts = _parts(table, seed)
    detector = data.fitted(training, seed, {"alpha": min(ALPHAS), **params})
    return [detector.score_frame(part)["anomaly_score"].to_numpy() for part in parts]


def _halves(pool: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Calibration and test scores; with ``100 k - 1`` of the first, alpha is met exactly."""
    pool = rng.permutation(pool)
    n = 100 * max(1, len(pool) // 200) - 1
    return np.sort(pool[:n]), pool[n:]


def _alarm_rates(pool: np.ndarray, rng: np.random.Generator) -> list[tuple]:
    """Level, rate, number of calibration rows and power (none), per alpha."""
    calibration, test = _halves(pool, rng)
    rates = [np.mean(test > conformal_threshold(calibration, alpha)) for alpha in ALPHAS]
    return [(a, rate, len(calibration), np.nan) for a, rate in zip(ALPHAS, rates, strict=True)]


def _false_shares(pool: np.ndarray, anomalies: np.ndarray, rng) -> list[tuple]:
    """Level, share of false flags, number of calibration rows and power, per level."""
    calibration, test = _halves(pool, rng)
    wanted = max(1, round(len(test) * ANOMALOUS / (1 - ANOMALOUS)))
    planted = rng.permutation(anomalies)[:wanted]
    p_values = conformal_p_values(calibration, np.append(test, planted))
    rows = []
    for q in FALSE_DISCOVERIES:
        flags = benjamini_hochberg(p_values, q)
        false, found = flags[: len(test)].sum(), flags[len(test) :].sum()
        rows.append((q, false / max(flags.sum(), 1), len(calibration), found / len(planted)))
    return rows


def _refitted_rates(table: Table, seed: int, params: Mapping) -> list[tuple]:
    """Level, rate, number of calibration rows and power (none), of one complete fit."""
    training, fresh, _ = _parts(table, seed)
    detector = data.fitted(training, seed, {"alpha": min(ALPHAS), **params})
    n_calibration = len(detector.calibration_scores_)
    scores = detector.score_frame(fresh)["anomaly_score"]
    return [
        (alpha, np.mean(scores > detector.set_alpha(alpha).threshold_), n_calibration, np.nan)
        for alpha in ALPHAS
        if n_calibration >= needed_rows(alpha)
    ]


def _means(found: list[list[tuple]]) -> Iterator[tuple]:
    """Mean and standard error of every level, over repetitions."""
    for repetitions in zip(*found, strict=True):
        levels, rates, n_calibration, power = map(np.array, zip(*repetitions, strict=True))
        error = rates.std(ddof=1) / np.sqrt(len(rates))
        yield levels[0], rates.mean(), error, len(rates), n_calibration[0], power.mean()
