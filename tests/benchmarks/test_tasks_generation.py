import numpy as np
import pytest

from benchmarks.tables.reading import Table
from benchmarks.tasks import imputation, samples
from tests.settings import TINY

SHORT = {**TINY, "max_iter": 60}


@pytest.fixture(scope="module")
def tables():
    """Two columns of which one gives the other away, and a third that is noise."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 3))
    rows[:, 1] = 3 * rows[:, 0] + 0.1 * rng.normal(size=500)
    anomalous = np.arange(500) >= 420
    rows[anomalous, 2] += 3
    return {"one": Table(rows, anomalous)}


def test_imputation_is_measured_at_every_rate(tables):
    results = imputation.measure(tables, n_draws=20, params=SHORT)

    assert list(results.columns) == imputation.COLUMNS
    assert results["rate"].tolist() == list(imputation.RATES)
    assert (results[["anomdiff", "knn", "iterative"]] < 1.1).all().all()
    assert results["coverage"].between(0.75, 1).all()
    assert "\n" not in imputation.summary(results)


def test_samples_are_measured(tables):
    results = samples.measure(tables, params=SHORT)

    assert list(results.columns) == samples.COLUMNS
    assert results["separator"].between(0.4, 0.75).all()
    assert (results["auroc_generated"] > 0.9 * results["auroc_real"]).all()
    assert (results["copies"] == 0).all()
    assert "\n" not in samples.summary(results)


def test_there_are_tables_without_a_folder():
    tables = imputation.read(None)

    assert len(tables) == 2
    assert all(table.anomalous.any() for table in tables.values())
