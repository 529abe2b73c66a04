"""Parameters as numpy scalars (GridSearchCV over an array), paths, ranges, an Index.

Source: tslearn-team/tslearn#300, msmbuilder/osprey#245, optuna/optuna#3957
Right: What fit takes can be saved; else the parameter is refused before training.
"""

import warnings
from pathlib import Path

import numpy as np
from sklearn.model_selection import GridSearchCV

from anomdiff import TabularDetector, TimeSeriesDetector
from tests.cases.common import (
    QUICK,
    QUICK_TABLE,
    caught,
    folder,
    reloaded,
    table,
    verdict,
    waves,
)

warnings.simplefilter("ignore")

search = GridSearchCV(
    TabularDetector(**QUICK_TABLE),
    {"width": np.array([16, 32])},
    scoring=lambda e, X, y=None: float(e.score_samples(X).mean()),
    cv=2,
).fit(table(200))


def table_with(**parameters):
    return reloaded(TabularDetector(**{**QUICK_TABLE, **parameters}).fit(table(200)))


def series_with(**parameters):
    return reloaded(TimeSeriesDetector(**QUICK, **parameters).fit(waves(400)))


tries = {
    "GridSearchCV best_estimator_": lambda: reloaded(search.best_estimator_),
    "alpha=np.float32": lambda: table_with(alpha=np.float32(0.1)),
    "checkpoint=Path": lambda: table_with(checkpoint=Path(folder()) / "state.pt"),
    "window_lengths=range": lambda: series_with(window_lengths=range(8, 33, 8)),
    "covariates=Index": lambda: series_with(covariates=waves(400).columns[:1]),
}
bad = []
for name, attempt in tries.items():
    result, _ = caught(attempt)
    if isinstance(result, TypeError):
        bad.append(f"{name}: {result}")
verdict(not bad, "; ".join(bad) or "all saved")
