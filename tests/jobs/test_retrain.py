import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient

from anomdiff import cli
from anomdiff.integrations.mlflow import flavor, registry, runs
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.monitor import monitor
from anomdiff.jobs.retrain import main, retrain, split_recent
from anomdiff.jobs.retrain_settings import RetrainSettings
from anomdiff.jobs.settings import MonitorSettings, TrainSettings
from anomdiff.jobs.train import train
from tests.series import panel
from tests.settings import TINY
from tests.tables import mixed_table

QUICK = {**TINY, "alpha": 0.05}
CHAMPION = "models:/sales@champion"


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Pictures take seconds, and are tested elsewhere."""
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)


def _drifted(n, seed):
    frame = mixed_table(n, seed)
    return frame.assign(price=3 * frame["price"], size=frame["size"] + 40)


@pytest.fixture
def settings(mlflow_store, tmp_path):
    """A champion of rows before a drift; settings to train again, report and rows of after it."""
    before, recent = tmp_path / "before.parquet", tmp_path / "recent.parquet"
    mixed_table(300, seed=0).to_parquet(before, index=False)
    _drifted(400, seed=1).to_parquet(recent, index=False)
    train(TrainSettings(data=before, registered_name="sales", detector=QUICK))
    return RetrainSettings(
        data=recent, report=_monitored(recent), registered_name="sales", detector=QUICK
    )


def _monitored(data):
    output = data.with_suffix(".json")
    monitor(MonitorSettings(model=CHAMPION, data=data, output=output))
    return output


def _versions():
    return {int(each.version) for each in MlflowClient().search_model_versions("name='sales'")}


def test_a_drift_makes_a_challenger_and_the_champion_stays(settings):
    done = retrain(settings)

    assert any("'price'" in reason for reason in done.reasons)
    assert (done.report.version, done.report.alias) == ("2", "challenger")
    assert done.outcome.verdict.promote
    assert registry.version_of("sales", registry.CHAMPION) == "1"


def test_the_alarm_rate_is_back_once_the_new_version_is_promoted(settings, tmp_path):
    later = _drifted(1000, seed=2)
    before = flavor.load_model(CHAMPION).score_frame(later)["is_anomaly"].mean()

    retrain(settings.model_copy(update={"promote": True}))

    after = flavor.load_model(CHAMPION).score_frame(later)["is_anomaly"].mean()
    assert registry.version_of("sales", registry.CHAMPION) == "2"
    assert after < 0.15 < before


def test_the_champion_is_where_a_warm_start_and_an_update_begin(settings):
    for how in ("warm", "update"):
        retrain(settings.model_copy(update={"how": how}))

    champion, warm, updated = (flavor.load_model(f"models:/sales/{v}") for v in (1, 2, 3))
    assert (champion.n_iter_, warm.n_iter_, updated.n_iter_) == (20, 5, 20)
    sizes = [len(each.model_.reference.values) for each in (champion, warm, updated)]
    assert sizes == [300, 320, 300 + 320 - updated.n_validation_rows_]


def test_the_same_rows_are_not_trained_on_twice_but_compared_again(settings):
    first = retrain(settings)
    again = retrain(settings.model_copy(update={"promote": True}))

    assert not again.report.trained
    assert again.report.version == first.report.version
    assert _versions() == {1, 2}
    assert registry.version_of("sales", registry.CHAMPION) == "2"


def test_without_drift_nothing_is_done_unless_it_is_forced(settings, tmp_path):
    same = tmp_path / "same.parquet"
    mixed_table(400, seed=3).to_parquet(same, index=False)
    config = _config(tmp_path, settings)
    options = ["--data", str(same), "--report", str(_monitored(same))]

    quiet = CliRunner().invoke(cli.main, ["retrain", str(config), *options])
    forced = CliRunner().invoke(main, [str(config), *options, "--force"])

    assert quiet.exit_code == forced.exit_code == 0, quiet.output + forced.output
    assert "nothing has drifted" in quiet.output
    assert "sales version 2 (challenger)" in forced.output


def _config(folder, settings):
    path = folder / "retrain.toml"
    detector = "\n".join(f"{key} = {json.dumps(value)}" for key, value in QUICK.items())
    path.write_text(f'data = "{settings.data}"\nregistered_name = "sales"\n[detector]\n{detector}')
    return path


@pytest.mark.slow
def test_a_verdict_against_the_new_version_is_told_by_the_exit_code(settings, tmp_path):
    config = _config(tmp_path, settings)
    options = ["--report", str(settings.report[0]), "--promote", "--set", "rule.latency=0.0001"]

    result = CliRunner().invoke(main, [str(config), *options])

    assert result.exit_code == ExitCode.NOT_PROMOTED, result.output
    assert "against" in result.output
    assert registry.version_of("sales", registry.CHAMPION) == "1"


@pytest.mark.slow
def test_a_report_on_an_earlier_champion_is_refused(settings):
    retrain(settings.model_copy(update={"promote": True}))

    with pytest.raises(ValueError, match=r"need a report on version 2 of 'sales', the champion"):
        retrain(settings)


def test_a_mistake_is_one_sentence(settings, tmp_path):
    (tmp_path / "other.json").write_text("[1]")
    mistakes = [
        ([], ExitCode.SETTINGS, "need `report`"),
        (["--report", "no.json"], ExitCode.DATA, "no.json"),
        (["--report", "other.json"], ExitCode.DATA, "need a report of `anomdiff monitor`"),
        (["--name", "none", "--force"], ExitCode.MODEL, "need a champion of 'none' to retrain"),
        (["--force", "--how", "half"], ExitCode.SETTINGS, "'how'"),
        (
            ["--force", "--how", "warm", "--estimator", "timeseries"],
            ExitCode.SETTINGS,
            "need the estimator of the champion",
        ),
    ]
    begin = ["--data", str(settings.data), "--name", "sales"]

    told = [CliRunner().invoke(main, [*begin, *options]) for options, _, _ in mistakes]

    assert [result.exit_code for result in told] == [code for _, code, _ in mistakes]
    for result, (_, _, sentence) in zip(told, mistakes, strict=True):
        assert sentence in result.output
        assert "Traceback" not in result.output


@pytest.mark.parametrize("detector", [{"random_state": 1}, {}], ids=["seeded", "unseeded"])
def test_rows_are_held_out_once_and_the_same_ones_again(detector):
    frame = pd.DataFrame({"x": range(100)})
    settings = RetrainSettings(data="x.csv", holdout=0.25, detector=detector)

    recent, held_out = split_recent(settings, frame)

    assert sorted([*recent["x"], *held_out["x"]]) == list(range(100))
    assert len(held_out) == 25
    pd.testing.assert_frame_equal(split_recent(settings, frame)[1], held_out)


def test_of_each_series_the_last_steps_are_held_out_whatever_their_order():
    frame = panel(40, seed=0).sample(frac=1, random_state=0)
    settings = RetrainSettings(
        data="x.csv", estimator="timeseries", series="host", time="time", holdout=0.25
    )

    recent, held_out = split_recent(settings, frame)

    for host, rows in held_out.groupby("host"):
        assert len(rows) == 10
        assert rows["time"].min() > recent.loc[recent["host"] == host, "time"].max()


def test_the_example_settings_are_the_defaults():
    path = Path(__file__).parents[2] / "pipelines" / "configs" / "retrain.toml"

    expected = RetrainSettings(
        data="recent.parquet",
        report="monitored/batch.json",
        detector={"alpha": 0.01, "random_state": 0},
    )
    assert RetrainSettings.load(path) == expected


@pytest.mark.slow
def test_an_anomaly_is_held_out_too_but_never_learned_from(mlflow_store, tmp_path, monkeypatch):
    frame = mixed_table(300, seed=0).assign(fault=np.arange(300) % 10 == 0)
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    labelled = {"label": "fault", "normal": False, "registered_name": "sales", "detector": QUICK}
    train(TrainSettings(data=tmp_path / "rows.parquet", **labelled))

    again = RetrainSettings(data=tmp_path / "rows.parquet", force=True, **labelled)
    done = retrain(again)

    assert done.report.n_rows == 270 - round(0.2 * 300) + _held_out_anomalies(again, frame)
    assert any("auroc" in sentence for sentence in done.outcome.verdict.reasons)


def _held_out_anomalies(settings, frame):
    return int(split_recent(settings, frame)[1]["fault"].sum())
