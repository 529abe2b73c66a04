"""Whether the column that was corrupted is the one to be blamed, beside two other attributions.

Normal rows that no method was fitted to get one corrupted cell each, in a column drawn at random
among those with a cell there. One rule serves all tables (`corrupted`):

- a number in the lower half of its column becomes the 99 % quantile of the column plus 3 to 6 of
  its standard deviations, one in the upper half the 1 % quantile minus as many;
- a category becomes, with equal chances, a text that the column never had, or one of its other
  values that fewer than 1 % of the training rows have (where there is none: the former).

Left out are columns of one value, flags and dates (any other is plausible), and categories in
which more than 5 % of the training cells occur once: there new values are normal. A rare value or
a tail may well be normal too: how many rows are flagged at all is in the results.

The methods see the same training rows. For the two others, numbers are in standard deviations and
categories one-hot, by the detector's own encoder; the columns add up their coords.
"""

import importlib.util
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from anomdiff import TabularDetector
from anomdiff.datasets import medical, payments
from benchmarks.protocols import cap, shuffled
from benchmarks.suites import Rows, Split, Table, find_sets

SETS = {
    "adbench": ("6_cardio", "28_pendigits", "30_satellite"),
    "mixed": ("hmeq", "sick", "fraud_oracle", "anneal", "bands"),
}
MAX_TRAIN = 6000
N_ROWS = 200
RARE = 0.01
MAX_ONCE = 0.05
ALPHA = 0.05
COLUMNS = ["table", "method", "n", "n_columns", "top1", "top3", "flagged", "seconds_per_row"]

Attribute = Callable[[pd.DataFrame], np.ndarray]
Flag = Callable[[pd.DataFrame], np.ndarray]


def tables(data: Path | None, seed: int = 0) -> dict[str, Table]:
    """Read the tables of a data folder; without one, make two."""
    if data is not None:
        found = [each for suite, names in SETS.items() for each in find_sets(suite, data, names)]
        return {each.name: each.read() for each in found}
    frame, truth = payments(6000, fraud_rate=0.1, seed=seed)
    tumours, malignant = medical()
    return {
        "payments": Table(frame, truth["is_fraud"].to_numpy()),
        "medical": Table(tumours, malignant.to_numpy()),
    }


def measure(
    tables: Mapping[str, Table],
    seed: int = 0,
    n_rows: int = N_ROWS,
    params: Mapping[str, object] | None = None,
) -> pd.DataFrame:
    """Corrupt cells, explain the rows, and see in which place the column comes.

    Parameters
    ----------
    tables : mapping of str to Table
        With normal rows; the anomalies are not used.
    seed : int, default=0
        Of split, corruption and methods.
    n_rows : int, default=200
        Most rows to corrupt per table.
    params : mapping, optional
        Parameters of the detector that differ from its defaults.

    Returns
    -------
    results : DataFrame
        A line per table and method: rows explained and columns to choose from, shares of the
        rows in which the column comes first or is among the first three, share of the rows that
        the method flags at ``ALPHA``, and seconds per row to explain.
    """
    lines = []
    for name, table in tables.items():
        rng = np.random.default_rng(seed)
        split = cap(shuffled(table, seed), MAX_TRAIN, len(table.rows), seed)
        detector, training, normal = fitted(split, seed, params)
        rows = normal.iloc[rng.permutation(len(normal))[:n_rows]].reset_index(drop=True)
        bad, guilty = corrupted(rows, training, detector, rng)
        place = np.array([detector.columns_.index(column) for column in guilty], dtype=int)
        for method, make in METHODS.items():
            attribute, flag = make(detector, training, normal, seed)
            start = time.perf_counter()
            found = attribute(bad)
            seconds = (time.perf_counter() - start) / max(len(bad), 1)
            before = (found >= found[np.arange(len(bad)), place][:, None]).sum(1) - 1
            shares = (before < 1).mean(), (before < 3).mean(), flag(bad).mean()
            lines.append((name, method, len(bad), found.shape[1], *shares, seconds))
    return pd.DataFrame(lines, columns=COLUMNS)


def summary(results: pd.DataFrame) -> str:
    """Say in one line how often each method has the column first and among three, over tables."""
    means = results.groupby("method", sort=False)[["top1", "top3", "flagged", "seconds_per_row"]]
    parts = [
        f"{m} first {row.top1:.1%} in three {row.top3:.1%} flagged {row.flagged:.1%} "
        f"{1000 * row.seconds_per_row:.0f} ms a row"
        for m, row in means.mean().iterrows()
    ]
    least = results[results["method"] == "anomdiff"]
    worst = f"anomdiff at worst {least['top1'].min():.1%} and {least['top3'].min():.1%}"
    return " | ".join([*parts, worst, f"tables {results['table'].nunique()}"])


def fitted(
    split: Split, seed: int, params: Mapping[str, object] | None
) -> tuple[TabularDetector, pd.DataFrame, pd.DataFrame]:
    """Fit to the training rows; return these and the normal test rows, both as read.

    Columns that the detector ignores, such as identifiers, are in neither frame.
    """
    training, test = (named(rows) for rows in (split.train, split.test))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ignored columns
        detector = TabularDetector(alpha=ALPHA, random_state=seed, progress=False)
        detector.set_params(**(params or {})).fit(training)
    check = detector.schema_.check
    used = detector.columns_
    return detector, check(training[used]), check(test[used])[~split.anomalous]


