"""Whether thresholds keep their promise: alarm rates on normal rows, false-discovery rates.

Three checks per table, in the column ``check``:

- ``split``: the detector is fitted once, to half of the normal rows. The scores of the others, a
  pool that neither network nor memory ever saw, are split at random into calibration and test
  rows, many times; the rate is that of alarms among test rows. Splits of one pool are
  exchangeable whatever the detector: this tests the thresholds, not how ``fit`` calibrates.
- ``refit``: the whole detector, fitted to other rows by another seed each time, with the rows
  that ``fit`` itself holds out. It tests what ``split`` cannot, on fewer repetitions. A level
  for which ``fit`` holds out too few rows is left out: there, nothing is ever flagged.
- ``discoveries``: as ``split``, with anomalies among the test rows; the rate is the share of
  false flags, whose mean is the false-discovery rate.
"""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from anomdiff.datasets import medical, payments
from anomdiff.thresholds.conformal import conformal_p_values, conformal_threshold, needed_rows
from anomdiff.thresholds.fdr import benjamini_hochberg
from benchmarks.protocols import take
from benchmarks.suites import Table, find_sets

ALPHAS = (0.01, 0.05, 0.1)
FALSE_DISCOVERIES = (0.1, 0.2)
ADBENCH = ("22_magic.gamma", "28_pendigits", "30_satellite", "32_shuttle", "41_Waveform")
MAX_ROWS = 4000  # trained on, or in the pool
LEAST_ROWS = 240  # of which half make a pool of 99 calibration rows and some to test
ANOMALOUS = 0.1  # share of a batch with anomalies
QUICK = {"max_iter": 500, "progress": False}  # the thresholds do not need the last of the training
COLUMNS = ["table", "check", "level", "rate", "standard_error", "n", "n_calibration", "power"]


def generated_tables(seed: int = 0) -> dict[str, Table]:
    """Make five tables that need no download; the first two have anomalies of their own."""
    rng = np.random.default_rng(seed)
    frame, truth = payments(6000, fraud_rate=0.1, seed=seed)
    tumours, malignant = medical()
    mixing = rng.normal(size=(8, 8))
    centres = rng.normal(0, 5, (6, 5))
    return {
        "payments": Table(frame, truth["is_fraud"].to_numpy()),
        "medical": Table(tumours, malignant.to_numpy()),
        "gaussian": injected(rng.normal(size=(4000, 8)) @ mixing, rng),
        "clusters": injected(centres[rng.integers(6, size=4000)] + rng.normal(size=(4000, 5)), rng),
        "heavy tails": injected(rng.standard_t(3, size=(4000, 6)), rng),
    }


def adbench_tables(folder: Path) -> dict[str, Table]:
    """Read five sets of ADBench, with at least 1,500 normal rows each."""
    return {each.name: each.read() for each in find_sets("adbench", folder, ADBENCH)}


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
    params: Mapping[str, object] = QUICK,
) -> pd.DataFrame:
    """Measure the rates of all checks on all tables.

    Parameters
    ----------
    tables : mapping of str to Table
        At least 240 normal rows each, and anomalies.
    n_splits, n_refits : int
        Repetitions of the checks; ``refit`` needs 2, or 0 to leave it out.
    seed : int, default=0
        Of splits, fits and batches.
    params : mapping
        Parameters of the detector.

    Returns
    -------
    results : DataFrame
        Columns ``table``, ``check``, ``level`` (alpha or q), ``rate``, ``standard_error`` (of
        the mean over repetitions), ``n`` (repetitions), ``n_calibration`` and ``power`` (share
        of the anomalies that is flagged; NaN where there are none).

    Raises
    ------
    ValueError
        If a table has too few normal rows, or no anomaly.
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

    Alarm rates keep if they are within two standard errors of alpha on either side,
    false-discovery rates if they are below the level by more than minus two. Of single rates that
    are exact, one in twenty is expected to be outside.
    """
    parts = []
    for check, of_check in results.groupby("check", sort=False):
        pooled = of_check.groupby("level").apply(_pooled, include_groups=False)
        rates = ", ".join(
            f"{row.rate:.4f}±{row.standard_error:.4f} at {level:g}"
            for level, row in pooled.iterrows()
        )
        kept = f"{keeps(of_check).sum()}/{len(of_check)} kept"
        parts.append(f"{check}: {rates} ({kept})")
    return f"{results['table'].nunique()} tables | " + " | ".join(parts)


