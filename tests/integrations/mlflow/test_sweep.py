import mlflow
import numpy as np
import pandas as pd
import pytest

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.selection.criteria import likelihood, separation
from tests.series import panel, waves
from tests.tables import mixed_table

pytest.importorskip("optuna")
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from anomdiff.integrations.mlflow.sweep import sweep

QUICK = {"max_iter": 20, "width": 8, "n_blocks": 1, "random_state": 0}
SPACE = {
    "width": IntDistribution(4, 32, log=True),
    "learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
}


def test_every_trial_is_a_run_below_that_of_the_sweep(mlflow_store, table):
    found = sweep(TabularDetector(**QUICK), table, SPACE, experiment="e", n_trials=3)

    children = mlflow.search_runs(
        experiment_names=["e"], filter_string=f"tags.mlflow.parentRunId = '{found.run_id}'"
    )
    assert set(children["run_id"]) == set(found.trials["run_id"])
    assert len(children) == 3
    assert found.value == pytest.approx(children["metrics.objective"].max())
    best = mlflow.get_run(found.best_run_id).data
    assert best.params["width"] == str(found.parameters["width"])
    assert "loss" in best.metrics
    parent = mlflow.get_run(found.run_id).data
    assert parent.tags["anomdiff.best_run_id"] == found.best_run_id
    assert parent.params["objective"] == "separation"


def test_the_first_trial_is_the_detector_as_it_is_and_the_same_seed_finds_the_same(
    mlflow_store, table
):
    arguments = TabularDetector(**QUICK), table, SPACE
    first, second = (sweep(*arguments, experiment="e", n_trials=2, seed=3) for _ in range(2))

    assert first.trials["width"][0] == QUICK["width"]
    pd.testing.assert_frame_equal(
        first.trials.drop(columns="run_id"), second.trials.drop(columns="run_id")
    )


def test_series_are_judged_by_their_ends(mlflow_store):
    detector = TimeSeriesDetector(window_lengths=(4, 8), **QUICK)

    found = sweep(detector, waves(700, seed=0), SPACE, experiment="e", n_trials=1)

    assert found.value > 0.6


def test_a_trial_that_cannot_be_fitted_is_no_end(mlflow_store, table):
    space = {"sigma_min": CategoricalDistribution([0.05, 5.0])}

    found = sweep(TabularDetector(**QUICK), table, space, experiment="e", n_trials=4)

    assert found.parameters == {"sigma_min": 0.05}
    assert found.trials["objective"].isna().any()


def test_an_unknown_parameter_is_told(mlflow_store, table):
    with pytest.raises(ValueError, match=r"need parameters of the detector to search; got \['x'\]"):
        sweep(TabularDetector(), table, {"x": IntDistribution(1, 2)}, experiment="e")


@pytest.mark.parametrize("objective", [separation, likelihood])
def test_an_objective_likes_a_trained_detector_better(objective):
    training, rows = mixed_table(600, seed=0), mixed_table(300, seed=1)
    few, many = (
        TabularDetector(max_iter=steps, width=32, random_state=0).fit(training)
        for steps in (1, 150)
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

    found = separation(TabularDetector(**QUICK).fit(training), rows)

    assert found == pytest.approx(0.5, abs=0.06)


def test_rows_that_are_all_alike_cannot_be_separated(detector):
    rows = mixed_table(1, seed=0)

    with pytest.raises(ValueError, match="need rows that differ"):
        separation(detector, rows.loc[rows.index.repeat(5)])


def test_swapped_stretches_of_a_panel_stand_out():
    detector = TimeSeriesDetector(window_lengths=(4, 8), series="host", time="time", **QUICK)

    found = separation(detector.fit(panel(400, seed=0)), panel(400, seed=7))

    assert found > 0.6
