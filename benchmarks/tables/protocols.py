"""Decide which rows of a labelled table train and which are tested."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.common.comparison import Rows, Split
from benchmarks.tables.reading import Dataset, Table

__all__ = ["FIXED", "PROTOCOLS", "as_frame", "cap", "contaminated", "published", "shuffled", "take"]

FIXED = "fixed"  # of a set whose authors split it

PUBLISHED_LEAST = 1_000
PUBLISHED_MOST = 50_000  # with 10,000 the published kNN of the large sets does not come out


def shuffled(table: Table, seed: int) -> Split:
    """Train on a random half of the normal rows; test on the other half and all anomalies.

    No row is in both parts unless the file itself has it twice.
    """
    rng = np.random.default_rng(seed)
    normal = rng.permutation(np.flatnonzero(~table.anomalous))
    return _one_class(table, normal, len(normal) // 2)


def published(table: Table, seed: int) -> Split:
    """Split as the published one-class figures of ADBench do. Flawed, for comparison only.

    Small sets are resampled with replacement before the split, so copies of test rows are in
    the training rows; other sets are split in the order of the file, which may be sorted.
    Livernoche et al. (2024), "On Diffusion Modeling for Anomaly Detection".
    """
    rng = np.random.default_rng(seed)
    n_rows = len(table.rows)
    rows = np.arange(n_rows)
    if n_rows < PUBLISHED_LEAST:
        rows = rng.choice(n_rows, PUBLISHED_LEAST, replace=True)
    elif n_rows > PUBLISHED_MOST:
        rows = rng.choice(n_rows, PUBLISHED_MOST, replace=False)
    table = Table(take(table.rows, rows), table.anomalous[rows])
    normal = np.flatnonzero(~table.anomalous)
    return _one_class(table, normal, round(len(normal) / 2))


def contaminated(table: Table, seed: int) -> Split:
    """Fit on all rows, anomalies included and labels unseen, and score the same rows."""
    return Split(table.rows, table.rows, table.anomalous)


PROTOCOLS: dict[str, Callable[[Table, int], Split]] = {
    "shuffled": shuffled,
    "published": published,
    "contaminated": contaminated,
}


def read_split(dataset: Dataset, protocol: str, max_train: int, max_test: int, seed: int) -> Split:
    """Read a set and split it by a protocol, unless it comes split, into at most so many rows."""
    data = dataset.read()
    split = data if isinstance(data, Split) else PROTOCOLS[protocol](data, seed)
    return cap(split, max_train, max_test, seed)


def cap(split: Split, max_train: int, max_test: int, seed: int) -> Split:
    """Draw subsets of a split that is too large to afford.

    The share of anomalies among the tested rows stays what it is. Rows that are both trained
    on and tested are drawn once, within both limits.
    """
    rng = np.random.default_rng(seed)
    if split.test is split.train:
        rows = _stratified(split.anomalous, min(max_train, max_test), rng)
        both = split.train if len(rows) == len(split.train) else take(split.train, rows)
        return Split(both, both, split.anomalous[rows])
    train = split.train
    if len(train) > max_train:
        train = take(train, np.sort(rng.choice(len(train), max_train, replace=False)))
    rows = _stratified(split.anomalous, max_test, rng)
    return Split(train, take(split.test, rows), split.anomalous[rows])


def take(rows: Rows, which: np.ndarray) -> Rows:
    """Rows of an array or a frame by position."""
    return rows.iloc[which] if isinstance(rows, pd.DataFrame) else rows[which]


def as_frame(rows: Rows) -> pd.DataFrame:
    """Rows as a frame, numbered from 0."""
    if isinstance(rows, pd.DataFrame):
        return rows.reset_index(drop=True)
    return pd.DataFrame(rows, columns=[f"x{i}" for i in range(rows.shape[1])])


def _one_class(table: Table, normal: np.ndarray, n_train: int) -> Split:
    anomalies = np.flatnonzero(table.anomalous)
    if not n_train or not len(anomalies):
        raise ValueError(
            f"need at least 2 normal rows and 1 anomaly; got {len(normal)} and {len(anomalies)}."
        )
    test = np.concatenate([normal[n_train:], anomalies])
    return Split(take(table.rows, normal[:n_train]), take(table.rows, test), table.anomalous[test])


def _stratified(anomalous: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    if len(anomalous) <= most:
        return np.arange(len(anomalous))
    anomalies, normal = np.flatnonzero(anomalous), np.flatnonzero(~anomalous)
    n_anomalies = max(1, round(most * len(anomalies) / len(anomalous)))
    n_anomalies = min(n_anomalies, len(anomalies))
    drawn = [
        rng.choice(anomalies, n_anomalies, replace=False),
        rng.choice(normal, min(most - n_anomalies, len(normal)), replace=False),
    ]
    return np.sort(np.concatenate(drawn))
