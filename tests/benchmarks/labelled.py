"""Labelled tables and series for the tests of the benchmarks."""

import numpy as np

from benchmarks.tables.reading import Table


def labelled_table(n_normal=40, n_anomalies=7, n_columns=3, seed=0):
    """Anomalies are spread over the file and lie far from the normal rows."""
    rng = np.random.default_rng(seed)
    anomalous = rng.permutation(np.arange(n_normal + n_anomalies) < n_anomalies)
    rows = rng.normal(size=(len(anomalous), n_columns)) + 9 * anomalous[:, None]
    return Table(rows, anomalous)


def labelled_series(n_rows=240, n_channels=1, seed=0):
    """A sine with noise, and a burst of other values from row 150 on."""
    rng = np.random.default_rng(seed)
    anomalous = np.isin(np.arange(n_rows), np.arange(150, 160))
    values = np.sin(np.arange(n_rows) * 2 * np.pi / 12)[:, None] + 0.1 * rng.normal(
        size=(n_rows, n_channels)
    )
    return values + 3 * anomalous[:, None] * rng.normal(size=values.shape), anomalous
