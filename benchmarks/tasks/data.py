"""Tables for the answers: read from a folder or made, split, and fitted."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from anomdiff.datasets import medical, payments
from anomdiff.models.tabular_model import TabularModel
from benchmarks.common.comparison import Rows, Split
from benchmarks.common.methods import Params
from benchmarks.tables.methods import tabular
from benchmarks.tables.protocols import as_frame, cap, shuffled
from benchmarks.tables.reading import Table, find_sets

__all__ = ["ALPHA", "coords", "fitted", "fitted_half", "read_tables", "split"]

ALPHA = 0.05  # of small tables too few rows are held out for rarer alarms


def read_tables(
    folder: Path | None, seed: int = 0, sets: Mapping[str, Sequence[str]] = {}
) -> dict[str, Table]:
    """Read sets of suites, all those of a suite for which none is named; no folder: make two."""
    if folder is not None:
        found = [each for suite, names in sets.items() for each in find_sets(suite, folder, names)]
        return {each.name: each.read() for each in found}
    frame, truth = payments(6000, fraud_rate=0.1, seed=seed)
    tumours, malignant = medical()
    return {
        "payments": Table(frame, truth["is_fraud"].to_numpy()),
        "medical": Table(tumours, malignant.to_numpy()),
    }


def split(table: Table, seed: int, max_train: int) -> Split:
    """Half of the normal rows to train on, all others to test, as frames numbered from 0."""
    parts = cap(shuffled(table, seed), max_train, len(table.rows), seed)
    return Split(as_frame(parts.train), as_frame(parts.test), parts.anomalous)


def fitted(rows: Rows, seed: int, params: Params = None) -> TabularDetector:
    """Fit our detector, in its defaults but for alpha and some parameters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # columns left out; few held-out rows
        return tabular(seed, {"alpha": ALPHA, **(params or {})}).fit(rows)


def fitted_half(
    table: Table, seed: int, max_train: int, params: Params
) -> tuple[TabularDetector, pd.DataFrame, pd.DataFrame]:
    """Our detector, its training rows and other normal rows, as it reads them.

    Columns that it ignores, such as identifiers, are in neither frame.
    """
    parts = split(table, seed, max_train)
    detector = fitted(parts.train, seed, params)
    training, test = (
        detector.schema_.check(rows[detector.columns_]) for rows in (parts.train, parts.test)
    )
    return detector, training, test[~parts.anomalous]


def coords(model: TabularModel, rows: pd.DataFrame) -> np.ndarray:
    """Encode checked rows for other methods: numbers as distances, no ranks."""
    return model.encode(rows)[0].numpy()[:, model.encoder.views()[0]]
