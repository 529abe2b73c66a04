import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations.mlflow import runs
from anomdiff.integrations.mlflow.runs import log_training
from anomdiff.jobs.batch.alarm_causes import AlarmCauses, is_senseless, sentence, series_shares
from anomdiff.jobs.batch.places import summary_path
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.score import main, score
from anomdiff.jobs.settings import ScoreSettings
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def table():
    """A detector of a table; do not change it."""
    return TabularDetector(**TINY).fit(mixed_table(400, seed=0))


def _settings(folder, frame, **more):
    frame.to_parquet(folder / "in.parquet", index=False)
    return ScoreSettings(data=folder / "in.parquet", output=folder / "out.parquet", **more)


def test_a_job_with_senseless_alarms_ends_with_its_own_code_and_names_the_columns(
    mlflow_store, tmp_path, monkeypatch
):
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)
    detector = TabularDetector(**TINY)
    model = log_training(detector, mixed_table(400, seed=0), experiment="e").model_uri
    frame = mixed_table(300, seed=1)
    frame["price"] += 5000.0
    settings = _settings(tmp_path, frame)
    options = ["--data", str(settings.data), "--output", str(settings.output), "--model", model]

    result = CliRunner().invoke(main, options)
    normal = CliRunner().invoke(main, [*options, "--max-alarm-rate", "1.0"])
    mixed_table(300, seed=1).to_parquet(settings.data, index=False)
    usual = CliRunner().invoke(main, options)

    assert result.exit_code == ExitCode.SENSELESS, result.output
    assert "Warning: need an alarm rate near alpha = 0.01; got 100.0%" in result.output
    assert "columns 'price' (" in result.output
    assert "100% beyond training" in result.output
    assert normal.exit_code == 0, normal.output
    assert usual.exit_code == 0, usual.output
    assert len(pd.read_parquet(settings.output)) == 300


@pytest.mark.parametrize("batch_size", [40, 50_000])
@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("count", 10_000),
        ("kind", "never seen"),
        ("size", -7000.0),
    ],
)
def test_the_column_that_raises_the_alarms_comes_first(table, tmp_path, column, cells, batch_size):
    settings = _settings(
        tmp_path,
        mixed_table(200, seed=1).assign(**{column: cells}),
        batch_size=batch_size,
        max_alarm_factor=1.0,
    )

    with pytest.warns(UserWarning, match="makes no sense"):
        summary = score(settings, table)

    assert summary["alarms_make_no_sense"]
    assert next(iter(summary["alarm_causes"])) == column
    assert summary["alarm_causes"][column]["beyond"] == 1.0
    assert sum(each["contribution"] for each in summary["alarm_causes"].values()) == pytest.approx(
        1
    )
    assert json.loads(summary_path(settings.output).read_text()) == summary
    assert len(pd.read_parquet(settings.output)) == 200


def test_channels_of_series_are_named(tmp_path):
    detector = TimeSeriesDetector(series="host", time="time", **TINY_SERIES)
    detector.fit(panel(300, seed=0))
    frame = panel(200, seed=5)
    rng = np.random.default_rng(0)
    frame["echo"] += rng.normal(0, 30, len(frame))

    with pytest.warns(UserWarning, match="columns 'echo'"):
        summary = score(_settings(tmp_path, frame), detector)

    assert next(iter(summary["alarm_causes"])) == "echo"


def test_the_few_series_that_raise_nearly_all_alarms_are_named():
    alarms = pd.Series({"a": 1, "b": 80, "c": 0, "d": 15, "e": 2})

    assert series_shares(alarms) == {"b": 80 / 98, "d": 15 / 98}
    assert series_shares(alarms.clip(20, 20)) == {}
    assert series_shares(alarms[["b"]]) == {}
    told = sentence(0.345, 0.01, {"load": {"contribution": 1.0}}, series_shares(alarms))
    assert "got 34.5%, which makes no sense unless it is a fault of the series 'b' (82%" in told
    assert "'load'" in told


@pytest.mark.filterwarnings("ignore:need an alarm rate")
def test_a_fault_that_lasts_makes_no_sense_once(tmp_path):
    detector = TimeSeriesDetector(series="host", time="time", **TINY_SERIES)
    detector.fit(panel(300, seed=0, labels="abc"))
    frame = panel(300, seed=5, labels="abc")
    frame.loc[(frame["host"] == "b") & (frame.groupby("host").cumcount() >= 20), "echo"] += 900.0
    step = frame.groupby("host").cumcount()
    told = []

    for night in range(2):
        settings = _settings(
            tmp_path,
            frame[step // 150 == night],
            alarms=tmp_path / "alarms.csv",
            batch_date=f"2026-01-{night + 1:02d}",
            overwrite=True,
            join=8,
        )
        told.append(score(settings, detector))

    assert [each["alarms_make_no_sense"] for each in told] == [True, False]
    assert next(iter(told[0]["alarm_series"])) == "b"
    assert told[1]["alarms"] > 0.2 * told[1]["rows"]


@pytest.mark.parametrize(
    ("alarms", "rows", "alpha", "more", "senseless"),
    [
        (190, 1000, 0.01, {}, False),  # below 20 times alpha
        (210, 1000, 0.01, {}, True),
        (90, 1000, 0.001, {}, False),  # below 10 %
        (110, 1000, 0.001, {}, True),
        (450, 1000, 0.05, {}, False),
        (550, 1000, 0.05, {}, True),
        (1, 2, 0.01, {}, False),  # by chance
        (210, 1000, 0.01, {"max_alarm_factor": 30.0}, False),
        (210, 1000, 0.01, {"max_alarm_rate": 0.3}, False),
    ],
)
def test_alarms_make_no_sense_above_both_limits(alarms, rows, alpha, more, senseless):
    settings = ScoreSettings(data="a.csv", output="b.parquet", **more)

    assert is_senseless(settings, alarms, rows, alpha) == senseless


def test_the_sample_of_alarms_is_bounded_and_drawn_from_all_batches(table):
    causes, rows = AlarmCauses(table), mixed_table(500, seed=1).reset_index(drop=True)
    scored = pd.DataFrame({"is_anomaly": np.arange(500) % 2 == 0})

    for start in range(0, 500, 100):
        causes.add(rows[start : start + 100], scored[start : start + 100])

    assert len(causes.rows) == 20
    assert (causes.rows.index % 2 == 0).all()
    assert causes.rows.index.min() < 150
    assert causes.rows.index.max() > 350
