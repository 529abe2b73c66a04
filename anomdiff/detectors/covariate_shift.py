"""How much more often a row occurs in one frame than in another, by a classifier of both."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder

__all__ = ["shift_weights"]

# Parts that the rows are divided into where each is seen by a model of the others.
N_FOLDS = 5


def shift_weights(
    known: pd.DataFrame, frame: pd.DataFrame, columns: list, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Odds that a row of either frame, seen in some columns, is of the second frame.

    Each row is seen by a classifier that did not see it: one that did would tell the frames
    apart where they are the same.
    """
    if missing := [name for name in columns if name not in frame.columns]:
        raise ValueError(f"need shifted columns among {list(frame.columns)}; got {missing}.")
    if min(len(known), len(frame)) < N_FOLDS:
        raise ValueError(
            f"need {N_FOLDS} rows or more to tell a shift; got {len(known)} to calibrate and "
            f"{len(frame)} to flag."
        )
    both = pd.concat([known[columns], frame[columns]], ignore_index=True)
    schema = Schema.infer(both)
    values, _ = TableEncoder().fit(schema.check(both), schema).encode(schema.check(both))
    # A few small trees: smooth odds, and yet a change of spread shows as well as one of mean.
    trees = HistGradientBoostingClassifier(max_iter=50, max_depth=3, random_state=seed)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
    is_new = np.arange(len(both)) >= len(known)
    chances = cross_val_predict(trees, values, is_new, cv=folds, method="predict_proba")
    odds = chances[:, 1] / chances[:, 0]
    return odds[: len(known)], odds[len(known) :]
