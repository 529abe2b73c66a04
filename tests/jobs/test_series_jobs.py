"""Laws of the jobs on time series: no batch cuts a series, every step is scored once."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from anomdiff import TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor, runs
from anomdiff.jobs import score as score_job
from anomdiff.jobs.batch import series_groups
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import PromoteSettings, ScoreSettings, TrainSettings
from anomdiff.jobs.train import main as train_command
from anomdiff.jobs.train import make_detector, train, training_rows
from tests.series import panel, waves
from tests.settings import TINY_SERIES

CONFIGS = Path(__file__).parents[2] / "pipelines" / "configs"
HOSTS = ("007", "b", "c", "d")


@pytest.fixture(scope="module")
def detector():
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    return detector.fit(panel(120, seed=0, labels=HOSTS[:3]))


@pytest.fixture(scope="module")
def steps():
    """Four series, one of them new, with keys, gaps and labels; one after the other."""
    frame = panel(60, seed=5, labels=HOSTS)
    frame.loc[20:23, "echo"] = np.nan
    return frame.assign(key=2**60 + np.arange(240), fault=np.arange(240) % 60 < 3)


def _write(frame, path):
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def _settings(data, **given):
    return ScoreSettings(**{"data": data, "output": data.parent / "out" / "scored.parquet"} | given)


def _score(settings, detector):
    summary = score(settings, detector)
    return pd.read_parquet(settings.output), summary


@pytest.mark.parametrize("batch_size", [7, 130, 1000])
@pytest.mark.parametrize("order", ["by series", "by time", "shuffled"])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_no_batch_cuts_a_series(tmp_path, detector, steps, batch_size, order, suffix):
    orders = {"by time": np.argsort(np.arange(240) % 60, kind="stable")}
    orders["shuffled"] = np.random.default_rng(0).permutation(240)
    frame = steps.iloc[orders.get(order, slice(None))].reset_index(drop=True)
    data = _write(frame, tmp_path / f"in{suffix}")
    wanted = detector.score_frame(frame[["host", "time", "slow", "echo", "fast"]])

    keep = {"keep": ["key", "fast"], "label": "fault", "normal": False}
    scored, summary = _score(_settings(data, batch_size=batch_size, **keep), detector)

    assert list(scored) == [
        *("row", "host", "time", "key", "fast"),
        *("anomaly_score", "p_value", "is_anomaly", "channel"),
    ]
    assert sorted(scored["row"]) == list(range(240))
    given = frame.loc[scored["row"]]
    assert scored["host"].tolist() == given["host"].tolist()
    assert scored["key"].astype("int64").tolist() == given["key"].tolist()
    assert pd.to_datetime(scored["time"]).tolist() == given["time"].tolist()
    np.testing.assert_allclose(scored["fast"], given["fast"])
    for name in ("anomaly_score", "p_value"):
        np.testing.assert_allclose(scored[name], wanted[name].loc[scored["row"]], rtol=1e-9)
    assert scored["channel"].tolist() == wanted["channel"].loc[scored["row"]].tolist()
    assert (summary["rows"], summary["alarms"]) == (240, wanted["is_anomaly"].sum())
    assert summary["missing_rates"] == {"slow": 0, "echo": 4 / 240, "fast": 0}
    assert summary["quality"]["anomalies"] == 12
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "scored.parquet",
        "scored.series.csv",
        "scored.summary.json",
    ]


@pytest.mark.parametrize("batch_size", [7, 1000])
def test_steps_are_written_series_by_series_whatever_the_batch(
    tmp_path, detector, steps, batch_size
):
    frame = steps.drop(columns=["key", "fault"]).sample(frac=1, random_state=1)
    data = _write(frame, tmp_path / "in.parquet")

    scored, _ = _score(_settings(data, batch_size=batch_size), detector)

    assert scored["host"].unique().tolist() == frame["host"].unique().tolist()
    for _, rows in scored.groupby("host"):
        assert rows["row"].is_monotonic_increasing
        assert np.ptp(rows.index) == len(rows) - 1


def test_a_single_series_is_scored_in_the_order_of_its_rows(tmp_path):
    detector = TimeSeriesDetector(**TINY_SERIES).fit(waves(150, seed=0).reset_index(drop=True))
    later = waves(80, seed=1).reset_index(drop=True)
    data = _write(later, tmp_path / "in.csv")

    scored, _ = _score(_settings(data, batch_size=9), detector)

    assert scored["row"].tolist() == list(range(80))
    np.testing.assert_allclose(
        scored["anomaly_score"], detector.score_frame(later)["anomaly_score"], rtol=1e-9
    )


@pytest.mark.parametrize("trained", [".csv", ".parquet"])
@pytest.mark.parametrize("scored", [".csv", ".parquet"])
@pytest.mark.parametrize("labels", [(1, 12), ("01", "12")])
def test_numbered_series_and_times_are_recognised_in_other_files(tmp_path, trained, scored, labels):
    frame = panel(100, seed=0, labels=labels).assign(time=np.tile(10**17 + np.arange(100), 2))
    training = _write(frame, tmp_path / f"training{trained}")
    settings = TrainSettings(
        data=training, estimator="timeseries", series="host", time="time", detector=TINY_SERIES
    )
    rows = training_rows(settings)
    detector = make_detector(settings, rows).fit(rows)
    data = _write(frame, tmp_path / f"in{scored}")

    found, _ = _score(_settings(data), detector)

    assert set(detector.model_.scaler.scales) == {None, *labels}
    np.testing.assert_allclose(
        found["anomaly_score"], detector.score_frame(frame)["anomaly_score"], rtol=1e-9
    )
    assert found["host"].astype(str).tolist() == frame["host"].astype(str).tolist()
    assert found["time"].astype(str).tolist() == frame["time"].astype(str).tolist()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop(columns="host"), r"'host' \(series\) is missing; the table has 'time'"),
        (
            lambda t: t.drop(columns=["time", "fast"]),
            r"'time' \(time\), 'fast' \(channel\) are missing",
        ),
        (lambda t: t.assign(host=None), "need a series in column 'host'; row 0 has none"),
        (lambda t: t.assign(slow="high"), "need numbers in column 'slow'; got 'high' in row 0"),
        (
            lambda t: t.assign(time=t["time"][0]),
            "need one row per time of series '007'; 59 of 60 rows .* row 1: set duplicate_times",
        ),
        (lambda t: t.assign(time="soon"), "need dates like .* in column 'time'; got 'soon'"),
        (lambda t: t[:0], "need at least one row"),
    ],
)
@pytest.mark.parametrize("order", ["by series", "by time"])
def test_bad_input_is_reported_in_one_sentence(tmp_path, detector, steps, change, sentence, order):
    frame = change(steps.drop(columns=["key", "fault"]))
    frame = (
        frame.sort_values("time", kind="stable")
        if order == "by time" and "time" in frame
        else frame
    )
    data = _write(frame, tmp_path / "in.csv")

    with pytest.raises(ValueError, match=sentence) as caught:
        score(_settings(data, batch_size=50), detector)

    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out/*")) + list(tmp_path.glob("out/.*"))


def test_a_kept_column_must_not_be_named_like_a_result(tmp_path, detector, steps):
    data = _write(steps.rename(columns={"key": "channel"}), tmp_path / "in.parquet")

    with pytest.raises(ValueError, match=r"need other names for the kept columns \['channel'\]"):
        score(_settings(data, keep="channel"), detector)


def test_covariates_may_be_left_out(tmp_path):
    rows = waves(150, seed=0).reset_index(drop=True).assign(door=np.arange(150) % 2)
    detector = TimeSeriesDetector(**TINY_SERIES).fit(rows)
    data = _write(rows.drop(columns="door"), tmp_path / "in.parquet")

    scored, summary = _score(_settings(data), detector)

    np.testing.assert_array_equal(
        scored["anomaly_score"], detector.score_frame(rows)["anomaly_score"]
    )
    assert summary["missing_rates"]["door"] == 1


def test_covariates_that_say_what_is_normal_may_not_be_left_out(tmp_path):
    rows = waves(150, seed=0).reset_index(drop=True)
    detector = TimeSeriesDetector(covariates=["fast"], **TINY_SERIES).fit(rows)
    data = _write(rows.drop(columns="fast"), tmp_path / "in.parquet")

    with pytest.raises(ValueError, match=r"'fast' \(covariate\) is missing"):
        score(_settings(data), detector)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_other_jobs_read_the_same_steps(tmp_path, detector, steps, suffix):
    data = _write(steps.sample(frac=1, random_state=2), tmp_path / f"in{suffix}")
    settings = PromoteSettings(data=data, label="fault", normal=False)

    rows, labels = read_model_rows(data, settings, detector)

    expected = detector.score_frame(steps[["host", "time", "slow", "echo", "fast"]])
    found = detector.score_frame(rows).sort_values(["host", "time"])
    np.testing.assert_allclose(found["anomaly_score"], expected["anomaly_score"], rtol=1e-9)
    assert labels.sum() == 12


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_trained_and_scored_from_files_by_commands(mlflow_store, tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)  # seconds, tested elsewhere
    data = _write(panel(150, seed=0).assign(note="x"), tmp_path / f"in{suffix}")
    detector = "\n".join(f"{key} = {json.dumps(value)}" for key, value in TINY_SERIES.items())
    config = tmp_path / "train.toml"
    config.write_text(f'data = "{data}"\nestimator = "timeseries"\n[detector]\n{detector}\n')
    options = ["--series", "host", "--time", "time", "--drop", "note", "--name", "machines"]
    output = tmp_path / "scored.parquet"

    trained = CliRunner().invoke(train_command, [str(config), *options])
    scored = CliRunner().invoke(
        score_job.main,
        ["--data", str(data), "--output", str(output), "--model", "models:/machines@champion"],
    )

    assert trained.exit_code == 0, trained.output
    assert scored.exit_code == 0, scored.output
    model = flavor.load_model("models:/machines@champion")
    assert (model.series, model.time) == ("host", "time")
    found = pd.read_parquet(output)
    wanted = model.score_frame(panel(150, seed=0))
    np.testing.assert_allclose(found["anomaly_score"], wanted["anomaly_score"], rtol=1e-9)


def test_steps_that_are_not_normal_leave_a_hole_and_no_seam(tmp_path):
    frame = panel(50, seed=0).assign(fault=["no", "no", "yes", "no", "no"] * 20, on=True)
    data = _write(frame, tmp_path / "in.csv")
    settings = TrainSettings(
        data=data,
        estimator="timeseries",
        series="host",
        time="time",
        label="fault",
        normal="no",
        detector=TINY_SERIES,
    )

    rows = training_rows(settings)

    assert list(rows) == ["time", "slow", "echo", "fast", "host", "on"]
    assert rows[["time", "host"]].notna().all(axis=None)
    hole = (frame["fault"] == "yes").to_numpy()
    for name in ("slow", "echo", "fast", "on"):
        assert (rows[name].isna() == hole).all()
    TimeSeriesDetector(**TINY_SERIES, series="host", time="time").fit(rows)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"series": "machine"}, "need the column 'machine' of series; the table has"),
        ({"time": "when"}, "need the column 'when' of time; the table has"),
        ({"detector": {"n_levels": 3}}, r"detector has no parameters \['n_levels'\]"),
        ({"max_rows": 10}, r"need `estimator = 'tabular'` for \['max_rows'\]; got .*'timeseries'"),
        ({"detector": {"time": "time"}}, r"need \['time'\] beside `estimator`; got them in"),
        ({"estimator": "tabular"}, r"need `estimator = 'timeseries'` for \['series', 'time'\]"),
        ({"estimator": "series"}, "'estimator': Input should be 'tabular' or 'timeseries'"),
    ],
)
def test_what_training_needs_is_reported_in_one_sentence(tmp_path, given, sentence):
    data = _write(panel(20, seed=0), tmp_path / "in.csv")
    settings = {"data": data, "estimator": "timeseries", "series": "host", "time": "time"}

    with pytest.raises(ValueError, match=sentence) as caught:
        train(TrainSettings.load(None, settings | given))

    assert "\n" not in str(caught.value)


def test_the_example_settings_are_settings():
    training = TrainSettings.load(CONFIGS / "train-series.toml")
    scoring = ScoreSettings.load(CONFIGS / "score-series.toml")

    assert (training.estimator, training.series, training.time) == ("timeseries", "machine", "time")
    assert scoring.model == f"models:/{training.registered_name}@champion"


def test_more_groups_than_files_are_joined(tmp_path, monkeypatch, detector):
    monkeypatch.setattr(series_groups, "MAX_FILES", 3)
    labels = [f"s{i}" for i in range(11)]
    frame = panel(8, seed=0, labels=labels).sort_values("time", kind="stable", ignore_index=True)
    data = _write(frame, tmp_path / "in.parquet")

    scored, _ = _score(_settings(data, batch_size=8), detector)

    assert scored["host"].unique().tolist() == labels
    wanted = detector.score_frame(frame)["anomaly_score"]
    np.testing.assert_allclose(scored["anomaly_score"], wanted.loc[scored["row"]], rtol=1e-9)


def test_channels_of_a_text_file_are_read_as_the_model_reads_them(tmp_path):
    training = panel(120, seed=0, labels=HOSTS[:3])
    training.loc[::40, "slow"] = -999.0
    detector = TimeSeriesDetector(
        **TINY_SERIES, series="host", time="time", missing_values=-999
    ).fit(training)
    frame = panel(60, seed=5, labels=HOSTS[:3])
    gaps = frame.index.isin([30, 90])
    spelled = frame.astype({"echo": object})
    spelled.loc[gaps, "echo"] = "ERR"
    spelled.loc[gaps, "slow"] = -999.0

    with pytest.warns(UserWarning, match="2 of 180 cells of column 'echo'"):
        scored, summary = _score(_settings(_write(spelled, tmp_path / "in.csv")), detector)

    cells = {name: frame[name].mask(gaps) for name in ("echo", "slow")}
    wanted = detector.score_frame(frame.assign(**cells)[list(training)])["anomaly_score"]
    found = scored.set_index("row")["anomaly_score"].sort_index()
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    rates = summary["missing_rates"]
    assert rates["echo"] == rates["slow"] == pytest.approx(2 / 180)


def test_steps_that_are_not_judged_are_null_in_the_file_and_counted_in_the_summary(
    tmp_path, detector, steps
):
    short = panel(2, seed=9, labels=["short"]).assign(key=0, fault=True)
    data = _write(pd.concat([steps, short], ignore_index=True), tmp_path / "in.parquet")
    known = _write(steps, tmp_path / "known.parquet")
    labelled = {"label": "fault", "normal": False}

    with pytest.warns(UserWarning, match="2 of .* rows have none around them.*series 'short'"):
        scored, summary = _score(_settings(data, **labelled), detector)
    table = pq.read_table(tmp_path / "out" / "scored.parquet")
    expected = score(_settings(known, **labelled), detector)

    for name in ("anomaly_score", "p_value", "channel"):
        assert table[name].null_count == 2
        assert scored[name].isna().equals(scored["host"] == "short")
    assert (summary["rows"], summary["rows_not_judged"]) == (242, 2)
    assert expected["rows_not_judged"] == 0
    assert summary["score_quantiles"] == expected["score_quantiles"]
    assert summary["quality"] == expected["quality"]


def test_columns_that_the_detector_drops_are_not_told_as_unused(tmp_path):
    frame = panel(120, seed=0, labels=HOSTS[:2]).assign(note="ok")
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time", drop=["note"])
    data = _write(frame.assign(colour="red"), tmp_path / "in.parquet")

    _, summary = _score(_settings(data), detector.fit(frame))

    assert summary["columns_not_used"] == ["colour"]
