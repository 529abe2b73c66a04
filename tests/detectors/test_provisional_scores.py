import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.detectors.series_stream import UNDECIDED
from tests.series import panel, waves
from tests.settings import TINY_SERIES


@pytest.fixture(scope="module")
def fitted_wide():
    settings = TINY_SERIES | {"window_lengths": (4, 8, 30), "network_length": 8}
    return TimeSeriesDetector(alpha=0.1, **settings).fit(waves(400, seed=0))


@pytest.fixture(scope="module")
def fitted_long():
    settings = {"series": "host", "time": "time", "alpha": 0.1}
    return TimeSeriesDetector(**settings, **TINY_SERIES).fit(panel(200, seed=0))


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


def assert_same_scores(streamed, batch):
    """Of the last rows more may be flagged: whether they are off themselves is seen later."""
    assert_same(streamed.drop(columns="is_anomaly"), batch.drop(columns="is_anomaly"))
    assert not (batch["is_anomaly"] & ~streamed["is_anomaly"]).any()


def assert_same(streamed, batch):
    pd.testing.assert_frame_equal(
        streamed, batch, check_freq=False, rtol=0, atol=1e-6
    )  # the network counts in float32


def flawed(n):
    """Waves with a spike, missing cells and a gap of time."""
    frame = waves(n, seed=1)
    frame.iloc[30, 0] += 3
    frame.iloc[40:45, 1] = np.nan
    return frame.drop(index=frame.index[50:60])


@pytest.mark.parametrize("at_once", [3, 7, 70])
def test_a_provisional_score_is_that_of_a_batch_of_the_rows_so_far(wide, at_once):
    frame = flawed(140)

    for stop in range(at_once, len(frame) + 1, at_once):
        found = wide.stream(frame[stop - at_once : stop])
        new = found[~found["final"]].drop(columns="final")
        batch = wide.score_frame(frame[:stop])
        assert_same_scores(new, batch.loc[new.index])
        came = found.index[found.index.isin(frame.index[stop - at_once : stop])]
        assert sorted(came) == list(frame.index[stop - at_once : stop])


@pytest.mark.parametrize("n", [600, 1200])
def test_provisional_scores_late_in_a_stream_are_those_of_a_batch(wide, n):
    frame = waves(n, seed=1)
    frame.iloc[n - 100, 0] += 3
    wide.score_next(frame[: n - 5])

    found = wide.stream(frame[n - 5 :])

    new = found[~found["final"]].drop(columns="final")
    assert_same_scores(new, wide.score_frame(frame)[n - 5 :])


def test_the_final_steps_are_those_of_a_batch_and_come_when_score_next_has_them(wide):
    frame = waves(1300, seed=1)
    starts = range(0, 1300, 50)

    streamed = [wide.stream(frame[start : start + 50]) for start in starts]
    rest = wide.finish()
    others = [wide.score_next(frame[start : start + 50]) for start in starts]

    final = [part[part["final"]].drop(columns="final") for part in streamed]
    assert [len(part) for part in final] == [len(part) for part in others]
    assert_same(pd.concat([*(part for part in final if len(part)), rest]), wide.score_frame(frame))


def test_provisional_scores_of_a_panel_are_those_of_its_series(long):
    frame = panel(40, seed=5).sort_values("time", kind="stable")
    frame.loc[20, "slow"] += 3

    for stop in range(3, len(frame) + 1, 3):
        found = long.stream(frame[stop - 3 : stop])
        new = found[~found["final"]].drop(columns="final")
        assert_same_scores(new, long.score_frame(frame[:stop]).loc[new.index])


def test_provisional_scores_change_no_final_one_and_need_no_more_memory(wide):
    frame, longest = waves(1400, seed=1), wide.delay_ + 1

    streamed = []
    for start in range(0, len(frame), 20):
        streamed.append(wide.stream(frame[start : start + 20]))
        (stream,) = wide.stream_.streams.values()
        assert len(stream.steps) <= longest
        assert len(stream.waiting) < longest
        assert sum(part.shape[1] for part in stream.errors) < 2 * longest
        for each in stream.components:
            assert len(each.errors) < longest + each.component.length + each.at_once

    final = [part[part["final"]].drop(columns="final") for part in streamed]
    final = [part for part in [*final, wide.finish()] if len(part)]
    assert_same(pd.concat(final), wide.score_frame(frame))


def test_an_outlier_is_flagged_as_soon_as_it_comes(wide):
    frame = waves(120, seed=1)
    frame.iloc[100, 0] += 6

    wide.score_next(frame[:100])

    found = wide.stream(frame[100:101])

    assert found["is_anomaly"].tolist() == [True]


def test_a_series_that_has_ended_is_finished_by_its_name_while_others_go_on(long):
    frame = panel(40, seed=5)
    batch = long.score_frame(frame)
    long.score_next(frame[frame["time"] < frame["time"][20]])

    ended = long.finish(series="b")
    long.score_next(frame[(frame["host"] == "a") & (frame["time"] >= frame["time"][20])])

    assert_same(ended, long.score_frame(frame[40:60]))
    assert_same(long.finish(), batch[:40])


def test_a_series_begins_anew_after_its_end(long):
    frame = panel(40, seed=5)[:40]
    long.score_next(frame)
    long.finish(series="a")

    long.score_next(frame)

    assert_same(long.finish(), long.score_frame(frame))


def test_a_series_that_is_not_open_cannot_be_finished(long, wide):
    long.score_next(panel(10, seed=5))

    with pytest.raises(ValueError, match=r"one of \['a', 'b'\]; got 'c'"):
        long.finish(series="c")
    with pytest.raises(ValueError, match="got 'a'"):
        wide.finish(series="a")


def test_nothing_new_and_nothing_final_has_the_columns_all_the_same(long):
    found = long.stream(panel(3, seed=1))

    assert list(found.columns) == [*long.score_frame(panel(3, seed=1)).columns, "final"]
    assert not found["final"].any()
    assert len(found) == 6


def test_a_fault_is_flagged_while_it_goes_on_row_by_row(wide):
    frame = waves(200, seed=1)
    frame.iloc[120:150, 0] += 3

    found = pd.concat([wide.stream(frame[i : i + 1]) for i in range(160)])

    flagged = found.loc[~found["final"], "is_anomaly"]
    assert flagged[frame.index[120:150]].mean() > 0.8
    assert flagged[frame.index[:118]].mean() < 0.1
    wide.finish()


def test_alarms_stop_soon_after_a_fault_while_windows_still_hold_it(wide):
    frame = waves(200, seed=1)
    frame.iloc[120:126, 0] += 3
    wide.score_next(frame[:115])

    parts = [wide.stream(frame[i : i + 5]) for i in range(115, 150, 5)]

    found = pd.concat(part[~part["final"]] for part in parts)
    after = found.loc[frame.index[126 + UNDECIDED : 150]]
    assert found["is_anomaly"][frame.index[120:126]].mean() > 0.5
    assert (after["anomaly_score"] > wide.threshold_).mean() > 0.3
    assert after["is_anomaly"].mean() < 0.1
