import numpy as np
import pandas as pd
import pytest

from benchmarks.answers import reasons, repairs
from benchmarks.answers.reasons import METHODS, corrupted, fitted
from benchmarks.protocols import shuffled
from benchmarks.suites import Table
from tests.tables import mixed_table

TINY = {"max_iter": 20, "width": 16, "n_blocks": 1}


@pytest.fixture(scope="module")
def table():
    """Sales of which one in ten has a price that does not fit, and one far off."""
    frame = mixed_table(400, seed=0)
    anomalous = np.arange(400) % 10 == 0
    frame.loc[anomalous, "price"] = 800.0
    return Table(frame, anomalous)


def test_one_cell_a_row_is_corrupted_by_the_rule(table):
    detector, training, normal = fitted(shuffled(table, 0), 0, TINY)

    bad, guilty = corrupted(normal, training, detector, np.random.default_rng(0))

    rows = normal.loc[bad.index]
    differs = (bad != rows) & (bad.notna() | rows.notna())
    assert (differs.sum(axis=1) == 1).all()
    assert (differs.to_numpy().argmax(1) == [bad.columns.get_loc(name) for name in guilty]).all()
    assert set(guilty) == {"size", "kind", "price", "weight", "count"}
    prices = bad.loc[guilty == "price", "price"]
    assert ((prices > training["price"].max()) | (prices < training["price"].min())).all()
    assert bad.loc[guilty == "kind", "kind"].str.endswith("~").all()


def test_reasons_are_measured_for_every_method_and_found(table):
    results = reasons.measure({"sales": table}, n_rows=30, params=TINY)

    assert results["method"].tolist() == list(METHODS)
    ours = results.iloc[0]
    assert ours["top3"] >= ours["top1"] > 0.9
    assert results[["top1", "top3", "flagged"]].stack().between(0, 1).all()
    assert reasons.summary(results).count(" first ") == len(METHODS)


def test_the_same_seed_corrupts_the_same_cells(table):
    one, again = (reasons.measure({"sales": table}, n_rows=10, params=TINY) for _ in range(2))

    columns = ["top1", "top3", "flagged"]
    pd.testing.assert_frame_equal(one[columns], again[columns])


def test_repairs_are_measured(table):
    results = repairs.measure({"sales": table}, n_rows=10, params=TINY)

    assert list(results.columns) == repairs.COLUMNS
    assert results.loc[0, "normal"] == 1
    assert results.loc[0, "median_changed"] == 1
    assert "100.0% of 10 anomalies" in repairs.summary(results)


def test_missing_cells_that_stay_missing_are_no_changes():
    before = pd.DataFrame({"a": [1.0, np.nan, np.nan], "b": ["x", None, "y"]})
    after = pd.DataFrame({"a": [1.0, np.nan, 2.0], "b": ["x", None, None]})

    assert repairs.n_changed(before, after).tolist() == [0, 0, 2]


@pytest.mark.parametrize("module", [reasons, repairs])
def test_without_data_there_are_generated_tables(module):
    found = module.tables(None, seed=1)

    assert len(found) == 2
    assert all(0 < each.anomalous.sum() < len(each.rows) for each in found.values())
