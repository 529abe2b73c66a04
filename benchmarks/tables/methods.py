"""The detectors that are compared on tables, and the results that they give."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from anomdiff import TabularDetector
from anomdiff.metrics.detection import auroc, average_precision
from benchmarks.common.comparison import Comparison, Rows, Split
from benchmarks.common.methods import (
    Fit,
    Params,
    Score,
    fit_ours,
    isolation_forest,
    neighbours,
    screen_ours,
)
from benchmarks.common.results import summary
from benchmarks.tables.protocols import as_frame

__all__ = ["METHODS", "SCREENING", "TABLES", "means_line", "tabular"]

MISSING_MARKERS = ["", "?", ".", "-", "NA", "N/A", "nan", "null"]
MAX_ONE_HOT = 50
MAX_DISTINCT = 0.95  # share of distinct values from which a text is an identifier
COLUMNS = (
    "set seed method protocol n_train n_test n_columns auroc ap fit_seconds score_seconds "
    "peak_memory_mb"
).split()


def tabular(seed: int, params: Params = None) -> TabularDetector:
    """Our detector with its defaults."""
    settings = {"random_state": seed, "progress": False, **(params or {})}
    return TabularDetector(**settings)


def fit_neighbours(train: Rows, seed: int, k: int, mean: bool = False) -> Score:
    """Score by the distance to the k-th nearest training row, or by the mean of the k."""
    return _prepared(train, lambda rows: neighbours(rows, k, mean=mean))


def fit_iforest(train: Rows, seed: int) -> Score:
    """Score by scikit-learn's isolation forest, in its defaults."""
    return _prepared(train, lambda rows: isolation_forest(rows, seed))


def judge(split: Split, scores: np.ndarray) -> dict[str, float]:
    """Sizes of a split, AUROC and average precision of its scores."""
    return {
        "n_train": len(split.train),
        "n_test": len(split.test),
        "n_columns": split.train.shape[1],
        "auroc": auroc(split.anomalous, scores),
        "ap": average_precision(split.anomalous, scores),
    }


METHODS: dict[str, Fit] = {
    "anomdiff": partial(fit_ours, tabular),
    "knn1": partial(fit_neighbours, k=1),
    "knn5": partial(fit_neighbours, k=5),
    "knn5mean": partial(fit_neighbours, k=5, mean=True),
    "iforest": fit_iforest,
}
TABLES = Comparison(METHODS, COLUMNS, COLUMNS[:4], judge, {"AUROC": "auroc", "AP": "ap"})
# Where the rows that are fitted are scored: our detector has a way of its own.
SCREENING = replace(TABLES, methods=METHODS | {"anomdiff": partial(screen_ours, tabular)})


def means_line(figures: pd.DataFrame) -> str:
    """One line of means over sets: `anomdiff AUROC x AP y | ... | sets N`."""
    return f"{summary(figures, ['AUROC', 'AP'], 100, 2)} | sets {len(figures)}"


def _prepared(train: Rows, fit: Callable[[np.ndarray], Score]) -> Score:
    prepare = _Preparation(train)
    known = prepare(train)
    score = fit(known)
    return lambda test: score(known if test is train else prepare(test))


class _Preparation:
    """What every baseline does first: numbers z-scored, categories one-hot, cells filled.

    Everything is learned from the training rows. Identifiers of a raw table are left out, as
    anyone would: with them the baselines are too easy to beat.
    """

    def __init__(self, train: Rows):
        marked = _marked(as_frame(train))
        self.used = [name for name in marked if not _is_identifier(marked[name])]
        self.numeric = [name for name in self.used if _is_numeric(marked[name])]
        typed = self._typed(marked)
        self.pipeline = _columns(typed, self.numeric).fit(typed)

    def __call__(self, rows: Rows) -> np.ndarray:
        return self.pipeline.transform(self._typed(_marked(as_frame(rows))))

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(
            {
                str(name): pd.to_numeric(frame[name], errors="coerce").astype(float)
                if name in self.numeric
                else frame[name].fillna("missing").astype(str)
                for name in self.used
            }
        )


def _columns(train: pd.DataFrame, numeric: list) -> ColumnTransformer:
    numeric = [str(name) for name in numeric]
    texts = train.drop(columns=numeric)
    few = [name for name in texts if texts[name].nunique() <= MAX_ONE_HOT]
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return ColumnTransformer(
        [
            ("numbers", _numbers(), numeric),
            ("few", OneHotEncoder(handle_unknown="ignore", sparse_output=False), few),
            ("many", make_pipeline(ordinal, StandardScaler()), [*texts.columns.drop(few)]),
        ]
    )


def _numbers() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )


def _marked(frame: pd.DataFrame) -> pd.DataFrame:
    """Strip the texts and turn the markers of missing cells into missing cells."""
    texts = {
        name: cells.astype(object).map(lambda cell: cell.strip() if isinstance(cell, str) else cell)
        for name, cells in frame.items()
        if not pd.api.types.is_numeric_dtype(cells)
    }
    texts = {name: cells.mask(cells.isin(MISSING_MARKERS)) for name, cells in texts.items()}
    return pd.DataFrame({**dict(frame.items()), **texts})


def _is_identifier(cells: pd.Series) -> bool:
    n_distinct = cells.nunique()
    if pd.api.types.is_integer_dtype(cells):
        return n_distinct == len(cells)
    return not _is_numeric(cells) and n_distinct > MAX_DISTINCT * cells.notna().sum()


def _is_numeric(cells: pd.Series) -> bool:
    return pd.to_numeric(cells, errors="coerce").notna().sum() == cells.notna().sum()
