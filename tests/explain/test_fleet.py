import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.explain.alarm_segments import alarm_segments
from anomdiff.explain.fleet import fleet_frame, robust_z_scores
from tests.series import panel
from tests.settings import TINY_LONG, TINY_SERIES


def scored(scores, flags, labels=None):
    """A scored frame of steps in order, flagged where there is an x."""
    columns = {} if labels is None else {"host": list(labels)}
    flagged = [flag == "x" for flag in flags]
    data = {"anomaly_score": scores, "is_anomaly": flagged, "channel": "load", **columns}
    return pd.DataFrame(data)


def fleet(frame, series="host"):
    return fleet_frame(frame, alarm_segments(frame, series, None, 0), series, None)


def test_each_series_has_a_row_and_the_worst_comes_first():
    frame = scored([1, 9, 1, 8, 0, 2, 2, 2, 0, 5, 1, 1], ".x.x.....x..", "aaaabbbbcccc")

    found = fleet(frame)

    assert found["host"].tolist() == ["a", "c", "b"]
    assert found["rank"].tolist() == [1, 2, 3]
    assert found["steps"].tolist() == [4, 4, 4]
    assert found["segments"].tolist() == [2, 1, 0]
    assert found["flagged"].tolist() == [0.5, 0.25, 0.0]
    assert found["mean_score"].tolist() == [4.75, 1.75, 1.5]
    assert found["anomaly_score"].tolist()[:2] == [9, 5]
    assert found["start"].tolist()[:2] == [1, 9]
    assert found["channels"][0] == ("load",)
    assert found.iloc[2][["anomaly_score", "start", "end", "channels"]].isna().all()


@pytest.mark.parametrize("name", ["rank", "start", "steps", "deviation"])
def test_a_column_of_series_with_the_name_of_an_answer_is_refused(name):
    frame = scored([1, 9], ".x", "ab").rename(columns={"host": name})
    segments = alarm_segments(frame.rename(columns={name: "host"}), "host", None, 0)

    with pytest.raises(ValueError, match=f"got '{name}': rename it"):
        fleet_frame(frame, segments, name, None)


def test_rows_in_any_order_give_the_same_fleet():
    rng = np.random.default_rng(0)
    frame = scored(rng.normal(size=60), rng.choice(["x", "."], 60), np.repeat([*"abc"], 20))
    frame["time"] = np.tile(np.arange(20), 3)
    mixed = frame.sample(frac=1, random_state=0)

    one, other = (
        fleet_frame(each, alarm_segments(each, "host", "time", 0), "host", "time")
        for each in (frame, mixed)
    )

    pd.testing.assert_frame_equal(one, other)


def test_a_single_series_has_one_row_without_a_name():
    found = fleet(scored([1, 5, 1], ".x."), None)

    assert len(found) == 1
    assert list(found.columns)[:4] == ["rank", "steps", "segments", "flagged"]
    assert np.isnan(found["deviation"][0])


@pytest.mark.parametrize("flags", ["....", ".x..", "xx.x"])
@pytest.mark.parametrize("label", ["a", 3, ("pump", 7), pd.Timestamp("2025-01-01")])
def test_a_series_has_as_many_segments_whether_it_stands_alone_or_in_a_panel(flags, label):
    alone = scored([1.0, 5.0, 1.0, 3.0], flags)
    panel_of_one = alone.assign(host=pd.Series([label] * 4, dtype=object))

    one, other = fleet(alone, None), fleet(panel_of_one)

    assert one["segments"].tolist() == [len(alarm_segments(alone, None, None, 0))]
    pd.testing.assert_frame_equal(one, other.drop(columns="host"))


def test_steps_that_are_not_judged_do_not_count_in_means():
    found = fleet(scored([np.nan, 4.0, 2.0, np.nan], "....", "aabb"))

    assert found["mean_score"].tolist() == [4.0, 2.0]


def test_a_series_unlike_the_others_deviates():
    frame = scored(np.repeat([1.0, 1.1, 0.9, 1.05, 7.0], 4), "." * 20, np.repeat([*"abcde"], 4))

    found = fleet(frame).set_index("host")["deviation"]

    assert found.idxmax() == "e"
    assert found["e"] > 10
    assert found.drop("e").abs().max() < 3


