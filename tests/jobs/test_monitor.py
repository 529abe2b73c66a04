import json
from datetime import UTC, date, datetime
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor, runs
from anomdiff.integrations.mlflow.runs import log_training
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.monitor import main, monitor
from anomdiff.jobs.settings import MonitorSettings
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Pictures take seconds, and are tested elsewhere."""
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)


@pytest.fixture
def model(mlflow_store):
    """URI of a model whose training has logged a profile."""
    detector = TabularDetector(**TINY)
    return log_training(detector, mixed_table(400, seed=0), experiment="e").model_uri


@pytest.fixture
def batch(tmp_path):
    path = tmp_path / "batch.parquet"
    mixed_table(300, seed=1).to_parquet(path, index=False)
    return path


def _settings(model, batch, **more):
    return MonitorSettings(model=model, data=batch, output=batch.with_suffix(".json"), **more)


def test_a_batch_like_training_raises_no_alarm(model, batch):
    report = monitor(_settings(model, batch))

    assert not report["drifted"], report["reasons"]
    assert json.loads(batch.with_suffix(".json").read_text()) == report
    metrics = mlflow.get_run(report["run_id"]).data.metrics
    assert metrics["alarm_rate"] == report["alarms"]["alarm_rate"]
    assert metrics["psi.price"] == pytest.approx(report["columns"]["price"]["psi"])
    assert {"score_ks", "missing.weight", "unseen.kind"} <= metrics.keys()


def test_a_batch_with_planted_anomalies_is_no_drift_and_its_alarms_are_counted(model, tmp_path):
    frame = mixed_table(1000, seed=2)
    frame.loc[frame.index[:20], ["price", "weight"]] = 1e6
    frame.to_parquet(tmp_path / "batch.parquet", index=False)

    report = monitor(_settings(model, tmp_path / "batch.parquet"))

    assert not report["drifted"], report["reasons"]
    precision = report["precision"]
    assert precision["trusted"]
    assert precision["low"] <= precision["estimate"] <= precision["high"]


def test_the_history_of_a_model_is_one_run_with_the_days_as_steps(model, batch):
    days = [date(2026, 1, 31), date(2026, 2, 2)]

    first, second = (monitor(_settings(model, batch, batch_date=day)) for day in days)

    assert first["history_run_id"] == second["history_run_id"] != first["run_id"]
    client = MlflowClient()
    history = client.get_metric_history(first["history_run_id"], "alarm_rate")
    assert [point.step for point in history] == [20484, 20486]
    assert {point.value for point in history} == {first["alarms"]["alarm_rate"]}
    assert datetime.fromtimestamp(history[0].timestamp / 1000, UTC).date() == days[0]
    known = client.get_run(first["history_run_id"]).data.metrics.keys()
    assert {"rows", "psi_max", "score_ks", "drifted"} <= known


def test_timestamps_of_later_rows_are_no_drift_but_missing_ones_are(model, batch):
    frame = pd.read_parquet(batch)

    frame.assign(sold=frame["sold"] + pd.Timedelta(days=800)).to_parquet(batch, index=False)
    assert not monitor(_settings(model, batch))["drifted"]

    frame.assign(sold=pd.NaT).to_parquet(batch, index=False)
    reasons = monitor(_settings(model, batch))["reasons"]
    assert any("'sold'" in reason and "missing" in reason for reason in reasons)


def test_drift_is_reported_by_the_exit_code_and_column_by_column(model, batch):
    frame = pd.read_parquet(batch)
    drifted = frame.assign(price=2 * frame["price"], kind="toy", weight=None)
    drifted.to_csv(batch.with_suffix(".csv"), index=False)
    output = batch.with_name("drift.json")

    result = CliRunner().invoke(
        main, ["--data", str(batch.with_suffix(".csv")), "--model", model, "--output", str(output)]
    )

    assert result.exit_code == ExitCode.DRIFT, result.output
    reasons = " ".join(json.loads(output.read_text())["reasons"])
    for part in ("alarm rate", "scores have risen", "'price'", "'kind'", "'weight'"):
        assert part in reasons
    assert "'size'" not in reasons


def test_scores_of_a_file_count_as_those_of_the_model(model, batch, tmp_path):
    detector = flavor.load_model(model)
    detector.score_frame(pd.read_parquet(batch)).to_parquet(tmp_path / "scored.parquet")

    now = monitor(_settings(model, batch))
    before = monitor(_settings(model, batch, scored=tmp_path / "scored.parquet"))

    assert before["scores"] == pytest.approx(now["scores"])
    assert before["alarms"] == now["alarms"]


def test_training_rows_can_be_given_instead_of_their_profile(mlflow_store, batch, tmp_path):
    training = mixed_table(400, seed=0)
    training.to_parquet(tmp_path / "training.parquet", index=False)
    with mlflow.start_run():
        model = flavor.log_model(TabularDetector(**TINY).fit(training)).model_uri

    report = monitor(_settings(model, batch, reference=tmp_path / "training.parquet"))

    assert not report["drifted"], report["reasons"]
    with pytest.raises(ValueError, match="need a profile of the training rows; run .* has logged"):
        monitor(_settings(model, batch))


def test_scores_of_other_rows_are_refused(model, batch, tmp_path):
    pd.DataFrame({"anomaly_score": [1.0]}).to_parquet(tmp_path / "scored.parquet")

    with pytest.raises(ValueError, match=r"300 of them; got 1 in .* without \['is_anomaly'\]"):
        monitor(_settings(model, batch, scored=tmp_path / "scored.parquet"))


def test_channels_of_series_are_monitored(mlflow_store, tmp_path):
    detector = TimeSeriesDetector(series="host", time="time", alpha=0.05, **TINY_SERIES)
    model = log_training(detector, panel(300, seed=0), experiment="e").model_uri
    later = panel(300, seed=5)
    later.assign(fast=later["fast"] + 3000).to_parquet(tmp_path / "batch.parquet")

    report = monitor(_settings(model, tmp_path / "batch.parquet"))

    named = {reason.split("'")[1] for reason in report["reasons"] if "column" in reason}
    assert named == {"fast"}


def test_steps_that_are_not_judged_are_no_drift_but_none_at_all_is_an_error(mlflow_store, tmp_path):
    detector = TimeSeriesDetector(series="host", time="time", alpha=0.05, **TINY_SERIES)
    model = log_training(detector, panel(300, seed=0), experiment="e").model_uri
    later, short = panel(300, seed=5), panel(2, seed=6, labels=["c", "d"])
    batches = {"later": later, "both": pd.concat([later, short]), "short": short}
    for name, frame in batches.items():
        frame.to_parquet(tmp_path / f"{name}.parquet")

    found, with_short = (
        monitor(_settings(model, tmp_path / f"{name}.parquet")) for name in ("later", "both")
    )

    assert with_short["alarms"] == found["alarms"]
    assert with_short["scores"] == found["scores"]
    with pytest.raises(ValueError, match="none of the 4 rows"):
        monitor(_settings(model, tmp_path / "short.parquet"))


def test_the_example_settings_are_the_defaults():
    path = Path(__file__).parents[2] / "pipelines" / "configs" / "monitor.toml"

    expected = MonitorSettings(data="batch.parquet", output="monitored/batch.json")
    assert MonitorSettings.load(path) == expected