def keeps(results: pd.DataFrame) -> pd.Series:
    """Tell the rates that are where they should be, within two standard errors."""
    excess = (results["rate"] - results["level"]) / results["standard_error"]
    return (excess <= 2) & ((results["check"] == "discoveries") | (excess >= -2))


def _pooled(group: pd.DataFrame) -> pd.Series:
    """Mean over the tables, which are independent."""
    error = np.sqrt((group["standard_error"] ** 2).sum()) / len(group)
    return pd.Series({"rate": group["rate"].mean(), "standard_error": error})


def _require_rows(name: str, table: Table) -> None:
    n_normal = int((~table.anomalous).sum())
    if n_normal < LEAST_ROWS or n_normal == len(table.anomalous):
        raise ValueError(
            f"need {LEAST_ROWS} normal rows and an anomaly; table {name!r} has {n_normal} "
            f"and {len(table.anomalous) - n_normal}."
        )


def _parts(table: Table, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random rows: normal ones to train on, normal ones to score, and anomalies."""
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(~table.anomalous))
    half = len(normal) // 2
    anomalies = rng.permutation(np.flatnonzero(table.anomalous))
    return normal[:half][:MAX_ROWS], normal[half:][:MAX_ROWS], anomalies[:MAX_ROWS]


def _scores(table: Table, seed: int, params) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the pool and of the anomalies, by one fit to the other normal rows."""
    training, pool, anomalies = _parts(table, seed)
    detector = _fitted(take(table.rows, training), seed, params)
    parts = (take(table.rows, rows) for rows in (pool, anomalies))
    return tuple(detector.score_frame(part)["anomaly_score"].to_numpy() for part in parts)


def _fitted(rows, seed: int, params) -> TabularDetector:
    settings = {"alpha": min(ALPHAS), "random_state": seed, **params}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns left out; few held-out rows
        return TabularDetector(**settings).fit(rows)


def _halves(pool: np.ndarray, rng) -> tuple[np.ndarray, np.ndarray]:
    """Calibration and test scores; with ``100 k - 1`` of the first, alpha is met exactly."""
    pool = rng.permutation(pool)
    n = 100 * max(1, len(pool) // 200) - 1
    return np.sort(pool[:n]), pool[n:]


def _alarm_rates(pool: np.ndarray, rng) -> Iterator[tuple]:
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


def _refitted_rates(table: Table, seed: int, params) -> list[tuple]:
    """Level, rate, number of calibration rows and power (none), of one complete fit."""
    training, fresh, _ = _parts(table, seed)
    detector = _fitted(take(table.rows, training), seed, params)
    fresh, rows = take(table.rows, fresh), []
    n_calibration = len(detector.calibration_scores_)
    scores = detector.score_frame(fresh)["anomaly_score"]
    for alpha in ALPHAS:
        if n_calibration >= needed_rows(alpha):
            rate = np.mean(scores > detector.set_alpha(alpha).threshold_)
            rows.append((alpha, rate, n_calibration, np.nan))
    return rows


def _means(found: list[list[tuple]]) -> Iterator[tuple]:
    """Mean and standard error of every level, over repetitions."""
    for repetitions in zip(*found, strict=True):
        levels, rates, n_calibration, power = map(np.array, zip(*repetitions, strict=True))
        error = rates.std(ddof=1) / np.sqrt(len(rates))
        yield levels[0], rates.mean(), error, len(rates), n_calibration[0], power.mean()
