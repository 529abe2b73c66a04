import mlflow
import pandas as pd
import pytest

from anomdiff import TabularDetector, TimeSeriesDetector
from tests.series import waves
from tests.settings import TINY, TINY_SERIES

pytest.importorskip("optuna")
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from anomdiff.integrations.mlflow.sweep import sweep

SPACE = {
    "width": IntDistribution(4, 32, log=True),
    "learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
}


def test_every_trial_is_a_run_below_that_of_the_sweep(mlflow_store, table):
    found = sweep(TabularDetector(**TINY), table, SPACE, experiment="e", n_trials=3)

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
    arguments = TabularDetector(**TINY), table, SPACE
    first, second = (sweep(*arguments, experiment="e", n_trials=2, seed=3) for _ in range(2))

    assert first.trials["width"][0] == TINY["width"]
    pd.testing.assert_frame_equal(
        first.trials.drop(columns="run_id"), second.trials.drop(columns="run_id")
    )


def test_series_are_judged_by_their_ends(mlflow_store):
    detector = TimeSeriesDetector(**TINY_SERIES)

    found = sweep(detector, waves(700, seed=0), SPACE, experiment="e", n_trials=1)

    assert found.value > 0.6


def test_a_sweep_goes_on_after_a_trial_that_cannot_be_fitted(mlflow_store, table):
    space = {"sigma_min": CategoricalDistribution([0.05, 5.0])}

    found = sweep(TabularDetector(**TINY), table, space, experiment="e", n_trials=4)

    assert found.parameters == {"sigma_min": 0.05}
    assert found.trials["objective"].isna().any()


def test_an_unknown_parameter_is_told(mlflow_store, table):
    with pytest.raises(ValueError, match=r"need parameters of the detector to search; got \['x'\]"):
        sweep(TabularDetector(), table, {"x": IntDistribution(1, 2)}, experiment="e")
