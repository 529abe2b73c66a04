import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from tests.series import panel, waves
from tests.settings import TINY_SERIES


@pytest.fixture(scope="module")
def fitted_wide():
    return TimeSeriesDetector(alpha=0.1, **TINY_SERIES).fit(waves(400, seed=0))


@pytest.fixture(scope="module")
def fitted_long():
    settings = {"series": "host", "time": "time", "alpha": 0.1}
    return TimeSeriesDetector(**settings, **TINY_SERIES).fit(panel(200, seed=0))


@pytest.fixture(scope="module")
def fitted_uneven():
    """A detector with one window far longer than the others, which then wait for their turn."""
    settings = TINY_SERIES | {"window_lengths": (4, 8, 16, 32, 60), "network_length": 16}
    return TimeSeriesDetector(alpha=0.1, **settings).fit(waves(400, seed=0))


@pytest.fixture
def uneven(fitted_uneven):
    """The same, without streams."""
    yield fitted_uneven
    fitted_uneven.finish()


@pytest.fixture
def wide(fitted_wide):
    """A detector of one series, without streams."""
    yield fitted_wide
    fitted_wide.finish()


@pytest.fixture
def long(fitted_long):
    """A detector of a panel, without streams."""
    yield fitted_long
    fitted_long.finish()


def stream(detector, rows, at_once=1):
    """Score rows as they arrive, a few at once, to the end."""
    starts = range(0, len(rows), at_once)
    scored = [detector.score_next(rows[start : start + at_once]) for start in starts]
    return pd.concat([part for part in [*scored, detector.finish()] if len(part)])


def assert_same(streamed, batch, by=None):
    if by:
        streamed, batch = streamed.sort_values(by), batch.sort_values(by)
    pd.testing.assert_frame_equal(
        streamed, batch, check_freq=False, rtol=0, atol=1e-6
    )  # the network counts in float32


def flawed(n, seed=1):
    """Waves with a spike, missing cells and two gaps, one of them close to the end."""
    frame = waves(n, seed)
    frame.iloc[30, 0] += 3
    frame.iloc[40:45, 1] = np.nan
    frame.iloc[70:76] = np.nan
    return frame.drop(index=[*frame.index[50:60], *frame.index[n - 9 : n - 4]])


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_a_stream_has_the_scores_of_a_batch(wide, at_once):
    frame = flawed(130)

    assert_same(stream(wide, frame, at_once), wide.score_frame(frame))


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 9, 16, 17, 18, 30])
def test_a_short_stream_has_the_scores_of_a_batch(wide, n):
    frame = waves(n, seed=1)

    assert_same(stream(wide, frame), wide.score_frame(frame))


