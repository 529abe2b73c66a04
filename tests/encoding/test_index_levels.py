import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.index_levels import keys_as_columns, levels_as_columns, without_levels
from tests.series import panel

N = 6
STAMPS = pd.date_range("2026-01-31", periods=N, freq="h")
TIMES = {
    "timestamps": STAMPS,
    "zoned": STAMPS.tz_localize("Europe/Oslo"),
    "periods": STAMPS.to_period("h"),
    "durations": STAMPS - STAMPS[0],
    "dates": pd.Index([stamp.date() for stamp in pd.date_range("2026-01-01", periods=N)]),
}


def keyed(times, names):
    rows = pd.MultiIndex.from_product([["a", "b"], times], names=names)
    return pd.DataFrame({"load": np.arange(2.0 * N)}, index=rows)


@pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_one_level_with_times_is_the_time_and_the_other_the_series(times, swapped):
    frame = keyed(times, ["host", "t"])
    given = frame.swaplevel() if swapped else frame

    found, series, time = keys_as_columns(given)

    assert (series, time) == ("host", "t")
    assert found.index.equals(given.index)
    assert found.columns.tolist() == ["host", "t", "load"]
    assert found["t"].dtype == frame.reset_index()["t"].dtype
    pd.testing.assert_frame_equal(found.reset_index(drop=True), frame.reset_index())


def test_levels_may_be_named_by_the_caller_and_then_need_no_times():
    frame = keyed(range(N), ["t", "host"])

    found, series, time = keys_as_columns(frame, series="t", time="host")

    assert (series, time) == ("t", "host")
    assert found["t"].tolist() == frame.index.get_level_values("t").tolist()


def test_levels_without_names_get_some_or_those_that_are_asked_for():
    frame = keyed(STAMPS, [None, None])

    assert keys_as_columns(frame)[1:] == ("series", "time")
    assert keys_as_columns(frame, "host", "t")[1:] == ("host", "t")


@pytest.mark.parametrize(
    "frame",
    [panel(5, seed=0), panel(5, seed=0).set_index("time"), keyed(range(N), ["host", "run"])],
    ids=["columns", "one level", "no times"],
)
def test_other_frames_stay_as_they_are(frame):
    found, series, time = keys_as_columns(frame, None, None)

    assert found is frame
    assert series is time is None


def test_where_both_are_columns_the_index_only_names_the_rows():
    frame = panel(5, seed=0).set_index(["fast", "slow"], drop=False)

    assert keys_as_columns(frame, "host", "time")[0] is frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            panel(5, seed=0).assign(later=lambda f: f["time"]).set_index(["time", "later"]),
            r"one level of time in the index; got the levels \['time', 'later'\]",
        ),
        (
            panel(5, seed=0).assign(site=1).set_index(["site", "host", "time"]),
            r"one level of series in the index.*reset_index",
        ),
        (panel(5, seed=0).set_index(["host", "time"], drop=False), r"both for \['host', 'time'\]"),
    ],
    ids=["two times", "three levels", "columns too"],
)
def test_levels_that_could_be_either_are_refused(frame, message):
    with pytest.raises(ValueError, match=message):
        keys_as_columns(frame)


def test_levels_become_columns_and_columns_beside_levels_go():
    frame = keyed(STAMPS, ["host", "t"])
    found, *_ = keys_as_columns(frame)

    pd.testing.assert_frame_equal(without_levels(found), frame)
    pd.testing.assert_frame_equal(levels_as_columns(frame, ["host", "t"]), frame.reset_index())
    assert levels_as_columns(frame, ["x"]) is frame