def alike(n_series, n, seed):
    """Scores of normal series, 0 or a little off, by series."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_series, 1)) + rng.normal(size=(n_series, n))


def deviations(scores, flagged, near=8):
    """Deviation of each series, by scores and flags of shape (series, step)."""
    flags = np.where(flagged.ravel(), "x", ".")
    frame = scored(scores.ravel(), flags, np.repeat(np.arange(len(scores)), scores.shape[1]))
    segments = alarm_segments(frame, "host", None, 0)
    found = fleet_frame(frame, segments, "host", None, threshold=5.0, reach=199, near=near)
    return found.set_index("host")["deviation"].sort_index().to_numpy()


@pytest.mark.parametrize("n_faulty", [1, 2, 3])
@pytest.mark.parametrize("steps", [1, 20])
def test_a_short_fault_whose_windows_hold_the_whole_series_moves_it_little(n_faulty, steps):
    scores, flagged = alike(8, 200, seed=0), np.zeros((8, 200), dtype=bool)
    before = deviations(scores, flagged)
    scores[:n_faulty] += 60
    flagged[:n_faulty, 100 : 100 + steps] = True

    after = deviations(scores, flagged)

    assert np.abs(before).max() < 3
    assert np.abs(after).max() < 3
    assert (after[:n_faulty] == 0).all()


@pytest.mark.parametrize("share", [0.1, 0.3, 1.0])
def test_a_series_with_alarms_throughout_deviates(share):
    scores, flagged = alike(8, 200, seed=0), np.zeros((8, 200), dtype=bool)
    scores[3] += 60
    flagged[3] = np.random.default_rng(1).random(200) < share

    found = deviations(scores, flagged)

    assert found[3] > 20
    assert np.abs(np.delete(found, 3)).max() < 3


def test_a_series_that_is_high_without_an_alarm_deviates():
    scores, flagged = alike(8, 200, seed=0), np.zeros((8, 200), dtype=bool)
    scores[4] = 60

    assert deviations(scores, flagged)[4] > 20


def test_robust_z_scores_are_those_of_a_gaussian_whatever_its_scale():
    values = np.random.default_rng(0).normal(size=20_000)
    scores = robust_z_scores(values)

    assert scores.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(robust_z_scores(5 * values + 3), scores)


def test_where_most_are_alike_the_rest_deviates_finitely():
    found = robust_z_scores(np.array([1.0, 1, 1, 1, 4]))

    assert found[:4].tolist() == [0] * 4
    assert 1 < found[4] < 10
    assert robust_z_scores(np.ones(4)).tolist() == [0] * 4


def test_a_spike_in_a_short_series_of_a_detector_moves_its_deviation_little():
    labels = [*"abcdef"]
    detector = TimeSeriesDetector(series="host", time="time", **TINY_LONG)
    detector.fit(panel(200, 0, labels))
    rows = panel(150, seed=20, labels=labels)
    spiked, noisy = rows.copy(), rows.copy()
    spiked.loc[375, "slow"] += 300  # in the middle of series c, whose scale is 100
    noise = np.random.default_rng(0).normal(0, 100, (150, 3))
    noisy.loc[300:449, ["slow", "echo", "fast"]] += noise

    normal, one, other = (
        detector.fleet(detector.score_frame(each)).set_index("host")["deviation"]
        for each in (rows, spiked, noisy)
    )

    assert abs(one["c"] - normal["c"]) < 5
    assert other["c"] > 20


def test_a_detector_tells_its_worst_series():
    detector = TimeSeriesDetector(series="host", time="time", **TINY_SERIES).fit(panel(200, 0))
    rows = panel(60, seed=5, labels=("a", "b"))
    rows.loc[90, "slow"] += 500

    found = detector.fleet(detector.score_frame(rows))

    assert found["host"][0] == "b"
    assert found["start"][0] <= rows["time"][90] <= found["end"][0]
    with pytest.raises(ValueError, match="is_anomaly"):
        detector.fleet(rows)