def corrupted(
    rows: pd.DataFrame, training: pd.DataFrame, detector: TabularDetector, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Corrupt one cell per row.

    Returns
    -------
    bad : DataFrame
        The rows that have a cell to corrupt.
    guilty : ndarray of shape (row,)
        Names of the columns.
    """
    kinds = {column.name: column.kind for column in detector.schema_.used}
    usable = [name for name in kinds if _is_usable(training[name].dropna(), kinds[name])]
    bad, guilty = rows.copy(), np.full(len(rows), None, dtype=object)
    for i in range(len(rows)):
        present = [name for name in usable if not pd.isna(rows[name].iloc[i])]
        if present:
            name = guilty[i] = present[rng.integers(len(present))]
            spoil = _far_number if kinds[name] == "number" else _odd_category
            new = spoil(rows[name].iloc[i], training[name].dropna(), rng)
            bad.iat[i, bad.columns.get_loc(name)] = new
    known = np.array([name is not None for name in guilty], dtype=bool)
    return bad[known], guilty[known]


def _is_usable(cells: pd.Series, kind: str) -> bool:
    if kind == "category":
        return len(cells) > 0 and (cells.value_counts() == 1).sum() <= MAX_ONCE * len(cells)
    return kind == "number" and cells.nunique() > 1


def _far_number(cell: float, column: pd.Series, rng) -> float:
    low, high = column.quantile([RARE, 1 - RARE])
    away = rng.uniform(3, 6) * column.std()
    return high + away if cell <= column.median() else low - away


def _odd_category(cell: str, column: pd.Series, rng) -> str:
    shares = column.value_counts(normalize=True).drop(cell, errors="ignore")
    rare = sorted(shares.index[shares < RARE])
    if rare and rng.random() < 0.5:
        return rare[rng.integers(len(rare))]
    return f"{cell}~"


def _ours(detector, training, normal, seed) -> tuple[Attribute, Flag]:
    """Attribute by `explain`: minus the place in its list."""
    names = detector.columns_

    def attribute(rows):
        reasons = detector.explain(rows)
        reasons["row"] = np.repeat(np.arange(len(rows)), len(names))
        reasons["place"] = -reasons.groupby("row").cumcount()
        return reasons.pivot(index="row", columns="column", values="place")[names].to_numpy()

    return attribute, lambda rows: detector.score_frame(rows)["is_anomaly"].to_numpy()


def _nearest(detector, training, normal, seed) -> tuple[Attribute, Flag]:
    """Attribute by how much nearer the nearest training row is without the column."""
    encode, columns = _encoder(detector)
    known = encode(training)

    def distances(coords, seen):
        search = NearestNeighbors(n_neighbors=1).fit(known[:, seen])
        return search.kneighbors(coords[:, seen])[0][:, 0]

    def score(rows):
        return distances(encode(rows), np.ones(known.shape[1], dtype=bool))

    def attribute(rows):
        coords = encode(rows)
        without = [distances(coords, columns != column) for column in range(columns.max() + 1)]
        return score(rows)[:, None] - np.stack(without, axis=1)

    return attribute, _flagging(score, normal)


def _forest(detector, training, normal, seed) -> tuple[Attribute, Flag]:
    """Attribute by the exact Shapley values of the path lengths of an isolation forest."""
    import shap

    encode, columns = _encoder(detector)
    forest = IsolationForest(random_state=seed).fit(encode(training))
    starts = np.flatnonzero(np.diff(columns, prepend=-1))

    def attribute(rows):
        # Built here: its seconds count, but they are few.
        values = shap.TreeExplainer(forest).shap_values(encode(rows))
        return -np.add.reduceat(values, starts, axis=1)  # short paths are anomalous

    return attribute, _flagging(lambda rows: -forest.score_samples(encode(rows)), normal)


METHODS = {"anomdiff": _ours, "nearest": _nearest}
if importlib.util.find_spec("shap"):
    METHODS["iforest+shap"] = _forest


def _encoder(detector) -> tuple[Callable[[pd.DataFrame], np.ndarray], np.ndarray]:
    """Rows as coords (numbers as distances, no ranks), and the column of each coord."""
    encoder = detector.encoder_
    view = encoder.views()[0]
    parts = np.stack([encoder.part(name) for name in detector.columns_])
    return lambda rows: encoder.encode(rows)[0][:, view], parts.argmax(0)[view]


def _flagging(score, normal: pd.DataFrame) -> Flag:
    """Flag what scores above all but a share ``ALPHA`` of the normal test rows."""
    threshold = np.quantile(score(normal), 1 - ALPHA)
    return lambda rows: score(rows) > threshold


def named(rows: Rows) -> pd.DataFrame:
    """Return rows as a frame, numbered from 0."""
    if isinstance(rows, pd.DataFrame):
        return rows.reset_index(drop=True)
    return pd.DataFrame(rows, columns=[f"x{i}" for i in range(rows.shape[1])])
