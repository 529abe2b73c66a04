"""Laws of `engine = "spark"`: what comes out of a night is what comes out of it locally."""

import json
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import SegmentedDetector, TimeSeriesDetector, cli
from anomdiff.jobs.exit_codes import ExitCode, SettingsError
from anomdiff.jobs.readers import read_table
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table

# Fields of a summary that say how a run went, or where it wrote.
OF_THE_RUN = ["scored_at", "output", "rows_digest", "batches_restored", "seconds"]
OF_THE_RUN += ["rows_per_second", "alert"]


@pytest.fixture(scope="module")
def night():
    """New rows with keys, labels, and some that are far out."""
    rows = mixed_table(300, seed=1).reset_index(drop=True)
    rows.loc[::50, "price"] *= 9
    odd = rows.index % 50 == 0
    return rows.assign(sale=2**60 + np.arange(300), fraud=odd, shop=["north", "south"] * 150)


@pytest.fixture(scope="module")
def steps():
    """Three series, one too short and one unknown, mixed; a fault in one."""
    frame = panel(80, seed=5, labels=("a", "b", "new"))
    frame.loc[40:47, "fast"] += 3
    frame.loc[10:13, "echo"] = np.nan
    short = frame.head(2).assign(host="short")
    frame = pd.concat([frame, short]).sample(frac=1, random_state=0, ignore_index=True)
    return frame.assign(time=frame["time"].astype("datetime64[us]"), note="x")


@pytest.fixture(scope="module")
def of_series():
    detector = TimeSeriesDetector(**TINY_SERIES, alpha=0.05, series="host", time="time")
    return detector.fit(panel(300, seed=5, labels=("a", "b")))


def write(rows, folder, suffix, n_files=3):
    """Write rows as several files of a folder, in order, and return the folder."""
    folder.mkdir(parents=True)
    for i, part in enumerate(np.array_split(np.arange(len(rows)), n_files)):
        path, some = folder / f"part {i}{suffix}", rows.iloc[part]
        if suffix == ".parquet":
            some.to_parquet(path, index=False, row_group_size=20)
        elif suffix == ".csv":
            some.to_csv(path, index=False)
        else:
            some.to_json(path, orient="records", lines=suffix == ".jsonl", date_format="iso")
    return folder


