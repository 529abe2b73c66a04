import json
import re
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from anomdiff import TabularDetector, cli, load
from anomdiff.integrations.mlflow import flavor, registry
from anomdiff.jobs.exit_codes import ExitCode, SettingsError
from anomdiff.jobs.settings import TrainSettings
from anomdiff.jobs.train import main, train, training_rows
from tests.series import panel
from tests.settings import TINY
from tests.tables import mixed_table

QUICK = {**TINY, "n_levels": 3}


@pytest.fixture
def data(tmp_path):
    """A table whose last 20 of 200 rows are labelled as something else than normal."""
    path = tmp_path / "sales.csv"
    table = mixed_table(200, seed=0).assign(fault=np.repeat(["no", "yes"], [180, 20]), note="x")
    table.to_csv(path, index=False)
    return path


@pytest.fixture
def settings(data):
    return TrainSettings(
        data=data, label="fault", normal="no", drop="note", detector=QUICK, registered_name="sales"
    )


@pytest.fixture
def config(data, tmp_path):
    path = tmp_path / "train.toml"
    detector = "\n".join(f"{key} = {json.dumps(value)}" for key, value in QUICK.items())
    path.write_text(f'data = "{data}"\nregistered_name = "sales"\n[detector]\n{detector}\n')
    return path


def test_a_trained_model_is_registered_and_found_by_its_alias(mlflow_store, settings, data):
    report = train(settings)

    detector = flavor.load_model("models:/sales@champion")
    assert (report.version, report.alias, report.n_rows) == ("1", "champion", 180)
    assert detector.threshold_ == report.threshold
    assert len(detector.score_frame(pd.read_csv(data).drop(columns=["fault", "note"]))) == 200
    assert mlflow.get_run(report.run_id).info.status == "FINISHED"
    version = MlflowClient().get_model_version("sales", "1")
    assert {"run_id", "data_digest", "alpha"} <= version.tags.keys()
    run = mlflow.get_run(report.run_id)
    assert re.fullmatch(r"sales \d{4}-\d\d-\d\d", run.info.run_name)
    assert version.description == run.data.tags["mlflow.note.content"]
    assert "- learned from 180 rows" in version.description
    assert "note" not in version.description


def test_a_training_that_is_stopped_after_the_fit_saves_what_is_fitted(
    mlflow_store, settings, monkeypatch, tmp_path
):
    def stopped(*_, **__):
        raise SystemExit(143)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("anomdiff.integrations.mlflow.registry.register", stopped)

    with pytest.raises(SystemExit) as ended:
        train(settings)

    assert ended.value.code == 143
    (folder,) = tmp_path.glob("unlogged-sales-*")
    assert load(folder).model_.n_training_rows == 180 - load(folder).n_validation_rows_


def test_the_same_rows_and_settings_are_not_trained_on_twice(mlflow_store, settings, data):
    first = train(settings)
    again = train(settings)
    other = train(settings.model_copy(update={"detector": {**QUICK, "alpha": 0.1}}))
    forced = train(settings.model_copy(update={"force": True}))
    table = pd.read_csv(data)
    table.loc[0, "price"] += 1
    table.to_csv(data, index=False)
    changed = train(settings)

    assert again == first._replace(trained=False)
    assert [each.version for each in (other, forced, changed)] == ["2", "3", "4"]


def test_the_command_says_which_version_there_is_already(mlflow_store, config):
    options = ["train", str(config), "--drop", "note", "--name", "shop"]
    CliRunner().invoke(cli.main, options)

    result = CliRunner().invoke(cli.main, options)

    assert result.exit_code == 0, result.output
    assert "shop version 1 (champion) is fitted on these 200 rows" in result.output
    assert "--force" in result.output


def test_label_and_dropped_columns_never_reach_the_model(settings):
    assert list(training_rows(settings)) == list(mixed_table(1, seed=0))


def test_a_sample_of_the_same_rows_is_the_same_without_a_seed_too(settings):
    drawn = settings.model_copy(update={"max_rows": 50, "detector": {}})

    rows = training_rows(drawn)

    assert len(rows) == 50
    pd.testing.assert_frame_equal(training_rows(drawn), rows)


def test_rows_in_the_scope_of_a_rule_are_not_learned_from(settings):
    every = training_rows(settings)
    rules = [
        {"where": {"kind": "BOOK", "gift": True}, "learn": False},
        {"where": {"count": [3, 4]}, "learn": False},
    ]

    rows = training_rows(TrainSettings(**{**settings.model_dump(), "rules": rules}))

    left_out = (every["kind"].eq("book") & every["gift"]) | every["count"].isin([3, 4])
    assert 0 < left_out.sum() < 180
    pd.testing.assert_frame_equal(rows, every[~left_out].reset_index(drop=True))


