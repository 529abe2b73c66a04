"""Whether the column that was corrupted contributes most, beside two other attributions.

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
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest

from anomdiff import TabularDetector
from benchmarks.common.methods import Params, Score, neighbours
from benchmarks.common.processes import timed
from benchmarks.tables.reading import Table
from benchmarks.tasks import data

__all__ = ["METHODS", "corrupted", "figure", "measure", "read", "summary"]

SETS = {
    "adbench": ("6_cardio", "28_pendigits", "30_satellite"),
    "mixed": ("hmeq", "sick", "fraud_oracle", "anneal", "bands"),
}
OURS = "anomdiff"
MAX_TRAIN = 6000
N_ROWS = 200
RARE = 0.01
MAX_ONCE = 0.05
COLUMNS = ["table", "method", "n", "n_columns", "top1", "top3", "flagged", "seconds_per_row"]

read = partial(data.read_tables, sets=SETS)


def measure(
    tables: Mapping[str, Table], seed: int = 0, n_rows: int = N_ROWS, params: Params = None
) -> pd.DataFrame:
    """Corrupt cells, explain the rows, and see in which place the column comes.

    A line per table and method: rows explained and columns to choose from, shares of the rows in
    which the column comes first or is among the first three, share of the rows that the method
    flags, and seconds per row to explain.
    """
    lines = []
    for name, table in tables.items():
        rng = np.random.default_rng(seed)
        detector, training, normal = data.fitted_half(table, seed, MAX_TRAIN, params)
        rows = normal.iloc[rng.permutation(len(normal))[:n_rows]].reset_index(drop=True)
        bad, changed = corrupted(rows, training, detector, rng)
        place = np.array([detector.columns_.index(column) for column in changed], dtype=int)
        for method, (attribute, score) in _methods(detector, training, seed).items():
            found, seconds = timed(partial(attribute, bad))
            before = (found >= found[np.arange(len(bad)), place][:, None]).sum(1) - 1
            threshold = detector.threshold_
            if method != OURS:
                threshold = np.quantile(score(normal), 1 - data.ALPHA)
            shares = (before < 1).mean(), (before < 3).mean(), (score(bad) > threshold).mean()
            figures = *found.shape, *shares, seconds / max(len(bad), 1)
            lines.append((name, method, *figures))
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


def figure(results: pd.DataFrame) -> str:
    """Say how often ours has the column first."""
    return f"reasons top1 {results.loc[results['method'] == 'anomdiff', 'top1'].mean():.3f}"


def corrupted(
    rows: pd.DataFrame, training: pd.DataFrame, detector: TabularDetector, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows that have a cell to corrupt, with one corrupted; and the names of its columns."""
    kinds = {column.name: column.kind for column in detector.schema_.used}
    usable = [name for name in kinds if _is_usable(training[name].dropna(), kinds[name])]
    bad, changed = rows.copy(), np.full(len(rows), None, dtype=object)
    for i in range(len(rows)):
        present = [name for name in usable if not pd.isna(rows[name].iloc[i])]
        if present:
            name = changed[i] = present[rng.integers(len(present))]
            spoil = _far_number if kinds[name] == "number" else _odd_category
            new = spoil(rows[name].iloc[i], training[name].dropna(), rng)
            bad.iat[i, bad.columns.get_loc(name)] = new
    cells = np.array([name is not None for name in changed], dtype=bool)
    return bad[cells], changed[cells]


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


def _methods(
    detector: TabularDetector, training: pd.DataFrame, seed: int
) -> dict[str, tuple[Score, Score]]:
    """Each method's contribution of each column, and its score, of frames of rows."""
    model = detector.model_
    coords = partial(data.coords, model)
    known, view = coords(training), model.encoder.views()[0]
    columns = model.column_masks.numpy()[:, view].argmax(0)
    methods = {OURS: (partial(_places, detector), partial(_scores, detector))}
    for name, make in OTHERS.items():
        methods[name] = tuple(_after(coords, each) for each in make(known, columns, seed))
    return methods


def _after(first: Callable, second: Callable) -> Callable:
    return lambda rows: second(first(rows))


def _scores(detector: TabularDetector, rows: pd.DataFrame) -> np.ndarray:
    return detector.score_frame(rows)["anomaly_score"].to_numpy()


def _places(detector: TabularDetector, rows: pd.DataFrame) -> np.ndarray:
    """Minus the place of each column in what `explain` lists."""
    names, found = detector.columns_, detector.explain(rows)
    found["row"] = np.repeat(np.arange(len(rows)), len(names))
    found["place"] = -found.groupby("row").cumcount()
    return found.pivot(index="row", columns="column", values="place")[names].to_numpy()


def _nearest(known: np.ndarray, columns: np.ndarray, seed: int) -> tuple[Score, Score]:
    """Attribute by how much nearer the nearest training row is without the column."""
    score = neighbours(known)

    def attribute(coords: np.ndarray) -> np.ndarray:
        kept = [columns != column for column in range(columns.max() + 1)]
        without = [neighbours(known[:, kept_])(coords[:, kept_]) for kept_ in kept]
        return score(coords)[:, None] - np.stack(without, axis=1)

    return attribute, score


def _forest(known: np.ndarray, columns: np.ndarray, seed: int) -> tuple[Score, Score]:
    """Attribute by the exact Shapley values of the path lengths of an isolation forest."""
    import shap

    forest = IsolationForest(random_state=seed).fit(known)
    starts = np.flatnonzero(np.diff(columns, prepend=-1))

    def attribute(coords: np.ndarray) -> np.ndarray:
        # Built here: its seconds count, but they are few.
        values = shap.TreeExplainer(forest).shap_values(coords)
        return -np.add.reduceat(values, starts, axis=1)  # short paths are anomalous

    return attribute, lambda coords: -forest.score_samples(coords)


OTHERS = {"nearest": _nearest}
if importlib.util.find_spec("shap"):
    OTHERS["iforest+shap"] = _forest
METHODS = [OURS, *OTHERS]
