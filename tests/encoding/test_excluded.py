import datetime

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.excluded import excluded_rows, intervals
from anomdiff.encoding.panel import PanelLayout

HOURS = pd.date_range("2026-03-27", periods=96, freq="h")  # clocks change on the 29th


def table(times=HOURS):
    return pd.DataFrame({"t": times, "load": np.arange(float(len(times)))})


def left_out(frame, exclude, **options):
    layout = PanelLayout.infer(frame, time="t", **options)
    return np.flatnonzero(excluded_rows(layout, frame, exclude)).tolist()


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    [
        ("2026-03-27 03:00", "2026-03-27 05:00", 3, 5),
        (pd.Timestamp("2026-03-27 03:00"), np.datetime64("2026-03-27T05:00"), 3, 5),
        (datetime.datetime(2026, 3, 27, 3), "2026-03-27T05:59", 3, 5),
        ("2026-03-28", "2026-03-28", 24, 47),
        (datetime.date(2026, 3, 28), datetime.date(2026, 3, 29), 24, 71),
        ("2026-03-28", "2026-03-28 00:00", 24, 24),
        (pd.Period("2026-03-28"), pd.Period("2026-03-28"), 24, 47),
        (pd.Period("2026-03-28 01:00", "h"), pd.Period("2026-03-28 02:00", "h"), 25, 26),
        ("2026-03-27 03:30", "2026-03-27 04:30", 4, 4),
    ],
)
def test_an_interval_holds_its_ends_and_a_day_is_all_of_it(start, end, first, last):
    for times in (HOURS, HOURS.astype(str), HOURS.to_period("h")):
        assert left_out(table(times), [(start, end)]) == list(range(first, last + 1))


def test_ends_without_a_zone_are_in_that_of_the_times():
    local = pd.date_range("2026-03-28", periods=72, freq="h", tz="Europe/Oslo")
    frame = table(local)

    found = left_out(frame, [("2026-03-29 01:00", "2026-03-29 04:00")])
    zoned = left_out(frame, [("2026-03-29 00:00Z", pd.Timestamp("2026-03-29 02:00", tz="UTC"))])

    clocks = frame["t"][found].dt.hour.tolist()
    assert clocks == [1, 3, 4]  # there is no hour of 2 on that day
    assert zoned == found


@pytest.mark.parametrize("written", ["%z", "+01", "+01:00"])
def test_ends_are_in_the_zone_that_texts_are_written_with(written):
    local = pd.date_range("2026-03-01", periods=72, freq="h", tz="+01:00")
    frame = table(local.strftime(f"%Y-%m-%dT%H:%M:%S{written}"))

    assert left_out(frame, [("2026-03-01 05:00", "2026-03-01 07:00")]) == [5, 6, 7]
    assert left_out(frame, [("2026-03-01 04:00Z", "2026-03-01 06:00Z")]) == [5, 6, 7]


def test_texts_of_several_zones_need_ends_with_one_and_those_of_none_without():
    local = pd.date_range("2026-03-28", periods=72, freq="h", tz="Europe/Oslo")
    several = table([each.isoformat() for each in local])
    plain = table([each.isoformat() for each in HOURS])

    assert left_out(several, [("2026-03-28 01:00Z", "2026-03-28 03:00Z")]) == [2, 3, 4]
    with pytest.raises(ValueError, match="with a zone as the times have several; got '2026-03-28"):
        left_out(several, [("2026-03-28 01:00", "2026-03-28 03:00")])
    with pytest.raises(ValueError, match="without a zone as the times have none"):
        left_out(plain, [("2026-03-28 01:00Z", "2026-03-28 03:00Z")])


def test_of_an_hour_that_comes_twice_all_is_left_out():
    local = pd.date_range("2025-10-26", periods=6, freq="h", tz="Europe/Oslo")

    found = left_out(table(local), [("2025-10-26 02:00", "2025-10-26 02:00")])

    assert found == [2, 3]


