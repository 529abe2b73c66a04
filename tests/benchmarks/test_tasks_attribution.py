import numpy as np
import pandas as pd
import pytest

from benchmarks.tables.reading import Table
from benchmarks.tasks import attribution, data, repairs
from benchmarks.tasks.attribution import METHODS, corrupted
from tests.settings import TINY
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def table():
    """Sales of which one in ten has a price that does not fit, and one far off."""
    frame = mixed_table(400, seed=0)
    anomalous = np.arange(400) % 10 == 0
    frame.loc[anomalous, "price"] = 800.0
    return Table(frame, anomalous)


def test_one_cell_a_row_is_corrupted_by_the_rule(table):
    detector, training, normal = data.fitted_half(table, 0, 1000, TINY)

    bad, changed = corrupted(normal, training, detector, np.random.default_rng(0))

    rows = normal.loc[bad.index]
    differs = (bad != rows) & (bad.notna() | rows.notna())
    assert (differs.sum(axis=1) == 1).all()
    assert (differs.to_numpy().argmax(1) == [bad.columns.get_loc(name) for name in changed]).all()
    assert set(changed) == {"size", "kind", "price", "weight", "count"}
    prices = bad.loc[changed == "price", "price"]
    assert ((prices > training["price"].max()) | (prices < training["price"].min())).all()
    assert bad.loc[changed == "kind", "kind"].str.endswith("~").all()


def test_attributions_are_measured_for_every_method_and_found(table):
    results = attribution.measure({"sales": table}, n_rows=30, params=TINY)

    assert results["method"].tolist() == list(METHODS)
    ours = results.iloc[0]
    assert ours["top3"] >= ours["top1"] > 0.9
    assert results[["top1", "top3", "flagged"]].stack().between(0, 1).all()
    assert attribution.summary(results).count(" first ") == len(METHODS)


def test_the_same_seed_corrupts_the_same_cells(table):
    one, again = (attribution.measure({"sales": table}, n_rows=10, params=TINY) for _ in range(2))

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


@pytest.mark.parametrize("module", [attribution, repairs])
def test_without_data_there_are_generated_tables(module):
    found = module.read(None, seed=1)

    assert len(found) == 2
    assert all(0 < each.anomalous.sum() < len(each.rows) for each in found.values())
