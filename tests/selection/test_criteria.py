import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.selection.criteria import likelihood, separation
from tests.series import panel
from tests.settings import TINY, TINY_NETWORK, TINY_SERIES
from tests.tables import mixed_table


@pytest.mark.parametrize("objective", [separation, likelihood])
def test_an_objective_likes_a_trained_detector_better(objective):
    training, rows = mixed_table(600, seed=0), mixed_table(300, seed=1)
    few, many = (
        TabularDetector(**{**TINY_NETWORK, "width": 32}, max_iter=max_iter).fit(training)
        for max_iter in (1, 150)
    )

    assert objective(many, rows) > objective(few, rows)


def test_separation_swaps_nothing_in_the_rows_it_is_given(detector):
    rows = mixed_table(100, seed=1)
    before = rows.copy()

    found = separation(detector, rows, seed=1)

    pd.testing.assert_frame_equal(rows, before)
    assert found == separation(detector, rows, seed=1)
    assert 0.5 < found < 1


def test_nothing_is_told_apart_in_rows_without_dependence():
    rng = np.random.default_rng(0)
    training, rows = (pd.DataFrame(rng.normal(size=(500, 3)), columns=list("abc")) for _ in "ab")

    found = separation(TabularDetector(**TINY).fit(training), rows)

    assert found == pytest.approx(0.5, abs=0.06)


def test_rows_that_are_all_alike_cannot_be_separated(detector):
    rows = mixed_table(1, seed=0)

    with pytest.raises(ValueError, match="need rows that differ"):
        separation(detector, rows.loc[rows.index.repeat(5)])


def test_swapped_steps_of_a_panel_stand_out():
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")

    found = separation(detector.fit(panel(400, seed=0)), panel(400, seed=7))

    assert found > 0.6