def test_steps_that_are_not_learned_from_stay_as_missing_ones(tmp_path):
    frame = panel(30, seed=0, labels=("a", "b", "c"))
    repair = frame["host"].eq("b") & frame.index.isin(range(40, 50))
    frame = frame.assign(state=np.where(repair, "repair", "run"))
    frame.to_parquet(tmp_path / "panel.parquet")
    rules = [
        {"where": {"host": "c"}, "learn": False},
        {"where": {"state": "repair"}, "learn": False},
    ]
    given = {"estimator": "timeseries", "series": "host", "time": "time", "rules": rules}

    rows = training_rows(TrainSettings(data=tmp_path / "panel.parquet", drop="state", **given))

    learned = frame[frame["host"] != "c"].drop(columns="state")
    assert rows[["host", "time"]].equals(learned[["host", "time"]])
    channels = ["slow", "echo", "fast"]
    assert rows[channels].isna().all(axis=1).equals(repair[:60])
    assert rows.loc[~repair[:60], channels].equals(learned.loc[~repair[:60], channels])


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"where": {"fault": ["no", "yes"]}, "learn": False}, "the rules leave out all 200"),
        ({"where": {"town": 1}, "learn": False}, r"need columns \['town'\]"),
        ({"where": {"kind": "book"}, "learn": True}, "'rules.0.learn': "),
        ({"where": {"kind": "book"}}, "need a value for 'rules.0.learn'"),
        ({"learn": False}, "need a value for 'rules.0.where'"),
        ({"where": {}, "learn": False}, "'rules.0.where': "),
    ],
)
def test_a_mistake_in_a_rule_of_training_is_told(data, rule, sentence):
    given = {"data": data, "label": "fault", "normal": "no", "rules": [rule]}

    with pytest.raises(ValueError, match=sentence):
        training_rows(TrainSettings.load(None, given))


def test_the_sample_has_max_rows_rows_and_is_the_same_again(settings):
    few = settings.model_copy(update={"max_rows": 30})

    assert len(training_rows(few)) == 30
    pd.testing.assert_frame_equal(training_rows(few), training_rows(few))


def test_kinds_of_the_settings_reach_the_detector(mlflow_store, settings):
    train(settings.model_copy(update={"kinds": {"count": "category"}}))

    schema = flavor.load_model("models:/sales@champion").schema_
    assert {c.name: c.kind for c in schema.columns}["count"] == "category"


def test_what_was_fitted_survives_a_store_that_fails(mlflow_store, settings, monkeypatch, tmp_path):
    def fail(*_):
        raise ConnectionError("the store is gone")

    monkeypatch.setattr(registry, "register", fail)

    with pytest.raises(OSError, match="saved in unlogged-sales.*: the store is gone"):
        train(settings)

    (folder,) = tmp_path.glob("unlogged-sales-*")
    assert load(folder).n_training_rows_ > 0


def test_what_was_fitted_before_the_store_failed_is_registered_without_another_fit(
    mlflow_store, settings, monkeypatch, tmp_path
):
    with monkeypatch.context() as patch:
        patch.setattr(registry, "register", lambda *_: (_ for _ in ()).throw(ConnectionError("x")))
        with pytest.raises(OSError, match="run the same command with --fitted unlogged-sales-"):
            train(settings)
    (folder,) = tmp_path.glob("unlogged-sales-*")
    again = settings.model_copy(update={"fitted": folder})
    monkeypatch.setattr(TabularDetector, "fit", None)

    report = train(again)

    assert report.threshold == load(folder).threshold_
    assert flavor.load_model("models:/sales@champion").n_iter_ == load(folder).n_iter_
    for update, said in (
        ({"detector": {**QUICK, "alpha": 0.1}}, "got other settings: leave `fitted` out"),
        ({"fitted": tmp_path}, "need a folder that a stopped training has left"),
    ):
        with pytest.raises(SettingsError, match=said):
            train(again.model_copy(update=update))


def test_the_command_says_where_the_model_is(mlflow_store, config):
    options = ["--drop", "note", "--name", "shop"]

    result = CliRunner().invoke(cli.main, ["train", str(config), *options])

    assert result.exit_code == 0, result.output
    assert "models:/shop/1" in result.output
    assert "mlflow ui --backend-store-uri sqlite:///" in result.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--data", "none.csv"], "need a table at none.csv"),
        (["--drop", "colour"], "need columns ['colour']"),
        (["--label", "fault", "--normal", "maybe"], "whose 'fault' is one of ['maybe']"),
        (["--label", "fault"], "need `normal`"),
        (["--data", "empty.csv"], "need at least one row"),
        (["--data", "picture.parquet"], "need a parquet file"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(mlflow_store, config, tmp_path, options, sentence):
    mixed_table(60, seed=0)[:0].to_csv(tmp_path / "empty.csv", index=False)
    (tmp_path / "picture.parquet").write_bytes(b"\x89PNG" * 100)

    result = CliRunner().invoke(main, [str(config), *options])

    assert result.exit_code in (ExitCode.SETTINGS, ExitCode.DATA)
    assert sentence in result.output
    assert "Traceback" not in result.output


def test_an_unknown_parameter_of_the_detector_is_reported(mlflow_store, settings):
    wrong = settings.model_copy(update={"detector": {"stepps": 3}})

    with pytest.raises(ValueError, match="no parameters \\['stepps'\\]"):
        train(wrong)


def test_a_store_that_does_not_answer_is_reported_before_training(data, monkeypatch):
    mlflow.set_tracking_uri("http://127.0.0.1:1")

    result = CliRunner().invoke(main, ["--data", str(data)])

    mlflow.set_tracking_uri(None)
    assert result.exit_code == ExitCode.STORE
    assert "need an MLflow store that answers" in result.output


def test_the_example_settings_are_settings():
    settings = TrainSettings.load(
        Path(__file__).parents[2] / "pipelines" / "configs" / "train.toml"
    )

    assert settings.detector["alpha"] == 0.01
