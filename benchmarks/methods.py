"""The detectors that are compared: a method fits on rows and returns the function that scores."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from anomdiff import TabularDetector
from benchmarks.suites import Rows

MISSING_MARKERS = ["", "?", ".", "-", "NA", "N/A", "nan", "null"]
MAX_ONE_HOT = 50
MAX_DISTINCT = 0.95  # share of distinct values from which a text is an identifier

Score = Callable[[Rows], np.ndarray]
Fit = Callable[[Rows, int], Score]


def fit_anomdiff(train: Rows, seed: int, params: Mapping[str, Any] | None = None) -> Score:
    """Fit our detector, in its defaults, to the rows as they are."""
    settings = {"random_state": seed, "progress": False, **(params or {})}
    detector = TabularDetector(**settings).fit(train)
    return lambda test: -detector.score_samples(test)


def screen_anomdiff(rows: Rows, seed: int, params: Mapping[str, Any] | None = None) -> np.ndarray:
    """Score the very rows that our detector, in its defaults, is fitted to."""
    settings = {"random_state": seed, "progress": False, **(params or {})}
    return TabularDetector(**settings).screen(rows)["anomaly_score"].to_numpy()


def fit_neighbours(train: Rows, seed: int, k: int, mean: bool = False) -> Score:
    """Score by the distance to the k-th nearest training row, or by the mean of the k distances.

    A row that was itself trained on is not its own neighbour.
    """
    prepare = _Preparation(train)
    known = prepare(train)
    k = min(k, len(known) - 1) or 1
    neighbours = NearestNeighbors(n_neighbors=k).fit(known)

    def score(test: Rows) -> np.ndarray:
        distances, _ = neighbours.kneighbors(None if test is train else prepare(test))
        return distances.mean(axis=1) if mean else distances[:, -1]

    return score


def fit_iforest(train: Rows, seed: int) -> Score:
    """Score by scikit-learn's isolation forest, in its defaults."""
    prepare = _Preparation(train)
    forest = IsolationForest(random_state=seed).fit(prepare(train))
    return lambda test: -forest.score_samples(prepare(test))


METHODS: dict[str, Fit] = {
    "anomdiff": fit_anomdiff,
    "knn1": partial(fit_neighbours, k=1),
    "knn5": partial(fit_neighbours, k=5),
    "knn5mean": partial(fit_neighbours, k=5, mean=True),
    "iforest": fit_iforest,
}


# Methods with a way of their own to score what they are fitted to.
SCREENS: dict[str, Callable[..., np.ndarray]] = {"anomdiff": screen_anomdiff}


class _Preparation:
    """What every baseline does first: numbers z-scored, categories one-hot, cells filled.

    Everything is learned from the training rows. Identifiers of a raw table are left out, as
    anyone would: with them the baselines are too easy to beat.
    """

    def __init__(self, train: Rows):
        self.is_frame = isinstance(train, pd.DataFrame)
        if not self.is_frame:
            self.pipeline = _numbers().fit(train)
            return
        marked = _marked(train)
        self.used = [name for name in marked if not _is_identifier(marked[name])]
        self.numeric = [name for name in self.used if _is_numeric(marked[name])]
        typed = self._typed(marked)
        self.pipeline = _columns(typed, self.numeric).fit(typed)

    def __call__(self, rows: Rows) -> np.ndarray:
        return self.pipeline.transform(self._typed(_marked(rows)) if self.is_frame else rows)

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
