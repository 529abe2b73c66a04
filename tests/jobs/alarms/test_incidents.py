"""Laws of the alarm table of series: one line per segment, and one id from night to night."""

import json

import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.explain.reasons import cell_text
from anomdiff.jobs.alarms.continued import continue_incidents
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.thresholds.severity import severity
from tests.series import panel, waves
from tests.settings import TINY_SERIES

HOSTS = ("a", "b", "c")
NIGHTS, LENGTH = 5, 60


@pytest.fixture(scope="module")
def detector():
    """A detector of a panel; do not change it."""
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    return detector.fit(panel(200, seed=0, labels=HOSTS))


@pytest.fixture(scope="module")
def days():
    """Five nights of three hosts: one is off for three of them, another once and briefly."""
    whole = panel(NIGHTS * LENGTH, seed=7, labels=HOSTS)
    step = np.tile(np.arange(NIGHTS * LENGTH), 3)
    off = (whole["host"] == "b") & (step >= 90) & (step < 195)
    whole.loc[off, "echo"] += 40.0
    whole.loc[(whole["host"] == "c") & (step >= 20) & (step < 24), "fast"] += 900.0
    return [whole[step // LENGTH == night].reset_index(drop=True) for night in range(NIGHTS)]


def _run(folder, frame, detector, night, *, alarms="alarms.csv", suffix=".parquet", **more):
    data = folder / f"in{suffix}"
    frame.to_csv(data, index=False) if suffix == ".csv" else frame.to_parquet(data)
    settings = ScoreSettings(
        overwrite=True,
        data=data,
        output=folder / "scored.parquet",
        alarms=folder / alarms,
        batch_date=f"2026-01-{night + 1:02d}",
        max_alarm_rate=1.0,
        **{"join": 3, **more},
    )
    score(settings, detector)
    return _read(settings.alarms)


def _read(path):
    if path.suffix == ".csv":
        return pd.read_csv(path)
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    return pd.DataFrame([json.loads(line) for line in lines])


def _worst(table, host):
    return table[table["series"] == host].iloc[0]


@pytest.mark.filterwarnings("ignore:need an alarm rate")
@pytest.mark.parametrize("batch_size", [50, 1000])
def test_incidents_are_the_segments_of_the_detector(tmp_path, detector, days, batch_size):
    found = _run(tmp_path, days[1], detector, 1, alarms="a.parquet", batch_size=batch_size)

    scored = detector.score_frame(days[1])
    wanted = detector.segments(scored, days[1], join=3)
    wanted = wanted.sort_values("anomaly_score", ascending=False, ignore_index=True)
    assert len(found) == len(wanted) > 1
    assert found["series"].tolist() == wanted["host"].tolist()
    for name in ("start", "end", "steps", "kind"):
        assert found[name].tolist() == wanted[name].tolist(), name
    np.testing.assert_allclose(found["anomaly_score"], wanted["anomaly_score"], rtol=1e-6)
    assert found["channels"].tolist() == [", ".join(each) for each in wanted["channels"]]
    peaks = scored.set_index([days[1]["host"], days[1]["time"]])
    peaks = peaks.loc[list(zip(wanted["host"], wanted["peak"], strict=True))]
    assert found["p_value"].tolist() == peaks["p_value"].tolist()
    normal = detector.calibration_scores_, detector.threshold_
    np.testing.assert_allclose(found["severity"], severity(found["anomaly_score"], *normal))
    assert found["severity"].between(50, 100, inclusive="left").all()


@pytest.mark.filterwarnings("ignore:need an alarm rate")
@pytest.mark.parametrize("batch_size", [50, 1000])
def test_reasons_of_an_incident_are_those_of_its_peak(tmp_path, detector, days, batch_size):
    limits = {"reasons": 2, "max_explained": 1, "batch_size": batch_size, "join": 0}

    found = _run(tmp_path, days[1], detector, 1, alarms="a.parquet", **limits)

    scored = detector.score_frame(days[1])
    segments = detector.segments(scored, join=0).nlargest(1, "anomaly_score")
    assert len(found) > 1
    for line, segment in zip(found.head(1).to_dict("records"), segments.itertuples(), strict=True):
        at = days[1].index[(days[1]["host"] == segment.host) & (days[1]["time"] == segment.peak)]
        explained = detector.explain(days[1], rows=at, top=2)
        for i, reason in enumerate(explained.to_dict("records"), start=1):
            for part in ("column", "value"):
                assert line[f"reason_{i}_{part}"] == cell_text(reason[part])
            for part in ("expected", "low", "high", "contribution"):
                value = float(line[f"reason_{i}_{part}"])
                assert value == pytest.approx(reason[part], rel=1e-4)
        assert line["sentence"].startswith(f"{line['reason_1_column']} ")
    assert found["sentence"].notna().sum() == found["kind"].notna().sum() == 1


@pytest.mark.filterwarnings("ignore:need an alarm rate")
@pytest.mark.parametrize("alarms", ["alarms.csv", "alarms.jsonl", "alarms.parquet"])
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_incident_of_several_nights_has_one_id_and_alerts_once(
    tmp_path, detector, days, alarms, suffix
):
    told, ids, starts, ends = [], [], [], []
    for night in (1, 2, 3):
        given = {"alarms": alarms, "suffix": suffix, "max_explained": 0, "join": 8}
        found = _run(tmp_path, days[night], detector, night, **given)
        worst = _worst(found, "b")
        ids.append(worst["incident_id"])
        told.append(bool(worst["new"]))
        starts.append(pd.Timestamp(worst["start"]))
        ends.append(bool(worst["ongoing"]))
        assert found["incident_id"].is_unique

    assert len(set(ids)) == 1
    assert told == [True, False, False]
    assert len(set(starts)) == 1
    first = days[1]["time"].min() + pd.Timedelta(minutes=30)
    assert abs(starts[0] - first) <= pd.Timedelta(minutes=8)
    assert ends[:2] == [True, True]


@pytest.mark.filterwarnings("ignore:need an alarm rate")
def test_an_incident_that_has_ended_is_another_one_later(tmp_path, detector, days):
    first = _worst(_run(tmp_path, days[0], detector, 0, max_explained=0), "c")
    again = days[2].copy()
    again.loc[again["host"].eq("c") & again["time"].isin(again["time"][20:24]), "fast"] += 900.0

    later = _worst(_run(tmp_path, again, detector, 2, max_explained=0), "c")

    assert first["new"]
    assert not first["ongoing"]
    assert later["new"]
    assert first["incident_id"] != later["incident_id"]


@pytest.mark.filterwarnings("ignore:need an alarm rate")
@pytest.mark.parametrize(("stop", "ongoing"), [(300, True), (216, False)])
def test_ongoing_is_what_alarms_up_to_the_end_of_the_series(tmp_path, stop, ongoing):
    given = {**TINY_SERIES, "window_lengths": (8, 32, 128)}
    detector = TimeSeriesDetector(**given, time="time")
    detector.fit(waves(600, seed=0).rename_axis("time").reset_index())
    night = waves(300, seed=50).rename_axis("time").reset_index()
    night.loc[150 : stop - 1, "echo"] += 3.0

    found = _run(tmp_path, night, detector, 0, alarms="a.parquet", max_explained=0)

    last = found.sort_values("end").iloc[-1]
    assert (last["ongoing"], last["may_go_on"]) == (ongoing, True)


@pytest.mark.filterwarnings("ignore:need an alarm rate")
def test_a_night_that_is_run_again_says_the_same(tmp_path, detector, days):
    for night in (1, 2):
        once = _run(tmp_path, days[night], detector, night, max_explained=0)
        again = _run(tmp_path, days[night], detector, night, max_explained=0)

        pd.testing.assert_frame_equal(once, again)


@pytest.mark.filterwarnings("ignore:need an alarm rate")
def test_last_nights_table_may_be_another_file(tmp_path, detector, days):
    first = _run(tmp_path, days[1], detector, 1, alarms="monday.parquet", join=8)
    given = {"previous": tmp_path / "monday.parquet", "join": 8}

    second = _run(tmp_path, days[2], detector, 2, alarms="tuesday.csv", **given)
    alone = _run(tmp_path, days[2], detector, 2, alarms="alone.csv", max_explained=0)

    assert _worst(second, "b")["incident_id"] == _worst(first, "b")["incident_id"]
    assert not _worst(second, "b")["new"]
    assert alone["new"].all()


def test_last_nights_table_has_to_be_one_of_incidents(tmp_path, detector, days):
    (tmp_path / "other.csv").write_text("a,b\n1,2\n", encoding="utf-8")

    with pytest.raises(FileNotFoundError, match=r"need last night's incidents at .*none\.csv"):
        _run(tmp_path, days[1], detector, 1, previous=tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"need last night's table .* \['incident_id', 'new', "):
        _run(tmp_path, days[1], detector, 1, previous=tmp_path / "other.csv")


@pytest.mark.filterwarnings("ignore:need an alarm rate")
def test_a_single_series_without_times_goes_on_from_its_first_row(tmp_path):
    detector = TimeSeriesDetector(**TINY_SERIES).fit(waves(200, seed=0).reset_index(drop=True))
    nights = waves(120, seed=7).reset_index(drop=True)
    nights.loc[40:79, "echo"] += 6.0
    parts = [nights[:60].reset_index(drop=True), nights[60:].reset_index(drop=True)]

    first, second = (_run(tmp_path, part, detector, i, join=8) for i, part in enumerate(parts))

    going = first[first["may_go_on"]].iloc[0]
    assert "series" not in first
    assert going["new"]
    goes_on = second[second["incident_id"] == going["incident_id"]]
    assert len(goes_on) == 1
    assert not goes_on["new"].iloc[0]
    assert second["new"].sum() == len(second) - 1


@pytest.mark.filterwarnings("ignore:need an alarm rate")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_times_with_a_zone_are_told_in_utc_and_others_as_they_are(tmp_path, suffix, zone):
    frames = (waves(200, seed=0), waves(80, seed=1, start=200))
    learned, night = (frame.rename_axis("time").reset_index() for frame in frames)
    night.loc[30:34, "echo"] += 5.0
    learned["time"], night["time"] = (
        each["time"].dt.tz_localize(zone) for each in (learned, night)
    )
    detector = TimeSeriesDetector(**TINY_SERIES, time="time").fit(learned)

    found = _run(tmp_path, night, detector, 0, alarms="a.parquet", suffix=suffix, join=0)

    wanted = detector.segments(detector.score_frame(night))
    assert found["start"].tolist() == wanted["start"].tolist()
    assert str(found["start"].dt.tz) == ("UTC" if zone else "None")


class Layout:
    """A panel whose rows are a minute apart."""

    time, series, step = "time", "host", 60e9

    class steps:
        """Usual steps."""

        @staticmethod
        def of(label):
            """Nanoseconds of a minute."""
            return 60e9


def _incident(series, start, end, ongoing=False, begins=True):
    first, last = (
        pd.Timestamp("2026-01-01") + pd.Timedelta(minutes=minute) for minute in (start, end)
    )
    return {
        "start": first,
        "end": last,
        "series": series,
        "ongoing": ongoing,
        "begins": begins,
        "batch_date": "2026-01-02",
    }


def _continued(tonight, before):
    first = continue_incidents(pd.DataFrame(before), None, Layout, 3)
    first["batch_date"] = "2026-01-01"
    table = continue_incidents(pd.DataFrame(tonight), first.astype(str), Layout, 3)
    return first["incident_id"].tolist(), table


@pytest.mark.parametrize(
    ("before", "tonight", "same"),
    [
        (("a", 0, 9, True), ("a", 10, 20), True),  # adjoins
        (("a", 0, 9, True), ("a", 12, 20), True),  # three steps later
        (("a", 0, 9, True), ("a", 13, 20), False),  # later
        (("a", 0, 9, False), ("a", 10, 20), False),  # the earlier one had ended
        (("a", 0, 9, True), ("a", 10, 20, False, False), False),  # tonight's begins by itself
        (("a", 0, 9, False), ("a", 9, 20), True),  # the nights overlap
        (("a", 5, 9, False), ("a", 2, 20), True),
        (("a", 0, 9, True), ("b", 10, 20), False),  # another series
        (("a", 15, 19, True), ("a", 1, 9), False),  # before it
    ],
)
def test_an_incident_goes_on_where_it_overlaps_or_adjoins(before, tonight, same):
    known, table = _continued([_incident(*tonight)], [_incident(*before)])

    assert (table["incident_id"][0] == known[0]) == same
    assert table["new"][0] != same
    start = min(before[1], tonight[1]) if same else tonight[1]
    assert table["start"][0] == pd.Timestamp("2026-01-01") + pd.Timedelta(minutes=start)


def test_an_incident_that_is_split_keeps_its_id_once_and_no_part_is_new():
    parts = [_incident("a", 8, 12), _incident("a", 3, 5)]

    known, table = _continued(parts, [_incident("a", 0, 20)])

    assert table["incident_id"][1] == known[0]
    assert table["incident_id"][0] != known[0]
    assert table["new"].tolist() == [False, False]


def test_ids_tell_series_and_starts_apart():
    incidents = [_incident(series, start, start + 1) for series in "ab" for start in (0, 60)]

    table = continue_incidents(pd.DataFrame(incidents), None, Layout, 3)

    assert table["incident_id"].is_unique
    again = continue_incidents(pd.DataFrame(incidents[::-1]), None, Layout, 3)
    assert again["incident_id"].tolist() == table["incident_id"].tolist()[::-1]
