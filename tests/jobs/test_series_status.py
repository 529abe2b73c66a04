"""Laws of statuses and quarantine: what cannot be scored never fails the rest, and is counted."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.jobs import score as score_job
from anomdiff.jobs.batch.places import summary_path
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table

HOSTS = ("a", "b", "c")

pytestmark = pytest.mark.filterwarnings("ignore:need (an alarm rate|at least)", "ignore:columns")


@pytest.fixture(scope="module")
def detector():
    """A detector of a panel; do not change it."""
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    return detector.fit(panel(200, seed=0, labels=HOSTS))


@pytest.fixture(scope="module")
def table_detector():
    """A detector of a table; do not change it."""
    return TabularDetector(**TINY).fit(mixed_table(400, seed=0))


@pytest.fixture
def steps():
    """Three known hosts and a new one."""
    return panel(60, seed=5, labels=(*HOSTS, "new")).astype({"slow": object})


def _write(frame, path):
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def _score(folder, frame, detector, *, suffix=".csv", **more):
    data = _write(frame, folder / f"in{suffix}")
    settings = ScoreSettings(data=data, output=folder / "out" / "scored.parquet", **more)
    return settings, score(settings, detector)


def _statuses(settings):
    table = pd.read_csv(settings.output.with_name("scored.series.csv"))
    return table.set_index("series")


def _spoil_step(frame):
    later = (frame["host"] == "b").to_numpy()
    start = frame.loc[later, "time"].iloc[0]
    times = frame["time"].copy()
    times[later] = start + 7 * (frame.loc[later, "time"] - start)
    return frame.assign(time=times)


def _repeat_time(frame):
    times = frame["time"].copy()
    at = np.flatnonzero(frame["host"] == "b")[:5]
    times.iloc[at[1:]] = times.iloc[at[0]]
    return frame.assign(time=times)


def _spoil_cells(frame):
    return frame.assign(slow=frame["slow"].mask(frame["host"] == "b", "broken"))


def _spoil_time(frame):
    times = frame["time"].astype(str)
    times[frame.index[frame["host"] == "b"][3]] = "soon"
    return frame.assign(time=times)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_spoil_step, "failed: need rows of series 'b' 0 days 00:01:00 apart, as in training"),
        (_repeat_time, "failed: need one row per time of series 'b'; 4 of 60 rows"),
        (_spoil_cells, "failed: need numbers in column 'slow'; got 'broken' in row"),
        (_spoil_time, "failed: need dates like"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("order", ["by series", "by time"])
@pytest.mark.parametrize("batch_size", [70, 1000])
def test_one_bad_series_never_fails_the_others(
    tmp_path, detector, steps, spoil, why, suffix, order, batch_size
):
    frame = spoil(steps)
    if order == "by time":
        frame = frame.iloc[np.argsort(np.arange(240) % 60, kind="stable")].reset_index(drop=True)
    if suffix == ".parquet":
        frame = frame.astype({"slow": str} if spoil is _spoil_cells else {"slow": float})

    settings, summary = _score(tmp_path, frame, detector, suffix=suffix, batch_size=batch_size)

    scored = pd.read_parquet(settings.output).set_index("row").sort_index()
    bad = (frame["host"] == "b").to_numpy()
    good = frame[~bad].astype({"slow": float}).assign(time=pd.to_datetime(frame["time"][~bad]))
    wanted = detector.score_frame(good)
    assert len(scored) == 240
    np.testing.assert_allclose(scored["anomaly_score"][~bad], wanted["anomaly_score"], rtol=1e-6)
    assert scored.loc[bad, ["anomaly_score", "p_value", "channel"]].isna().all(axis=None)
    assert not scored.loc[bad, "is_anomaly"].any()
    status = _statuses(settings)
    assert status["status"]["b"].startswith(why)
    assert status["status"].drop("b").to_dict() == {"a": "scored", "c": "scored", "new": "unknown"}
    assert status["rows"].to_dict() == dict.fromkeys(status.index, 60)
    assert status["alarms"].sum() == summary["alarms"] == wanted["is_anomaly"].sum()
    assert summary["series"] == {"scored": 2, "unknown": 1, "too short": 0, "failed": 1}
    assert set(summary["series_status"]) == {"b", "new"}
    assert (summary["rows"], summary["rows_not_judged"]) == (240, 60)
    assert json.loads(summary_path(settings.output).read_text(encoding="utf-8")) == summary


def test_missing_cells_are_a_share_of_the_steps_that_were_scored(tmp_path, detector, steps):
    frame = _spoil_step(steps)
    frame.loc[frame.index[frame["host"] == "a"][:18], "echo"] = np.nan

    _, summary = _score(tmp_path, frame, detector)

    assert summary["missing_rates"]["echo"] == pytest.approx(18 / 180)


def test_incidents_of_the_others_are_written_where_one_series_fails(tmp_path, detector, steps):
    frame = _spoil_step(steps).astype({"slow": float})
    frame.loc[(frame["host"] == "a") & (frame.index % 60 > 30), "echo"] += 9.0
    given = {"alarms": tmp_path / "alarms.parquet", "max_alarm_rate": 1.0}

    settings, summary = _score(tmp_path, frame, detector, suffix=".parquet", **given)

    found = pd.read_parquet(settings.alarms)
    assert len(found) == summary["alarm_table_rows"] > 0
    assert "a" in set(found["series"])
    assert "b" not in set(found["series"])


def test_a_series_too_short_for_any_window_says_so(tmp_path, detector, steps):
    short = pd.concat([steps, panel(2, seed=9, labels=["tiny"])], ignore_index=True)

    settings, summary = _score(tmp_path, short, detector)

    assert _statuses(settings)["status"]["tiny"] == "too short"
    assert summary["series"] == {"scored": 3, "unknown": 1, "too short": 1, "failed": 0}


def test_where_every_series_fails_the_job_does(tmp_path, detector, steps):
    with pytest.raises(ValueError, match="need numbers in column 'slow'; got 'x' in row 0"):
        _score(tmp_path, steps.assign(slow="x"), detector)

    assert not list(tmp_path.glob("out/*"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda t: t, ExitCode.DONE),
        (_spoil_step, ExitCode.PARTLY),
        (lambda t: t.assign(slow="x"), ExitCode.DATA),
        (lambda t: t.drop(columns="slow"), ExitCode.DATA),
    ],
)
def test_the_exit_code_tells_what_became_of_the_night(
    tmp_path, detector, steps, monkeypatch, change, code
):
    monkeypatch.setattr(score_job, "resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr(score_job, "load_registered", lambda uri: detector)
    data = _write(change(steps), tmp_path / "in.csv")
    options = ["--data", str(data), "--output", str(tmp_path / "out.parquet")]

    result = CliRunner().invoke(score_job.main, [*options, "--max-alarm-rate", "1"])

    assert result.exit_code == code, result.output
    assert (tmp_path / "out.parquet").exists() == (code in (ExitCode.DONE, ExitCode.PARTLY))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--batch-size", "none"], ExitCode.SETTINGS),
        (["--batch-size", "0"], ExitCode.SETTINGS),
        (["--alarms", "alarms.xlsx"], ExitCode.SETTINGS),
        (["--alarms", "out.parquet"], ExitCode.SETTINGS),
        (["none.toml"], ExitCode.SETTINGS),
        (["--data", "none.csv"], ExitCode.DATA),
        (["--model", "models:/nothing@champion"], ExitCode.MODEL),
        (["--model", "no-folder"], ExitCode.MODEL),
    ],
)
def test_mistakes_have_their_exit_codes(mlflow_store, tmp_path, monkeypatch, options, code):
    monkeypatch.chdir(tmp_path)
    _write(mixed_table(20, seed=0), tmp_path / "in.csv")

    result = CliRunner().invoke(
        score_job.main, ["--data", "in.csv", "--output", "out.parquet", *options]
    )

    assert result.exit_code == code, result.output
    assert "Error: " in result.stderr.strip().splitlines()[-1]


def test_the_help_says_what_the_exit_codes_mean():
    told = " ".join(CliRunner().invoke(score_job.main, ["--help"]).output.split())

    for sentence in ("6 data that is not there", "8 partly done", "7 the files are written"):
        assert sentence in told


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("batch_size", [40, 1000])
def test_rows_that_cannot_be_read_go_to_the_quarantine_with_the_reason(
    tmp_path, table_detector, suffix, batch_size
):
    whole = mixed_table(200, seed=1).reset_index(names="sale").drop(columns="sold")
    detector = table_detector
    detector = TabularDetector(**TINY).fit(mixed_table(300, seed=0).drop(columns="sold"))
    broken = whole.astype({"weight": object, "price": object})
    broken.loc[7, "price"] = "much"
    broken.loc[[50, 51, 52], "weight"] = "ERR"
    given = {"quarantine": tmp_path / f"broken{suffix}", "key": "sale", "batch_size": batch_size}

    settings, summary = _score(tmp_path, broken, detector, **given)

    rows = [7, 50, 51, 52]
    scored = pd.read_parquet(settings.output)
    good = whole.drop(index=rows)
    wanted = detector.score_frame(good.drop(columns="sale"))
    assert scored["row"].tolist() == good.index.tolist()
    np.testing.assert_allclose(scored["anomaly_score"], wanted["anomaly_score"], rtol=1e-6)
    found = _read_rows(settings.quarantine)
    assert found["row"].astype(int).tolist() == rows
    assert found["reason"].tolist() == [
        "cannot be read: 'much' in column 'price'",
        *["cannot be read: 'ERR' in column 'weight'"] * 3,
    ]
    assert found["sale"].tolist() == whole["sale"][rows].tolist()
    assert found["weight"].tolist()[1:] == ["ERR"] * 3
    assert summary["rows"] + summary["rows_quarantined"] == 200
    assert summary["rows_quarantined"] == 4


def _read_rows(path):
    if path.suffix == ".jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([json.loads(line) for line in lines])
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def test_without_a_quarantine_rows_that_cannot_be_read_fail_the_job(tmp_path, table_detector):
    broken = mixed_table(60, seed=1).astype({"price": object})
    broken.loc[broken.index[:30], "price"] = "much"

    with pytest.raises(ValueError, match="need numbers in column 'price'; got 'much'"):
        _score(tmp_path, broken, table_detector)


def test_a_table_of_which_no_row_can_be_read_is_refused(tmp_path, table_detector):
    broken = mixed_table(60, seed=1).assign(price="much")

    with pytest.raises(ValueError, match="need at least one row that can be read; none of 60 can"):
        _score(tmp_path, broken, table_detector, quarantine=tmp_path / "broken.csv")

    assert not (tmp_path / "broken.csv").exists()


@pytest.mark.parametrize("order", ["by series", "by time"])
@pytest.mark.parametrize("batch_size", [70, 1000])
def test_steps_that_cannot_be_read_are_missing_ones_and_those_without_a_place_are_taken_out(
    tmp_path, detector, steps, order, batch_size
):
    frame = steps.astype({"time": str})
    frame.loc[65:69, "slow"] = "ERR"
    frame.loc[100, "time"] = "soon"
    frame.loc[130, "host"] = None
    if order == "by time":
        frame = frame.iloc[np.argsort(np.arange(240) % 60, kind="stable")].reset_index(drop=True)
    given = {"quarantine": tmp_path / "broken.csv", "batch_size": batch_size}

    settings, summary = _score(tmp_path, frame, detector, **given)

    taken = frame.index[(frame["slow"] == "ERR") | (frame["time"] == "soon") | frame["host"].isna()]
    found = pd.read_csv(settings.quarantine).set_index("row")
    assert sorted(found.index) == sorted(taken)
    scored = pd.read_parquet(settings.output).set_index("row").sort_index()
    assert scored.index.tolist() == [row for row in frame.index if row not in set(taken)]
    whole = frame[(frame["time"] != "soon") & frame["host"].notna()].copy()
    whole.loc[whole["slow"] == "ERR", ["slow", "echo", "fast"]] = np.nan
    whole = whole.astype({"slow": float}).assign(time=pd.to_datetime(whole["time"]))
    wanted = detector.score_frame(whole)["anomaly_score"]
    np.testing.assert_allclose(scored["anomaly_score"], wanted[scored.index], rtol=1e-6)
    assert summary["rows"] + summary["rows_quarantined"] == 240
    assert summary["series"]["failed"] == 0


def test_a_series_of_which_no_step_can_be_read_leaves_the_others(tmp_path, detector, steps):
    frame = steps.astype({"time": str})
    frame.loc[frame["host"] == "b", "time"] = "soon"
    frame = frame.iloc[np.argsort(np.arange(240) % 60, kind="stable")].reset_index(drop=True)
    given = {"quarantine": tmp_path / "broken.csv", "batch_size": 60}

    settings, summary = _score(tmp_path, frame, detector, **given)

    assert summary["rows_quarantined"] == 60
    assert set(_statuses(settings).index) == {"a", "c", "new"}
