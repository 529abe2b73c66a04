"""Balance a labelled table with generated rows."""

import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils import check_random_state

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.encoding.frames import as_pandas

__all__ = ["augment"]


def augment(
    X: pd.DataFrame,
    y: ArrayLike,
    *,
    detector: TabularDetector | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[pd.DataFrame, pd.Series]:
    """Balance a labelled table: add generated rows until all labels are as frequent.

    One detector is fitted to the rows of every label but the most frequent, and draws what
    it is short of. Fit a classifier to the result, but evaluate it on real rows only.

    Parameters
    ----------
    X : DataFrame of shape (row, column)
        Rows, without the label.
    y : array-like of shape (row,)
        Labels.
    detector : TabularDetector, optional
        How to fit; it is cloned, not changed. By default one with default parameters.
    random_state : int, RandomState or None, default=None
        Seed of fits and draws.

    Returns
    -------
    frame : DataFrame
        The rows of ``X``, then the generated ones, numbered from 0. Columns that the detector
        ignores, such as identifiers, are missing in generated rows.
    labels : Series
        Their labels.

    Raises
    ------
    ValueError
        If lengths differ, or a label to be added to has fewer than 4 rows.
    """
    X = pd.DataFrame(as_pandas(X))
    labels = pd.Series(np.asarray(y), name=getattr(y, "name", None))
    if len(labels) != len(X):
        raise ValueError(f"need one label per row; got {len(labels)} labels for {len(X)} rows.")
    counts = labels.value_counts()
    if counts.min() < 4 and counts.nunique() > 1:
        raise ValueError(
            f"need at least 4 rows of every label; got {counts.min()} of {counts.idxmin()!r}."
        )
    rng = check_random_state(random_state)
    frames, added = [X.reset_index(drop=True)], [labels]
    for label, count in counts[counts < counts.max()].items():
        n = int(counts.max() - count)
        unfitted = TabularDetector(progress=False) if detector is None else clone(detector)
        seeded = unfitted.set_params(random_state=rng.randint(2**31 - 1))
        with (
            warnings.catch_warnings()
        ):  # no row is flagged here: what alarms depend on is no matter
            for words in ("alpha=", "columns .* advance with the rows"):
                warnings.filterwarnings("ignore", message=words, category=UserWarning)
            fitted = seeded.fit(X[(labels == label).to_numpy()])
        frames.append(fitted.sample(n, random_state=rng))
        added.append(pd.Series([label] * n, dtype=labels.dtype))
    frame = pd.concat(frames, ignore_index=True)[X.columns]
    return frame, pd.concat(added, ignore_index=True).rename(labels.name)