def test_a_panel_may_arrive_in_any_order_among_its_series(long):
    frame = panel(60, seed=5)
    frame.loc[20, "slow"] += 3
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(["a", "b"], 60))
    rows = {label: iter(frame.index[frame["host"] == label]) for label in ("a", "b")}
    arrival = frame.loc[[next(rows[label]) for label in labels]]

    for at_once in (1, 5):
        streamed = stream(long, arrival, at_once)
        assert_same(streamed, long.score_frame(frame), by=["host", "time"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pushes_of_any_sizes_have_the_scores_of_a_batch(uneven, seed):
    frame = flawed(400)
    cuts = np.sort(np.random.default_rng(seed).choice(np.arange(1, len(frame)), 60, replace=False))
    pushes = np.split(np.arange(len(frame)), cuts)

    scored = [uneven.score_next(frame.iloc[rows]) for rows in pushes]
    streamed = pd.concat([part for part in [*scored, uneven.finish()] if len(part)])

    assert_same(streamed, uneven.score_frame(frame))


@pytest.mark.parametrize("sizes", [[1] * 300, [60, 1, 1, 100, 17, 121]])
def test_windows_judged_together_delay_no_score(uneven, sizes):
    frame, ends = waves(300, seed=1), np.cumsum(sizes)

    counts = [
        len(uneven.score_next(frame[end - size : end]))
        for end, size in zip(ends, sizes, strict=True)
    ]

    final = np.maximum(0, ends - uneven.delay_)
    np.testing.assert_array_equal(np.cumsum(counts), final)


def test_what_becomes_of_a_pushed_frame_does_not_matter(long):
    frame = panel(30, seed=5)

    scored = []
    for i in range(len(frame)):
        row = frame[i : i + 1].copy()
        scored.append(long.score_next(row))
        row.loc[:, ["slow", "echo", "fast"]] = 99.0
        row["host"] = "c"
        row.index = [-1]
    streamed = pd.concat([part for part in [*scored, long.finish()] if len(part)])

    assert_same(streamed, long.score_frame(frame), by=["host", "time"])


def test_further_columns_of_some_rows_change_nothing(wide):
    frame = waves(40, seed=1)

    before = wide.score_next(frame[:20])
    with pytest.warns(UserWarning, match="note"):
        later = wide.score_next(frame[20:].assign(note="x"))
    streamed = pd.concat([part for part in (before, later, wide.finish()) if len(part)])

    assert_same(streamed, wide.score_frame(frame))


@pytest.mark.parametrize("at_once", [1, 5])
def test_rows_may_share_a_label(long, at_once):
    frame = panel(30, seed=5)
    frame.index = np.arange(len(frame)) // 7

    streamed = stream(long, frame, at_once)

    assert_same(streamed, long.score_frame(frame), by=["host", "time"])


def test_arrays_are_numbered(fitted_wide):
    rows = waves(300, seed=0).to_numpy()
    detector = TimeSeriesDetector(**TINY_SERIES).fit(rows)

    assert_same(stream(detector, rows[:60], at_once=3), detector.score_frame(rows[:60]))


def test_steps_become_final_after_the_delay_at_the_latest(wide):
    frame = waves(1500, seed=1)

    counts = np.cumsum([len(wide.score_next(frame[i : i + 50])) for i in range(0, 1500, 50)])

    came = np.arange(50, 1501, 50)
    assert (counts >= came - wide.delay_).all()
    assert counts[-1] > 0
    assert (counts < came).all()


@pytest.mark.parametrize("back", [0, 5])
def test_time_must_not_run_backwards_and_a_refusal_changes_nothing(wide, back):
    frame = waves(60, seed=1)
    before = wide.score_next(frame[:40])

    with pytest.raises(ValueError, match="order of their time") as caught:
        wide.score_next(frame[39 - back : 50])

    assert "\n" not in str(caught.value)
    parts = before, wide.score_next(frame[40:]), wide.finish()
    scored = pd.concat([part for part in parts if len(part)])
    assert_same(scored, wide.score_frame(frame))


def test_a_late_row_is_refused_by_the_name_of_its_series(long):
    frame = panel(30, seed=5)
    long.score_next(frame)

    with pytest.raises(ValueError, match="series 'b'"):
        long.score_next(frame[-1:])


def test_memory_is_bounded(wide):
    longest, frame = wide.delay_ + 1, waves(150, seed=1)

    for step in range(len(frame)):
        wide.score_next(frame[step : step + 1])

        (stream,) = wide.stream_.streams.values()
        assert len(stream.steps) <= longest
        assert len(stream.waiting) == min(step + 1, longest - 1)
        for each in stream.components:
            assert len(each.errors) < longest + each.component.length + each.at_once


def test_nothing_final_is_a_frame_without_rows(wide, long):
    for detector, frame in ((wide, waves(3, seed=1)), (long, panel(3, seed=1))):
        columns = list(detector.score_frame(frame).columns)

        assert list(detector.finish().columns) == columns
        assert list(detector.score_next(frame).columns) == columns
        assert len(detector.finish()) == len(frame)


def test_a_new_fit_begins_new_streams():
    frame = waves(100, seed=0)
    detector = TimeSeriesDetector(**TINY_SERIES).fit(frame)
    detector.score_next(frame[:10])

    detector.fit(frame)

    assert len(detector.finish()) == 0


def sessions(n, apart):
    """Short series that begin one after the other."""
    parts = []
    for k in range(n):
        start = pd.Timestamp("2025-02-01") + k * pd.Timedelta(apart)
        part = waves(12, seed=k).set_axis(pd.date_range(start, periods=12, freq="min"))
        parts.append(part.rename_axis("time").reset_index().assign(host=f"session-{k}"))
    return parts


def test_series_that_ended_long_ago_are_dropped_and_have_the_scores_of_a_batch(long):
    parts, kept = sessions(150, "1D"), []

    scored = []
    for part in parts:
        scored.append(long.score_next(part))
        kept.append(len(long.stream_.streams))
    streamed = pd.concat([part for part in [*scored, long.finish()] if len(part)])

    assert max(kept) <= 65
    assert kept[-1] < 65
    batch = long.score_frame(pd.concat(parts, ignore_index=True))
    pd.testing.assert_frame_equal(
        streamed.sort_values(["host", "time"]).reset_index(drop=True),
        batch.sort_values(["host", "time"]).reset_index(drop=True),
        rtol=0,
        atol=1e-6,
    )


def test_many_series_side_by_side_stay_open_and_one_wrong_clock_ends_none(long):
    parts = sessions(80, "1s")
    wrong = parts[40]["time"] + pd.Timedelta("9999D")
    parts[40] = parts[40].assign(time=wrong)

    for at in range(12):
        for part in parts:
            long.score_next(part[at : at + 1])

    assert len(long.stream_.streams) == 80


def test_a_stream_of_other_steps_than_in_training_is_warned_of_once(wide):
    frame = waves(400, seed=1)[::5]

    with pytest.warns(UserWarning, match="0 days 00:01:00 apart, as in training; they are 0 days"):
        stream_part = [wide.score_next(frame[i : i + 1]) for i in range(40)]

    assert len(stream_part) == 40
    assert wide.stream_.steps.warned