def both(folder, data, detector, **given):
    """Score locally and by Spark; scored rows, alarm tables, summaries and warnings of both."""
    found = []
    for engine in ("local", "spark"):
        place = folder / engine
        settings = ScoreSettings(
            data=data,
            output=place / "scored.parquet",
            alarms=place / "alarms.csv",
            engine=engine,
            **given,
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            summary = score(settings, detector)
        assert json.loads((place / "scored.summary.json").read_text()) == summary
        scored = pd.read_parquet(settings.output).sort_values("row", ignore_index=True)
        alarms = pd.read_csv(settings.alarms, dtype={"batch_date": str})
        found.append((scored, alarms, summary, {str(each.message) for each in told}))
    return found


def assert_same_alarms(found, expected):
    """Compare alarm tables, whose numbers of reasons are text, to 1e-6."""
    texts = [name for name in expected if name.endswith(("_value", "_expected", "_low", "_high"))]
    for name in texts:
        numbers = [pd.to_numeric(each[name], errors="coerce") for each in (found, expected)]
        pd.testing.assert_series_equal(*numbers, rtol=1e-6)
        others = [
            each[name][cells.isna()] for each, cells in zip((found, expected), numbers, strict=True)
        ]
        pd.testing.assert_series_equal(*others)
    plain = (each.drop(columns=texts) for each in (found, expected))
    pd.testing.assert_frame_equal(*plain, rtol=1e-6)


def assert_same(local, spark):
    """Compare what two engines have written."""
    pd.testing.assert_frame_equal(spark[0], local[0], rtol=1e-6)
    assert_same_alarms(spark[1], local[1])
    ours, theirs = (
        {name: value for name, value in each[2].items() if name not in OF_THE_RUN}
        for each in (local, spark)
    )
    for each in (ours, theirs):  # the settings name other places
        each["record"] = {**each["record"], "settings": None}
    for name in ("score_quantiles", "quality", "missing_rates", "feedback"):
        assert theirs.pop(name, None) == pytest.approx(ours.pop(name, None), rel=1e-5)
    assert theirs == ours


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl", ".json"])
def test_rows_alarms_and_counts_are_those_of_the_local_engine(spark, tmp_path, tiny, night, suffix):
    data = write(night, tmp_path / "in", suffix)
    given = {"key": ["sale"], "keep": ["kind", "sold"], "label": "fraud", "normal": [False]}

    local, on_spark = both(
        tmp_path, data, tiny, **given, batch_size=64, batch_date="2026-01-31", max_explained=4
    )

    assert_same(local, on_spark)
    assert local[2]["alarms"] > 4
    assert on_spark[0]["row"].tolist() == list(range(300))


def test_rules_and_budget_mute_the_same_lines(spark, tmp_path, tiny, night):
    data = write(night, tmp_path / "in", ".parquet")
    rules = [{"where": {"shop": "north"}, "mute_until": "2099-01-01"}]
    rules += [{"column": "price", "direction": "below"}]

    local, on_spark = both(
        tmp_path, data, tiny, rules=rules, most_alarms=2, batch_date="2026-01-31"
    )

    assert_same(local, on_spark)
    assert local[2]["alarms_muted"]


def test_partitions_and_segments_are_those_of_the_local_engine(spark, tmp_path, night):
    detector = SegmentedDetector(**TINY, alpha=0.05, by="shop", min_rows=100)
    detector.fit(night.drop(columns=["sale", "fraud"]))
    rows = mixed_table(300, seed=2).assign(sale=range(300), fraud=False)
    for i, shop in enumerate(("east", "north", "south")):
        place = tmp_path / "in [1]" / f"shop={shop}" / "day=07"
        write(rows.iloc[i::3], place, ".parquet", n_files=2)

    local, on_spark = both(tmp_path, tmp_path / "in [1]", detector, keep=["day"])

    assert_same(local, on_spark)
    assert local[2]["segment_status"] == {"east": "unknown"}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_series_incidents_and_statuses_are_those_of_the_local_engine(
    spark, tmp_path, of_series, steps, suffix
):
    data = write(steps, tmp_path / "in", suffix)

    local, on_spark = both(
        tmp_path, data, of_series, batch_date="2026-01-31", join=2, max_explained=2
    )

    assert_same(local, on_spark)
    statuses = [pd.read_csv(tmp_path / each / "scored.series.csv") for each in ("local", "spark")]
    pd.testing.assert_frame_equal(*statuses)
    assert local[2]["series"] == {"scored": 2, "unknown": 1, "too short": 1, "failed": 0}
    assert len(local[1]) > 2


def test_a_series_that_cannot_be_scored_does_not_fail_the_others(spark, tmp_path, of_series, steps):
    broken = steps.assign(slow=steps["slow"].astype(object))
    broken.loc[broken["host"] == "b", "slow"] = "off"
    data = write(broken, tmp_path / "in", ".csv", n_files=1)

    local, on_spark = both(tmp_path, data, of_series)

    assert_same(local, on_spark)
    assert local[2]["series"]["failed"] == 1


def test_what_the_driver_holds_is_bounded(spark, tmp_path, tiny, night, monkeypatch):
    data = write(night, tmp_path / "in", ".parquet")
    monkeypatch.setattr("anomdiff.jobs.spark.files.MAX_ALARMS", 3)
    monkeypatch.setattr("anomdiff.jobs.spark.counts.MAX_SAMPLE", 150)

    local, on_spark = both(tmp_path, data, tiny, label="fraud", normal=[False])

    pd.testing.assert_frame_equal(on_spark[0], local[0], rtol=1e-6)
    assert_same_alarms(on_spark[1], local[1].head(3))
    assert any("the alarm table has the 3 of" in each for each in on_spark[3])
    for name in ("rows", "alarms", "alarm_rate", "rows_not_judged", "missing_rates"):
        assert on_spark[2][name] == local[2][name]
    assert 50 < on_spark[2]["quality"]["labelled_rows"] < 250
    largest = [each[2]["score_quantiles"]["1.0"] for each in (local, on_spark)]
    assert largest[1] == pytest.approx(largest[0], rel=1e-6)


def test_a_session_that_was_there_is_left_as_it_was(spark, tmp_path, tiny, night):
    data = write(night, tmp_path / "in", ".parquet")
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")

    try:
        local, on_spark = both(tmp_path, data, tiny, keep=["sold"])
        kept = spark.conf.get("spark.sql.session.timeZone")
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")

    assert_same(local, on_spark)
    assert kept == "Asia/Tokyo"


def test_repeated_keys_are_told_alike(spark, tmp_path, tiny, night):
    again = night.assign(sale=night["sale"] - night.index % 7)
    data = write(again, tmp_path / "in", ".parquet")

    local, on_spark = both(tmp_path, data, tiny, key=["sale", "shop"])

    [told] = [each for each in local[3] if "need keys that tell rows apart" in each]
    assert told in on_spark[3]


def test_the_same_date_is_scored_once_whatever_the_engine(spark, tmp_path, tiny, night):
    data = write(night, tmp_path / "in", ".parquet")
    settings = ScoreSettings(
        data=data, output=tmp_path / "out", batch_date="2026-01-31", engine="spark"
    )
    first = score(settings, tiny)
    folder = tmp_path / "out" / "batch_date=2026-01-31"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}

    assert score(settings, tiny) == first
    assert score(settings.model_copy(update={"engine": "local"}), tiny) == first
    (data / "part 2.parquet").unlink()
    with pytest.raises(SettingsError, match="need `overwrite`.* a run with other rows"):
        score(settings, tiny)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    other = settings.model_copy(update={"overwrite": True, "output": tmp_path / "other"})
    score(other.model_copy(update={"engine": "local"}), tiny)
    assert score(other, tiny)["rows"] == len(read_table(tmp_path / "other")) == 200
    again = score(settings.model_copy(update={"overwrite": True}), tiny)
    assert again["rows"] == len(pd.read_parquet(folder / "scored.parquet")) == 200
    assert sorted(path.name for path in folder.iterdir()) == ["_summary.json", "scored.parquet"]


