import numpy as np
import pandas as pd
import pytest

from benchmarks.tables.reading import Table
from benchmarks.tasks.thresholds import (
    ALPHAS,
    COLUMNS,
    FALSE_DISCOVERIES,
    injected,
    keeps,
    measure,
    read,
    summary,
)
from tests.settings import TINY


@pytest.fixture(scope="module")
def results():
    rng = np.random.default_rng(0)
    return measure({"one": injected(rng.normal(size=(600, 3)), rng)}, 200, 2, params=TINY)


def test_every_check_is_measured_at_every_level_it_can_reach(results):
    levels = results.groupby("check")["level"].apply(tuple).to_dict()

    # 120 of 300 rows are held out, of which 99 are needed at the least alpha.
    assert levels == {"split": ALPHAS, "refit": ALPHAS, "discoveries": FALSE_DISCOVERIES}
    assert list(results.columns) == COLUMNS
    assert results.loc[results["check"] == "split", "n_calibration"].eq(99).all()


def test_rates_over_splits_are_what_conformal_calibration_promises(results):
    of_splits = results[results["check"] == "split"]

    excess = (of_splits["rate"] - of_splits["level"]) / of_splits["standard_error"]
    assert (excess.abs() < 3).all()


def test_false_discoveries_are_below_their_level_and_injected_rows_are_found(results):
    found = results[results["check"] == "discoveries"]

    assert keeps(found).all()
    assert found["power"].iloc[-1] > 0.5


def test_the_summary_is_one_line_with_every_check(results):
    line = summary(results)

    assert "\n" not in line
    assert line.startswith("1 tables | split: ")
    assert all(word in line for word in ("refit: ", "discoveries: ", "kept)"))


def test_rates_are_kept_on_both_sides_of_alpha_and_below_q():
    cells = {
        "check": ["split"] * 3 + ["discoveries"] * 3,
        "level": [0.1] * 6,
        "rate": [0.06, 0.1, 0.14] * 2,
        "standard_error": [0.01] * 6,
    }

    assert keeps(pd.DataFrame(cells)).tolist() == [False, True, False, True, True, False]


def test_generated_tables_have_labels_and_the_same_seed_makes_the_same():
    one, again = read(None, 1), read(None, 1)

    assert len(one) == 5
    for name, table in one.items():
        assert 0 < table.anomalous.sum() < len(table.rows) / 2
        pd.testing.assert_frame_equal(pd.DataFrame(table.rows), pd.DataFrame(again[name].rows))


def test_a_table_without_enough_rows_is_refused_by_name():
    with pytest.raises(ValueError, match="need 240 normal rows and an anomaly; table 'few' has 99"):
        measure({"few": Table(np.zeros((100, 2)), np.arange(100) == 0)})
