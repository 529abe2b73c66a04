import inspect
import pickle

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations.mlflow import autolog, flavor, runs
from tests.series import waves
from tests.settings import TINY, TINY_SERIES


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Pictures take seconds, and are tested elsewhere."""
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)


@pytest.fixture
def logging_on(mlflow_store):
    autolog()
    yield
    autolog(disable=True)


def _all_runs():
    return mlflow.search_runs(search_all_experiments=True, output_format="list")


def test_every_fit_leaves_a_run_with_its_model(logging_on, small, table):
    small.fit(table)

    (run,) = _all_runs()
    assert run.info.status == "FINISHED"
    assert run.data.params["alpha"] == str(small.alpha)
    assert {"loss", "validation_loss", "threshold"} <= run.data.metrics.keys()
    assert run.inputs.dataset_inputs[0].dataset.digest == runs.data_digest(table)[:36]
    (model,) = mlflow.search_logged_models(output_format="list")
    scored = flavor.load_model(f"models:/{model.model_id}").score_frame(table)
    pd.testing.assert_frame_equal(scored, small.score_frame(table))


@pytest.mark.parametrize("name", ["screen", "fit_predict"])
def test_a_fit_to_rows_with_anomalies_is_logged_and_answers_as_ever(logging_on, small, table, name):
    found = getattr(small, name)(table)

    (run,) = _all_runs()
    assert "validation_loss" in run.data.metrics
    autolog(disable=True)
    np.testing.assert_array_equal(found, getattr(clone(small), name)(table))


def test_arrays_and_series_are_logged_too(logging_on):
    TabularDetector(**TINY).fit(np.random.default_rng(0).normal(size=(60, 2)))
    TimeSeriesDetector(**TINY_SERIES).fit(waves(120, seed=0))

    assert [run.info.status for run in _all_runs()] == ["FINISHED", "FINISHED"]
    assert len(mlflow.search_logged_models(output_format="list")) == 2


def test_an_active_run_is_used_and_stays_active(logging_on, small, table):
    with mlflow.start_run() as run:
        small.fit(table)
        active = mlflow.active_run()

    assert active.info.run_id == run.info.run_id
    assert [found.info.run_id for found in _all_runs()] == [run.info.run_id]
    assert "threshold" in mlflow.get_run(run.info.run_id).data.metrics


def test_a_fit_that_is_logged_already_is_logged_once(logging_on, small, table):
    runs.log_training(small, table, experiment="e")

    assert len(_all_runs()) == 1


def test_switched_off_it_leaves_nothing(mlflow_store, small, table):
    before = TabularDetector.fit, TabularDetector.screen
    autolog()
    autolog(log_models=False)
    autolog(disable=True)

    small.fit(table)

    assert (TabularDetector.fit, TabularDetector.screen) == before
    assert _all_runs() == []


def test_a_fit_that_fails_leaves_a_failed_run_and_its_own_error(logging_on, small, table):
    with pytest.raises(ValueError, match="size"):
        small.fit(table.assign(size=np.inf))

    assert [run.info.status for run in _all_runs()] == ["FAILED"]


def test_a_store_that_fails_costs_a_warning_but_no_fit(logging_on, small, table, monkeypatch):
    monkeypatch.setattr(MlflowClient, "log_batch", _fail)
    monkeypatch.setattr(mlflow, "log_params", _fail)
    monkeypatch.setattr(mlflow, "start_run", _fail)

    small.fit(table)

    assert np.isfinite(small.threshold_)


def test_the_hook_of_the_caller_is_still_called(logging_on, small, table):
    seen = []

    small.fit(table, on_step=lambda state: seen.append(state.step))

    assert seen == list(range(1, small.max_iter + 1))


def test_a_logged_detector_can_be_cloned_pickled_and_cross_validated(logging_on):
    rows = np.random.default_rng(0).normal(size=(90, 2))
    detector = TabularDetector(**TINY).fit(rows)

    copy = pickle.loads(pickle.dumps(detector))

    np.testing.assert_array_equal(copy.score_samples(rows), detector.score_samples(rows))
    assert clone(detector).get_params() == detector.get_params()
    assert list(inspect.signature(detector.fit).parameters) == ["X", "y", "on_step"]
    scorer = lambda each, X, y=None: each.score_samples(X).mean()  # noqa: E731
    assert np.isfinite(cross_val_score(detector, rows, scoring=scorer, cv=2)).all()


@pytest.mark.slow
def test_the_checks_of_scikit_learn_pass_while_it_is_on(mlflow_store):
    autolog(log_models=False)
    try:
        check_estimator(TabularDetector(**TINY))
    finally:
        autolog(disable=True)


def _fail(*_, **__):
    raise OSError("away")
