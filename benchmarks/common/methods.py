"""Our detectors and the baselines, as functions that fit on rows and return one that scores."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

__all__ = ["Fit", "Params", "Score", "fit_ours", "isolation_forest", "neighbours", "screen_ours"]

Score = Callable[[Any], np.ndarray]
Fit = Callable[..., Score]  # of training rows and a seed
Params = Mapping[str, Any] | None  # of our detector, where they differ from its defaults
Make = Callable[[int, Params], Any]  # our detector, of a seed and its parameters


def fit_ours(make: Make, train: Any, seed: int, params: Params = None) -> Score:
    """Fit our detector, as it is made of seed and parameters, to the rows as they are."""
    detector = make(seed, params).fit(train)
    return lambda test: _scores(detector.score_frame(test))


def screen_ours(make: Make, train: Any, seed: int, params: Params = None) -> Score:
    """Let our detector screen the very rows that are to be scored, whatever trains."""
    detector = make(seed, params)
    return lambda test: _scores(detector.screen(test))


def isolation_forest(train: np.ndarray, seed: int) -> Score:
    """Score by scikit-learn's isolation forest, in its defaults."""
    forest = IsolationForest(random_state=seed).fit(train)
    return lambda test: -forest.score_samples(test)


def neighbours(
    train: np.ndarray, k: int = 1, *, mean: bool = False, algorithm: str = "auto"
) -> Score:
    """Score by the distance to the k-th nearest training row, or by the mean of the k distances.

    A row that was itself trained on is not its own neighbour.
    """
    k = min(k, len(train) - 1) or 1
    search = NearestNeighbors(n_neighbors=k, algorithm=algorithm).fit(train)

    def score(test: np.ndarray) -> np.ndarray:
        distances, _ = search.kneighbors(None if test is train else test)
        return distances.mean(axis=1) if mean else distances[:, -1]

    return score


def _scores(scored: pd.DataFrame) -> np.ndarray:
    """Scores of a scored frame; steps that are not judged count as typical ones, of score 0."""
    return scored["anomaly_score"].fillna(0.0).to_numpy()
