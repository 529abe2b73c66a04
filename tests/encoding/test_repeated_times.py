import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.repeated_times import OrderedRows, one_per_time

HOWS = ["first", "last", "mean"]


def drawn(seed):
    """Rows in the order of their time, many of which share it, with missing cells."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 12, 30))
    values = np.where(rng.random((30, 2)) < 0.3, np.nan, rng.normal(size=(30, 2)))
    return OrderedRows(rng.permutation(30), times, values)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("seed", range(5))
def test_one_row_of_each_time_stays_as_pandas_says(how, seed):
    ordered = drawn(seed)
    table = pd.DataFrame(ordered.values).assign(time=ordered.times)

    found = one_per_time(ordered, how)

    if how == "mean":
        wanted = table.groupby("time").mean()
        kept = ~table["time"].duplicated()
    else:
        kept = ~table["time"].duplicated(keep=how)
        wanted = table[kept].set_index("time")
    np.testing.assert_array_equal(found.times, wanted.index)
    np.testing.assert_allclose(found.values, wanted)
    np.testing.assert_array_equal(found.rows, ordered.rows[kept])


@pytest.mark.parametrize("how", HOWS)
def test_distinct_times_stay_as_they_are(how):
    ordered = OrderedRows(np.arange(5), np.arange(5) * 2, np.arange(10.0).reshape(5, 2))

    for found, given in zip(one_per_time(ordered, how), ordered, strict=True):
        np.testing.assert_array_equal(found, given)


def autumn():
    """Hours around the one that clocks in Oslo repeat, as people there wrote them."""
    hours = pd.date_range("2025-10-25 20:00", periods=12, freq="h", tz="UTC")
    local = hours.tz_convert("Europe/Oslo")
    return pd.DataFrame({"time": local, "load": np.arange(12.0)})


def test_the_hour_that_clocks_repeat_is_refused_with_its_time_and_what_to_set():
    frame = autumn().assign(time=lambda f: f["time"].dt.tz_localize(None))

    layout = PanelLayout.infer(frame, time="time")

    sentence = "1 of 12 rows .* 2025-10-26 02:00:00 in row 5: set duplicate_times='first'.*zone"
    with pytest.raises(ValueError, match=sentence) as told:
        layout.read(frame)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("how", "rows", "value"), [("first", 4, 4), ("last", 5, 5), ("mean", 4, 4.5)]
)
@pytest.mark.parametrize("as_text", [False, True])
def test_the_hour_that_clocks_repeat_is_one_step_if_asked_for(how, rows, value, as_text):
    frame = autumn().assign(time=lambda f: f["time"].dt.tz_localize(None))
    if as_text:
        frame["time"] = frame["time"].astype(str)

    (part,) = PanelLayout.infer(frame, time="time", duplicate_times=how).read(frame)

    assert len(part) == 11
    assert part.rows[4] == rows
    assert part.values[4, 0] == value


@pytest.mark.parametrize("as_text", [False, True])
def test_times_with_their_zone_are_in_the_order_of_their_instants(as_text):
    frame = autumn().sample(frac=1, random_state=0)
    order = frame["load"].to_numpy().argsort()
    if as_text:
        frame["time"] = [each.isoformat() for each in frame["time"]]

    (part,) = PanelLayout.infer(frame, time="time").read(frame)

    np.testing.assert_array_equal(part.rows, order)
    assert (np.diff(part.times) == 3.6e12).all()


def test_series_may_share_their_times_and_the_one_that_repeats_them_is_named():
    times = pd.date_range("2026-01-01", periods=5, freq="min")
    frame = pd.DataFrame({"host": ["a"] * 5 + ["b"] * 5, "t": [*times, *times], "x": 1.0})
    layout = PanelLayout.infer(frame, "host", "t")

    assert len(layout.read(frame)) == 2
    with pytest.raises(ValueError, match=r"series 'b'; 1 of 6 .*2026-01-01 00:02:00 in row 7"):
        layout.read(pd.concat([frame, frame[7:8]]))
