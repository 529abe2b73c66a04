import json
import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.panel import PanelLayout
from tests.series import panel, waves


def read(frame, **columns):
    return PanelLayout.infer(frame, **columns).read(frame)


def test_a_wide_frame_is_one_segment_in_the_order_of_its_index():
    frame = waves(50, seed=0)
    order = np.random.default_rng(0).permutation(50)

    (part,) = read(frame.iloc[order])

    assert part.series is None
    np.testing.assert_array_equal(order[part.rows], np.arange(50))
    np.testing.assert_array_equal(part.values, frame)


def test_without_a_time_the_order_of_the_rows_counts():
    frame = waves(50, seed=0).reset_index(drop=True).sample(frac=1, random_state=0)

    (part,) = read(frame)

    np.testing.assert_array_equal(part.rows, np.arange(50))
    np.testing.assert_array_equal(part.values, frame)


def test_a_shuffled_long_frame_comes_back_series_by_series_in_order():
    frame = panel(30, seed=0).sample(frac=1, random_state=0)

    parts = read(frame, series="host", time="time")

    assert sorted(part.series for part in parts) == ["a", "b"]
    assert sorted(np.concatenate([part.rows for part in parts])) == list(range(60))
    for part in parts:
        rows = frame.iloc[part.rows]
        assert (rows["host"] == part.series).all()
        assert rows["time"].is_monotonic_increasing
        np.testing.assert_array_equal(part.values, rows[["slow", "echo", "fast"]])


@pytest.mark.parametrize("jump", [2, 4, 100])
def test_a_gap_begins_a_new_segment_and_a_small_jump_does_not(jump):
    moments = np.r_[np.arange(20), 19 + jump + np.arange(10)]
    frame = pd.DataFrame({"t": moments, "x": 0.0})

    parts = read(frame, time="t")

    assert [len(part.rows) for part in parts] == ([30] if jump <= 3 else [20, 10])


def test_segments_have_their_times_and_rows_in_mere_order_have_none():
    frame = pd.DataFrame({"t": [3, 1, 2, 90, 91], "x": 0.0})

    parts = read(frame, time="t")

    assert [part.times.tolist() for part in parts] == [[1, 2, 3], [90, 91]]
    assert [part.times for part in read(frame)] == [None]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "Float64", "object", "str"])
def test_numbers_of_any_type_are_read_alike(dtype):
    frame = pd.DataFrame({"x": [1.0, 2.0, 4.0]})
    layout = PanelLayout.infer(frame)

    (part,) = layout.read(frame.astype(dtype))

    assert part.values.dtype == np.float64
    np.testing.assert_array_equal(part.values, frame)


def test_values_are_a_copy():
    frame = waves(9, seed=0)[["slow"]]

    (part,) = read(frame)
    before = part.values.copy()
    frame["slow"] = 0.0
    frame.iloc[:, 0] = 1.0

    np.testing.assert_array_equal(part.values, before)


def test_irregular_steps_are_no_gaps():
    steps = np.random.default_rng(0).uniform(0.5, 1.5, 200)

    parts = read(pd.DataFrame({"t": steps.cumsum(), "x": 0.0}), time="t")

    assert len(parts) == 1


@pytest.mark.parametrize(
    "moments",
    [
        pd.date_range("2025-01-01", periods=9, freq="min"),
        pd.date_range("2025-01-01", periods=9, freq="min", tz="Europe/Berlin"),
        pd.date_range("2025-01-01", periods=9, freq="min").strftime("%Y-%m-%d %H:%M:%S"),
        pd.date_range("2025-01-01", periods=9, freq="ns"),
        np.arange(9),
        np.arange(9) / 10,
        pd.array(np.arange(9), dtype="Int64"),
        np.arange(9) + 1_700_000_000_000_000_000,
    ],
    ids=["dates", "zoned", "text", "nanoseconds", "ints", "floats", "nullable", "large"],
)
def test_times_of_any_type_order_the_rows(moments):
    frame = pd.DataFrame({"t": moments, "x": np.arange(9.0)})

    (part,) = read(frame[::-1], time="t")

    np.testing.assert_array_equal(part.rows, np.arange(9)[::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[:0], "empty"),
        (lambda f: f.drop(columns="echo"), "'echo'"),
        (lambda f: f.assign(slow="high"), "'slow'.*high"),
        (lambda f: f.assign(slow=np.inf), "'slow'.*infinity"),
        (lambda f: f.assign(time=f["time"].where(f.index != 3)), "'time'.*3 has none"),
        (lambda f: f.assign(host=f["host"].where(f.index != 3)), "'host'.*3 has none"),
        (lambda f: f.assign(time="noon"), "'time'.*noon"),
        (lambda f: pd.concat([f, f[40:50]]), "series 'b'.*40.*series="),
        (lambda f: pd.concat([f, f["slow"]], axis=1), "'slow'.*more than once"),
    ],
    ids=[
        "empty",
        "missing column",
        "text",
        "infinite",
        "no time",
        "no series",
        "no date",
        "time twice",
        "column twice",
    ],
)
def test_bad_frames_are_refused_in_one_sentence(change, message):
    frame = panel(30, seed=0)
    layout = PanelLayout.infer(frame, series="host", time="time")

    with pytest.raises(ValueError, match=message) as caught:
        layout.read(change(frame))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("columns", [{"series": "pump"}, {"time": "when"}])
def test_a_role_without_its_column_is_refused(columns):
    with pytest.raises(ValueError, match=str(*columns.values())):
        PanelLayout.infer(panel(5, seed=0), **columns)


def test_a_frame_without_channels_is_refused():
    with pytest.raises(ValueError, match="channel"):
        PanelLayout.infer(panel(5, seed=0)[["host", "time"]], series="host", time="time")


def test_further_columns_are_ignored_with_a_warning():
    frame = waves(20, seed=0)
    layout = PanelLayout.infer(frame)

    with pytest.warns(UserWarning, match="colour"):
        (part,) = layout.read(frame.assign(colour="red"))

    np.testing.assert_array_equal(part.values, frame)


def test_a_layout_survives_json():
    layout = PanelLayout.infer(panel(9, seed=0).rename(columns={"slow": 0}), "host", "time")

    again = PanelLayout.from_dict(json.loads(json.dumps(layout.to_dict())))

    assert again == layout


def test_times_that_can_be_read_in_two_orders_are_told_unless_the_rows_are_in_order():
    days = pd.date_range("2019-01-01", "2024-12-31")
    days = days[days.day <= 12]
    texts = days.strftime("%m/%d/%Y")
    frame = pd.DataFrame({"time": texts, "flow": np.arange(len(days)) % 7.0})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layout = PanelLayout.infer(frame, time="time")
    with pytest.warns(UserWarning, match="times in 'time' can be read by '%m/%d/%Y' and by"):
        PanelLayout.infer(frame.sample(frac=1, random_state=0), time="time")

    assert layout.date_format == "%m/%d/%Y"
