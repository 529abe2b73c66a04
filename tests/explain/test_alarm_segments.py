import numpy as np
import pandas as pd
import pytest

from anomdiff.explain.alarm_segments import alarm_segments

COLUMNS = ["start", "end", "peak", "steps", "anomaly_score", "channels"]
COLUMNS += ["context_start", "context_end"]


def scored(flags, scores=None, channels=None, **columns):
    """A scored frame with alarms where there is an x."""
    n = len(flags)
    return pd.DataFrame(
        {
            "anomaly_score": np.arange(n) * 1.0 if scores is None else scores,
            "is_anomaly": [flag == "x" for flag in flags],
            "channel": ["load"] * n if channels is None else list(channels),
            **columns,
        }
    )


@pytest.mark.parametrize(
    ("join", "bounds"),
    [
        (0, [(1, 2), (4, 4), (8, 9)]),
        (1, [(1, 4), (8, 9)]),
        (2, [(1, 4), (8, 9)]),
        (3, [(1, 9)]),
    ],
)
def test_alarms_at_most_join_quiet_steps_apart_belong_together(join, bounds):
    segments = alarm_segments(scored(".xx.x...xx"), None, None, join)

    assert list(zip(segments["start"], segments["end"], strict=True)) == bounds
    assert segments["steps"].tolist() == [stop - start + 1 for start, stop in bounds]


def test_a_segment_tells_its_peak_and_its_channels_the_most_frequent_first():
    frame = scored("..xxx.x", scores=[9, 9, 1, 5, 2, 8, 4], channels="aabaacb")

    (segment,) = alarm_segments(frame, None, None, 1).itertuples(index=False)

    assert (segment.peak, segment.anomaly_score) == (5, 8)
    assert segment.channels in {("b", "a"), ("a", "b")}  # the quiet step names nothing


@pytest.mark.parametrize(
    ("flags", "heights", "join", "contexts"),
    [
        ("...xx...", [0, 5, 5, 9, 9, 5, 0, 5], 0, [(1, 5)]),
        ("...xx...", [0, 1, 2, 9, 9, 2, 0, 5], 0, [(3, 4)]),
        (".x...x..", [5, 9, 5, 0, 5, 9, 0, 0], 0, [(0, 2), (4, 5)]),
        (".x...x..", [5, 9, 5, 0, 5, 9, 0, 0], 3, [(0, 5)]),
        (".x..x...", [5, 9, 5, 5, 9, 5, 0, 0], 0, [(0, 5), (0, 5)]),
    ],
)
def test_the_context_is_what_scores_above_the_threshold_around(flags, heights, join, contexts):
    frame = scored(flags, heights)
    segments = alarm_segments(frame, None, None, join, threshold=4.0)

    assert list(zip(segments["context_start"], segments["context_end"], strict=True)) == contexts


def test_channels_are_ordered_by_their_number_of_alarms():
    segments = alarm_segments(scored("xxxx", channels="babb"), None, None, 0)

    assert segments["channels"].tolist() == [("b", "a")]


def test_alarms_of_several_series_are_told_apart_whatever_the_order_of_rows():
    times = pd.date_range("2025-01-01", periods=5, freq="h")
    frame = scored("..xxxxx...", host=["a"] * 5 + ["b"] * 5, time=[*times, *times])

    segments = alarm_segments(frame.sample(frac=1, random_state=0), "host", "time", 0)

    segments = segments.sort_values("host")
    assert list(segments.columns) == ["host", *COLUMNS]
    assert segments["start"].tolist() == [times[2], times[0]]
    assert segments["end"].tolist() == [times[4], times[1]]


def test_a_clock_in_the_index_orders_the_rows():
    frame = scored("xx...").set_index(pd.date_range("2025-01-01", periods=5, freq="h"))

    (segment,) = alarm_segments(frame[::-1], None, None, 0).itertuples(index=False)

    assert (segment.start, segment.end) == (frame.index[0], frame.index[1])


@pytest.mark.parametrize("series", [None, "host"])
def test_without_alarms_there_is_a_frame_without_rows(series):
    segments = alarm_segments(scored("....", host="a"), series, None, 0)

    assert len(segments) == 0
    assert list(segments.columns) == [*([series] if series else []), *COLUMNS]


def test_a_column_of_series_with_the_name_of_an_answer_is_refused():
    with pytest.raises(ValueError, match="got 'start': rename it"):
        alarm_segments(scored(".x", start="a"), "start", None, 0)


def test_a_frame_that_was_not_scored_is_refused():
    with pytest.raises(ValueError, match="channel"):
        alarm_segments(scored("..").drop(columns="channel"), None, None, 0)
