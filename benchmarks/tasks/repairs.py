"""Whether repaired anomalies are normal, and how many columns it took.

The anomalies of labelled tables that the detector flags are repaired by changing as many columns
as it takes, and again by changing three at most.
"""

import warnings
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from benchmarks.common.methods import Params
from benchmarks.common.processes import timed
from benchmarks.tables.reading import Table
from benchmarks.tasks import data

__all__ = ["COLUMNS", "figure", "measure", "n_changed", "read", "summary"]

MAX_TRAIN = 6000
N_ROWS = 100
FEW = 3
COLUMNS = [
    *("table", "n", "n_columns", "normal", "median_changed", "normal_by_few", "median_score"),
    *("threshold", "seconds_per_row"),
]

read = partial(data.read_tables, sets={"mixed": ()})


def measure(
    tables: Mapping[str, Table], seed: int = 0, n_rows: int = N_ROWS, params: Params = None
) -> pd.DataFrame:
    """Repair at most so many flagged anomalies of each table.

    A line per table of which any is flagged: anomalies repaired and columns there are, share that
    is normal afterwards, median of the changed columns, share that is normal where three may
    change at most, median score before, threshold, and seconds per row.
    """
    lines = []
    for name, table in tables.items():
        split = data.split(table, seed, MAX_TRAIN)
        detector = data.fitted(split.train, seed, params)
        anomalies = split.test[split.anomalous].reset_index(drop=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # ignored columns, rows that stay anomalies
            scored = detector.score_frame(anomalies)
            flagged = np.flatnonzero(scored["is_anomaly"])
            flagged = np.random.default_rng(seed).permutation(flagged)[:n_rows]
            if not len(flagged):
                continue
            rows, score = anomalies.iloc[flagged], scored["anomaly_score"].iloc[flagged].median()
            repaired, seconds = timed(partial(detector.repair, rows))
            few = detector.repair(rows, max_columns=FEW)
            normal, by_few = (
                1 - detector.score_frame(each)["is_anomaly"].mean() for each in (repaired, few)
            )
        figures = normal, np.median(n_changed(rows, repaired)), by_few, score, detector.threshold_
        sizes = len(rows), len(detector.columns_)
        lines.append((name, *sizes, *figures, seconds / len(rows)))
    return pd.DataFrame(lines, columns=COLUMNS)


def summary(results: pd.DataFrame) -> str:
    """Say in one line what share is normal after the repair, and how many columns that took."""
    rows = results["n"].to_numpy()
    return (
        f"repaired {np.average(results['normal'], weights=rows):.1%} of {rows.sum()} anomalies, "
        f"at worst {results['normal'].min():.1%} of a table | "
        f"median of the tables' median changed columns {results['median_changed'].median():g}, "
        f"{(results['median_changed'] <= FEW).sum()} of {len(results)} tables at most {FEW} | "
        f"with at most {FEW} columns {np.average(results['normal_by_few'], weights=rows):.1%}"
    )


def figure(results: pd.DataFrame) -> str:
    """Say what share is normal after the repair."""
    return f"repair {(results['normal'] * results['n']).sum() / results['n'].sum():.3f}"


def n_changed(before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
    """Count the changed cells of each row; two missing cells are the same."""
    same = (before == after) | (before.isna() & after.isna())
    return (~same.fillna(False).astype(bool)).sum(axis=1).to_numpy()