@pytest.mark.parametrize(
    ("times", "ends", "rows"),
    [
        (np.arange(50) * 10, (95, 120), [10, 11, 12]),
        (np.arange(50) / 10, (1, 1.2), [10, 11, 12]),
        (pd.to_timedelta(np.arange(50), "min"), ("10min", pd.Timedelta("12min")), [10, 11, 12]),
    ],
    ids=["numbers", "fractions", "durations"],
)
def test_ends_are_of_the_type_of_the_times(times, ends, rows):
    assert left_out(table(times), [ends]) == rows


def test_rows_in_order_only_are_counted_from_0():
    frame = table().drop(columns="t")

    found = excluded_rows(PanelLayout.infer(frame), frame, [(3, 5)])

    assert np.flatnonzero(found).tolist() == [3, 4, 5]


def test_intervals_of_a_series_leave_the_others_alone_in_a_list_and_in_a_frame():
    frame = pd.concat([table().assign(host=host) for host in ("a", "b")], ignore_index=True)
    layout = PanelLayout.infer(frame, "host", "t")
    several = [
        ("2026-03-27 03:00", "2026-03-27 04:00", "b"),
        ("2026-03-28", "2026-03-28 01:00", None),
    ]
    as_frame = pd.DataFrame(several, columns=["start", "end", "machine"])

    for exclude in (several, as_frame, as_frame[["machine", "end", "start"]], tuple(several)):
        found = np.flatnonzero(excluded_rows(layout, frame, exclude)).tolist()
        assert found == [24, 25, 99, 100, 120, 121]


def test_what_is_left_out_is_a_gap():
    frame = table()
    layout = PanelLayout.infer(frame, time="t")
    mask = excluded_rows(layout, frame, [("2026-03-27 03:00", "2026-03-27 03:00")])

    parts = layout.read(frame, mask)

    assert [part.rows.tolist() for part in parts] == [[0, 1, 2], list(range(4, 96))]


def test_an_interval_without_a_row_is_told_where_asked_for():
    frame = table()
    layout = PanelLayout.infer(frame, time="t")

    with pytest.warns(UserWarning, match="'2020-01-01'.* of exclude holds no training row"):
        excluded_rows(layout, frame, [("2020-01-01", "2020-01-02")], warn=True)


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        ([("2026-03-28", "2026-03-27")], "begin before they end"),
        ([("noon", "2026-03-27")], "as a date.*got 'noon'"),
        ([(3, 5)], "as a date.*got 3"),
        ([("2026-03-27", pd.NaT)], "as a date.*got NaT"),
        ([("2026-03-27", None)], "as a date.*got None"),
        ([("2026-03-27T00:00Z", "2026-03-28")], "without a zone.*got '2026-03-27T00:00Z'"),
        ([("2026-03-27", "2026-03-27", "a")], "there is one only"),
        ([("2020-01-01", "2030-01-01")], "all 96 rows lie in one"),
    ],
)
def test_intervals_that_cannot_be_meant_are_refused_in_one_sentence(exclude, message):
    with pytest.raises(ValueError, match=message) as told:
        left_out(table(), exclude)

    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "exclude",
    [
        "2026-03-27",
        5,
        {"start": 1},
        ["2026-03-27"],
        [(1,)],
        [(1, 2, 3, 4)],
        [3],
        pd.DataFrame({"start": [1]}),
        pd.DataFrame({"start": [1], "end": [2], "a": [1], "b": [1]}),
    ],
    ids=str,
)
def test_what_is_no_list_of_intervals_is_refused(exclude):
    with pytest.raises((TypeError, ValueError), match="exclude"):
        intervals(exclude)


def test_no_intervals_leave_nothing_out():
    frame = table()

    assert excluded_rows(PanelLayout.infer(frame, time="t"), frame, None) is None
    assert excluded_rows(PanelLayout.infer(frame, time="t"), frame, []) is None