def test_a_failed_run_leaves_nothing_behind(spark, tmp_path, tiny, night):
    data = write(night.assign(price="much"), tmp_path / "in", ".parquet")
    settings = ScoreSettings(data=data, output=tmp_path / "out" / "s.parquet", engine="spark")

    with pytest.raises(ValueError, match=r"^need numbers in column 'price'; got 'much'"):
        score(settings, tiny)

    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def command(spark, tmp_path, tiny, monkeypatch):
    """`anomdiff score` with a stored model, by Spark."""
    monkeypatch.setattr("anomdiff.jobs.score.resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr("anomdiff.jobs.score.load_registered", lambda uri: tiny)
    monkeypatch.setattr("anomdiff.jobs.dry_run.resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr("anomdiff.jobs.dry_run.load_registered", lambda uri: tiny)

    def run(data, *words):
        place = ["--output", str(tmp_path / "out" / "scored.parquet")]
        words = ["score", "--data", str(data), *place, "--engine", "spark", *words]
        return CliRunner().invoke(cli.main, words)

    return run


def test_exit_codes_are_those_of_the_local_engine(command, tmp_path, night):
    data = write(night, tmp_path / "in", ".parquet")
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 no table PAR1")
    (tmp_path / "broken.csv").write_text(night.to_csv(index=False) + "1,2,3,4,5,6,7,8,9,0,1,2,3\n")

    assert command(data).exit_code == ExitCode.DONE
    for path in ("nothing.parquet", "damaged.parquet", "broken.csv"):
        result = command(tmp_path / path)
        assert result.exit_code == ExitCode.DATA, result.output
        assert len(result.stderr.strip().splitlines()) <= 2
    narrow = write(night[["price"]], tmp_path / "narrow", ".parquet")
    assert command(narrow).exit_code == ExitCode.DATA


def test_a_dry_run_reads_by_spark_and_writes_nothing(command, tmp_path, night):
    data = write(night, tmp_path / "in", ".csv")

    result = command(data, "--dry-run")

    assert result.exit_code == ExitCode.DONE, result.output
    assert f"would write  output: {tmp_path / 'out' / 'scored.parquet'}" in result.stdout
    assert not (tmp_path / "out").exists()
    assert command(data, "--dry-run", "--quarantine", "q.csv").exit_code == ExitCode.SETTINGS


def test_what_only_the_local_engine_does_is_told(tmp_path):
    given = {"data": tmp_path / "in.csv", "output": tmp_path / "out.parquet", "engine": "spark"}
    database = {"url": "sqlite:///a.db", "table": "t"}

    for more, name in (
        ({"quarantine": tmp_path / "q.csv"}, "`quarantine`"),
        ({"data": database}, "a database as `data`"),
        ({"output": {**database, "key": ["row"]}}, "a database as `output`"),
        ({"separator": " "}, "blanks or two characters as `separator`"),
        ({"decimal": ","}, "`decimal`"),
    ):
        with pytest.raises(ValueError, match=f"need `engine = 'local'` for {name}; got 'spark'"):
            ScoreSettings(**{**given, **more})
    with pytest.raises(ValueError, match="need `engine = 'spark'` for `format`"):
        ScoreSettings(**{**given, "engine": "local", "spark": {"format": "delta"}})


@pytest.mark.parametrize("text", ["a;b\n1,5;2\n2,5;3\n", "title\n\na,b\n1,2\n3,4\n"])
def test_text_that_is_no_plain_csv_is_left_to_the_local_engine(spark, tmp_path, tiny, text):
    (tmp_path / "in.csv").write_text(text)
    settings = ScoreSettings(
        data=tmp_path / "in.csv", output=tmp_path / "s.parquet", engine="spark"
    )

    with pytest.raises(SettingsError, match="need `engine = 'local'` for .*in.csv; Spark reads"):
        score(settings, tiny)


@pytest.mark.parametrize("format_", ["delta", "iceberg"])
def test_a_format_that_the_session_lacks_is_told(spark, tmp_path, tiny, format_):
    settings = ScoreSettings(
        data=tmp_path / "table",
        output=tmp_path / "s.parquet",
        engine="spark",
        spark={"format": format_},
    )

    with pytest.raises(SettingsError, match=r"need a Spark session with the .*'?local'"):
        score(settings, tiny)


def test_a_table_with_versions_is_told_by_its_version(spark, tmp_path, tiny, night, monkeypatch):
    """With a folder of parquet files in the place of the table, as there are no packages here."""
    data = write(night, tmp_path / "in", ".parquet")
    version, asked = ["1"], []

    def read(session, kind, place):
        asked.append((kind, place))
        return session.read.parquet(f"file://{data}").repartition(3), version[0]

    monkeypatch.setattr("anomdiff.integrations.spark.tables.read_snapshot", read)
    settings = ScoreSettings(
        data="sales.payments",
        output=tmp_path / "s.parquet",
        keep=["sale"],
        batch_date="2026-01-31",
        engine="spark",
        spark={"format": "iceberg"},
    )

    first = score(settings, tiny)

    scored = pd.read_parquet(settings.output)
    assert asked == [("iceberg", "sales.payments")]
    assert sorted(scored["row"]) == list(range(300))
    expected = tiny.score_frame(night).set_axis(night["sale"]).loc[scored["sale"]]
    np.testing.assert_allclose(scored["anomaly_score"], expected["anomaly_score"], rtol=1e-6)
    assert score(settings, tiny) == first
    version[0] = "2"
    with pytest.raises(SettingsError, match="a run with other rows"):
        score(settings, tiny)


def test_other_jobs_read_what_spark_has_written(spark, tmp_path, tiny, night):
    data = write(night, tmp_path / "in", ".parquet")
    dates = "2026-01-30", "2026-01-31"
    for date in dates:
        place = {"output": tmp_path / "out", "batch_date": date}
        score(ScoreSettings(data=data, **place, engine="spark"), tiny)

    whole = read_table(tmp_path / "out")
    shown = CliRunner().invoke(
        cli.main, ["threshold", str(tmp_path / "out" / f"batch_date={dates[0]}"), "--alarms", "9"]
    )

    assert whole["batch_date"].astype(str).value_counts().to_dict() == dict.fromkeys(dates, 300)
    assert shown.exit_code == ExitCode.DONE, shown.output


def test_missing_software_is_told(tmp_path, monkeypatch):
    settings = ScoreSettings(
        data=tmp_path / "in.csv", output=tmp_path / "s.parquet", engine="spark"
    )
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)

    with pytest.raises(SettingsError, match=r"need pyspark; pip install 'anomdiff\[spark\]'"):
        score(settings)
