import json

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from anomdiff import TimeSeriesDetector
from anomdiff.diffusion.training import TrainingState
from anomdiff.integrations.mlflow import flavor, runs
from anomdiff.integrations.mlflow.callbacks import LossCurve
from anomdiff.integrations.mlflow.runs import (
    DIGEST_TAG,
    REFERENCE,
    calibration,
    data_digest,
    log_training,
)
from tests.series import panel
from tests.settings import TINY_SERIES
from tests.tables import mixed_table

ARTIFACTS = {
    *("schema.json", "calibration.json", "reference.json", "levels.json"),
    *("loss.png", "scores.png", "calibration.png", "levels.png"),
}


def test_a_run_holds_everything_needed_to_understand_it(mlflow_store, small, table, tmp_path):
    model = log_training(small, table, experiment="e", source="sales.csv", parameters={"x": [1]})

    run = mlflow.get_run(model.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["alpha"] == str(small.alpha)
    assert run.data.params["x"] == "[1]"
    assert run.data.tags[DIGEST_TAG] == data_digest(table)
    assert {"anomdiff.python", "anomdiff.torch", "anomdiff.cpu_count"} <= run.data.tags.keys()
    assert run.data.metrics["threshold"] == pytest.approx(small.threshold_)
    assert run.inputs.dataset_inputs[0].dataset.digest == data_digest(table)[:36]
    names = {file.path for file in MlflowClient().list_artifacts(model.run_id)}
    assert names == ARTIFACTS | {"sample.png"}
    loaded = flavor.load_model(model.model_uri)
    pd.testing.assert_frame_equal(loaded.score_frame(table), small.score_frame(table))


def test_a_run_of_series_holds_its_layout_and_the_same_records(mlflow_store):
    detector = TimeSeriesDetector(series="host", time="time", **TINY_SERIES)
    frame = panel(120, seed=0).assign(on=np.arange(240) % 7 < 3)

    model = log_training(detector, frame, experiment="e")

    run = mlflow.get_run(model.run_id)
    names = {file.path for file in MlflowClient().list_artifacts(model.run_id)}
    assert names == ARTIFACTS
    assert run.data.params["window_lengths"] == "[4, 8]"
    assert run.data.tags["anomdiff.estimator"] == "TimeSeriesDetector"
    layout = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/schema.json")
    assert (layout["series"], layout["time"]) == ("host", "time")
    assert (layout["scored"], layout["covariates"]) == (["slow", "echo", "fast"], ["on"])
    reference = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/{REFERENCE}")
    assert set(reference["columns"]) == {"slow", "echo", "fast", "on"}
    scored = flavor.load_model(model.model_uri).score_frame(frame)
    pd.testing.assert_frame_equal(scored, detector.score_frame(frame))


def test_metrics_know_the_model_and_the_data_they_belong_to(
    mlflow_store, small, table, monkeypatch
):
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)
    model = log_training(small, table, experiment="e")

    (metric,) = [
        each for each in mlflow.get_logged_model(model.model_id).metrics if each.key == "threshold"
    ]
    assert metric.value == pytest.approx(small.threshold_)
    assert metric.dataset_digest == data_digest(table)[:36]


def test_system_metrics_are_logged_where_asked_for(mlflow_store, small, table, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")

    model = log_training(small, table, experiment="e", system_metrics=True)

    assert "system/cpu_utilization_percentage" in mlflow.get_run(model.run_id).data.metrics


def test_a_picture_that_cannot_be_drawn_costs_no_run(mlflow_store, small, table, monkeypatch):
    monkeypatch.setattr(type(small), "sample", _fail)
    for name in ("loss_figure", "score_figure", "calibration_figure"):
        monkeypatch.setattr(runs.plots, name, _fail)

    model = log_training(small, table, experiment="e")

    assert mlflow.get_run(model.run_id).info.status == "FINISHED"
    drawn = {f.path for f in MlflowClient().list_artifacts(model.run_id)} - {"levels.png"}
    assert not {name for name in drawn if name.endswith("png")}


def test_a_fit_that_fails_leaves_a_failed_run(mlflow_store, small, table):
    broken = table.assign(size=np.inf)

    with pytest.raises(ValueError, match="size"):
        log_training(small, broken, experiment="e")

    assert mlflow.search_runs(experiment_names=["e"])["status"].tolist() == ["FAILED"]


def test_the_loss_can_be_seen_while_training_runs(mlflow_store):
    with mlflow.start_run() as run:
        curve = LossCurve(run.info.run_id, every=2, seconds=0.0)
        for step in range(1, 5):
            curve(_state(step))
        seen = MlflowClient().get_metric_history(run.info.run_id, "loss")

    assert [(point.step, point.value) for point in seen] == [(2, 1.5), (4, 3.5)]


def test_losses_are_sent_in_groups(mlflow_store, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        MlflowClient, "log_batch", lambda self, run_id, metrics: sizes.append(len(metrics))
    )
    curve = LossCurve("run", every=1, seconds=1e9)
    for step in range(1, 1001):
        curve(_state(step))

    curve.flush()

    assert sizes == [1000, 1000, 100]


def test_a_store_that_is_away_for_a_while_costs_no_training(mlflow_store, monkeypatch):
    with mlflow.start_run() as run:
        curve = LossCurve(run.info.run_id, every=1, seconds=0.0)
        with monkeypatch.context() as away:
            away.setattr(MlflowClient, "log_batch", _fail)
            curve(_state(1))
        curve(_state(2))
        seen = MlflowClient().get_metric_history(run.info.run_id, "loss")

    assert [point.step for point in seen] == [1, 2]


def test_the_digest_tells_every_cell_name_and_order():
    table = mixed_table(12_000, seed=0)
    changed = table.copy()
    changed.iloc[-1, 0] += 1e-9

    same = data_digest(table.copy())

    assert same == data_digest(table)
    others = [changed, table.rename(columns={"size": "sizes"}), table.iloc[::-1], table[:-1]]
    assert same not in {data_digest(other) for other in others}


def test_calibration_is_json_even_without_a_threshold():
    scores = np.arange(11.0)

    found = json.loads(json.dumps(calibration(scores, np.inf, 0.01), allow_nan=False))

    assert found["threshold"] is None
    assert found["quantiles"]["0.50"] == 5.0
    assert found["smallest_p_value"] == pytest.approx(1 / 12)


def _state(step):
    loss = 0.5 if step % 10 == 0 else None
    return TrainingState(step=step, loss=float(step), validation_loss=loss, learning_rate=0.1)


def _fail(*_, **__):
    raise OSError("away")
