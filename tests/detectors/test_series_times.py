"""Steps that cannot be judged, steps by series, levels of the index, what is left out."""

import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector, load, save
from tests.series import panel, waves
from tests.settings import TINY_SERIES

KEYS = {"series": "host", "time": "time"}
RESULTS = ["anomaly_score", "p_value", "is_anomaly", "channel"]
pytestmark = pytest.mark.filterwarnings("ignore:need at least 4 rows in a row")


@pytest.fixture(scope="module")
def wide():
    """A detector of one series; do not change it."""
    return TimeSeriesDetector(**TINY_SERIES).fit(waves(400, seed=0))


@pytest.fixture(scope="module")
def long():
    """A detector of a panel; do not change it."""
    return TimeSeriesDetector(**KEYS, **TINY_SERIES).fit(panel(200, seed=0))


def in_a_stream(detector, frame, at_once):
    starts = range(0, len(frame), at_once)
    parts = [detector.score_next(frame[start : start + at_once]) for start in starts]
    return pd.concat([part for part in [*parts, detector.finish()] if len(part)])


def cut(n=60):
    """Waves with gaps around runs of 1 to 5 steps at the end, and steps without any cell."""
    frame = waves(n, seed=3)
    frame.iloc[15:45] = np.nan
    kept = [each for run in range(1, 6) for each in range(n + 20 * run, n + 21 * run)]
    return pd.concat([frame, waves(n + 120, seed=3).iloc[kept]])


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_series_shorter_than_every_window_has_no_score_and_is_told(wide, n):
    frame = waves(n, seed=1)

    with pytest.warns(UserWarning, match=f"{n} of {n} rows have none around them"):
        scored = wide.score_frame(frame)

    assert scored[["anomaly_score", "p_value", "channel"]].isna().all(axis=None)
    assert not scored["is_anomaly"].any()
    assert scored["is_anomaly"].dtype == bool


def test_just_the_steps_without_a_window_around_them_have_no_score(wide):
    frame = cut()

    scored = wide.score_frame(frame)

    alone = frame.index.isin(frame.index[60 : 60 + 1 + 2 + 3])
    missing = scored["anomaly_score"].isna()
    assert missing[alone].all()
    assert not missing[~alone & frame.notna().all(axis=1)].any()
    assert 0 < missing[frame.isna().all(axis=1)].sum() < 30
    assert scored["p_value"].isna().equals(missing)


@pytest.mark.parametrize("at_once", [1, 7, 100])
def test_a_stream_misses_the_scores_that_a_batch_misses(wide, at_once):
    frame = cut()

    streamed, batch = in_a_stream(wide, frame, at_once), wide.score_frame(frame)

    assert batch["anomaly_score"].isna().any()
    both = [
        each.assign(channel=each["channel"].fillna("-").astype(str)) for each in (streamed, batch)
    ]
    pd.testing.assert_frame_equal(*both, check_freq=False, rtol=0, atol=1e-6)


def test_a_stream_tells_once_of_steps_that_are_not_judged(wide):
    with pytest.warns(UserWarning, match="not judged") as told:
        in_a_stream(wide, cut(), 1)

    assert len([each for each in told if "have none around them" in str(each.message)]) == 1


def test_answers_of_scikit_learn_are_normal_where_nothing_is_judged(wide):
    frame = cut()
    missing = wide.score_frame(frame)["anomaly_score"].isna()

    assert (wide.predict(frame)[missing] == 1).all()
    assert np.isfinite(wide.decision_function(frame)).all()
    np.testing.assert_array_equal(wide.decision_function(frame) < 0, wide.predict(frame) == -1)
    np.testing.assert_array_equal(np.isnan(wide.score_samples(frame)), missing)


def test_a_negative_threshold_flags_nothing_that_is_not_judged(wide):
    frame = waves(3, seed=1)
    detector = load_again(wide).set_threshold(-1.0)

    assert (detector.predict(frame) == 1).all()
    assert not detector.score_frame(frame)["is_anomaly"].any()


def load_again(detector):
    return type(detector).from_dict(detector.to_dict())


def with_steps_alone(n):
    """Waves, without and with three steps that are far from all others in time."""
    later = waves(3, seed=9).set_axis(pd.date_range("2025-02-01", periods=3, freq="min"))
    frame = pd.concat([waves(n, seed=5), later])
    return frame[:n], frame


def test_discoveries_and_calibrations_count_what_is_judged_only(wide):
    frame, with_alone = with_steps_alone(150)

    for options in ({}, {"calibration": with_alone}):
        found = wide.discoveries(with_alone, **options)
        same = {name: frame for name in options}
        pd.testing.assert_frame_equal(found[:150], wide.discoveries(frame, **same))
        assert found["p_value"][150:].isna().all()
    one, other = (load_again(wide).recalibrate(each) for each in (frame, with_alone))
    assert one.threshold_ == other.threshold_
    pd.testing.assert_frame_equal(wide.diagnose(frame), wide.diagnose(with_alone))
    pd.testing.assert_frame_equal(wide.diagnose(waves(3, seed=1)), wide.diagnose())
    with pytest.raises(ValueError, match="all 3 are at gaps or in series shorter"):
        load_again(wide).recalibrate(waves(3, seed=1))


def test_screening_judges_by_what_has_a_score_only():
    _, with_alone = with_steps_alone(300)
    settings = {**TINY_SERIES, "alpha": 0.05}

    detector = TimeSeriesDetector(**settings)
    scored = detector.screen(with_alone)

    assert scored["p_value"][300:].isna().all()
    n = len(detector.calibration_scores_)
    assert n <= 300
    assert scored["p_value"].min() >= 1 / (n + 1)
    assert not scored["is_anomaly"][300:].any()


@pytest.mark.parametrize("answer", ["explain", "repair", "impute", "segments"])
def test_answers_live_with_steps_that_are_not_judged(wide, answer):
    frame = cut()
    frame.iloc[50:54, 0] += 5
    frame.iloc[62, 0] += 1000  # a step that is far out by itself is not judged either
    alone = slice(60, 66)

    if answer == "segments":
        found = wide.segments(wide.score_frame(frame))
        assert (found["end"] < frame.index[60]).all()
    elif answer == "explain":
        found = wide.explain(frame).set_index("row")["contribution"]
        assert (found.loc[frame.index[60:66]] == 0).all()
    else:
        found = getattr(wide, answer)(frame)
        pd.testing.assert_frame_equal(found[alone], frame[alone])


@pytest.mark.parametrize("how", ["first", "last", "mean"])
@pytest.mark.parametrize("at_once", [30, 100, 1])
def test_rows_that_share_their_time_are_one_step_in_a_stream_too(how, at_once):
    frame = waves(60, seed=1)
    doubled = pd.concat([frame, frame[20:22] * 1.1]).sort_index(kind="stable")
    detector = TimeSeriesDetector(**TINY_SERIES, duplicate_times=how).fit(waves(200, seed=0))

    if at_once == 1 and how != "first":
        with pytest.raises(ValueError, match="came twice.*duplicate_times='first'"):
            in_a_stream(detector, doubled, at_once)
        return

    streamed, batch = in_a_stream(detector, doubled, at_once), detector.score_frame(doubled)
    both = (each.dropna().sort_index()["anomaly_score"] for each in (streamed, batch))
    pd.testing.assert_series_equal(*both, check_freq=False, rtol=0, atol=1e-6)
    assert streamed["anomaly_score"].isna().sum() == batch["anomaly_score"].isna().sum() == 2


def test_series_and_time_cannot_be_dropped():
    with pytest.raises(ValueError, match=r"no series or time; got \['host'\]"):
        TimeSeriesDetector(**KEYS, **TINY_SERIES, drop=["host"]).fit(panel(50, seed=0))


def mixed(n, seed=0):
    """One series a minute and one an hour."""
    frame = panel(n, seed=seed, labels=("minute", "hour"))
    hours = pd.date_range("2025-01-01", periods=n, freq="h")
    frame.loc[frame["host"] == "hour", "time"] = hours.to_numpy()
    return frame


def test_a_minute_series_and_an_hourly_one_are_judged_as_if_alike_in_time(tmp_path):
    known, new = mixed(200), mixed(60, seed=5)
    new.loc[[20, 21, 90, 91], "slow"] += 40
    new = new.drop(index=range(35, 45))  # a gap of minutes
    detector = TimeSeriesDetector(**KEYS, **TINY_SERIES).fit(known)

    scored = load(save(detector, tmp_path / "model")).score_frame(new)

    alike = panel(60, seed=5, labels=("minute", "hour"))["time"]
    wanted = TimeSeriesDetector(**KEYS, **TINY_SERIES).fit(
        known.assign(time=panel(200, seed=0)["time"])
    )
    expected = wanted.score_frame(new.assign(time=alike))
    pd.testing.assert_frame_equal(scored[RESULTS], expected[RESULTS])
    assert scored["anomaly_score"].notna().all()
    pd.testing.assert_frame_equal(
        in_a_stream(detector, new, 1).sort_index()[RESULTS], scored[RESULTS], rtol=0, atol=1e-6
    )


def test_sampled_windows_have_the_step_of_their_series():
    detector = TimeSeriesDetector(**KEYS, **TINY_SERIES).fit(mixed(200))

    for label, step in (("minute", "1min"), ("hour", "1h")):
        times = detector.sample(1, series=label, random_state=0)["time"]
        assert (times.diff()[1:] == pd.Timedelta(step)).all()


def test_a_series_of_a_panel_at_another_step_is_refused_by_name(long):
    frame = panel(200, seed=5).drop(index=[i for i in range(200, 400) if i % 5])

    with pytest.raises(ValueError, match="series 'b' 0 days 00:01:00 apart.*0 days 00:05:00"):
        long.score_frame(frame)


@pytest.mark.parametrize("kind", ["timestamps", "zoned", "periods", "durations"])
def test_series_and_time_may_be_levels_of_the_index(long, kind, tmp_path):
    def as_levels(frame):
        times = pd.DatetimeIndex(frame["time"])
        moved = {
            "timestamps": times,
            "zoned": times.tz_localize("UTC").tz_convert("Europe/Oslo"),
            "periods": times.to_period("min"),
            "durations": times - times.min(),
        }[kind]
        return frame.assign(time=moved).set_index(["host", "time"])

    known, new = panel(200, seed=0), panel(60, seed=5)
    new.loc[[20, 21, 22], "slow"] += 4
    detector = load(save(TimeSeriesDetector(**TINY_SERIES).fit(as_levels(known)), tmp_path / "m"))
    frame = as_levels(new)

    scored = detector.score_frame(frame)

    assert scored.index.equals(frame.index)
    assert scored.columns.tolist() == RESULTS
    expected = long.score_frame(new[["host", "time", "slow", "echo", "fast"]])
    pd.testing.assert_frame_equal(
        scored.reset_index(drop=True), expected[RESULTS].reset_index(drop=True)
    )
    assert len(detector.segments(scored)) == len(long.segments(expected)) > 0
    for answer in (detector.impute(frame), detector.repair(frame)):
        assert answer.columns.equals(frame.columns)
        assert answer.index.equals(frame.index)
    np.testing.assert_array_equal(-detector.score_samples(frame), scored["anomaly_score"])
    pd.testing.assert_frame_equal(in_a_stream(detector, frame, 120), scored, rtol=0, atol=1e-6)


def machines(n, seed, labels, scale):
    """Series of one channel, alike but for a scale and a level."""
    parts = [
        pd.DataFrame(
            {
                "host": label,
                "time": pd.date_range("2025-01-01", periods=n, freq="min"),
                "load": scale(i) * (np.sin(np.arange(n) / 4 + seed + i) + 3),
            }
        )
        for i, label in enumerate(labels)
    ]
    return pd.concat(parts, ignore_index=True)


SCALES = {"alike": lambda i: 1.0, "levels": lambda i: 1.0 + i, "scales": lambda i: 10.0**i}


@pytest.mark.parametrize("kind", SCALES)
@pytest.mark.parametrize("streamed", [False, True])
def test_series_that_training_did_not_show_are_told_once_where_series_differ(kind, streamed):
    detector = TimeSeriesDetector(**KEYS, **TINY_SERIES)
    detector.fit(machines(200, 0, "abc", SCALES[kind]))
    new = machines(40, 1, "axy", SCALES[kind])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if streamed:
            for part in (new[new["time"] < new["time"][20]], new[new["time"] >= new["time"][20]]):
                detector.stream(part)
        else:
            detector.score_frame(new)
        detector.score_frame(new[new["host"] == "a"])

    told = [str(each.message) for each in caught if "training showed" in str(each.message)]
    assert len(told) == (kind != "alike")
    assert all("2 of 3 are others, first 'x'" in each and "\n" not in each for each in told)


def test_a_stream_tells_of_steps_without_a_window_once_they_are_final():
    detector, rows = TimeSeriesDetector(**TINY_SERIES).fit(waves(200, seed=0)), waves(10, seed=1)

    def told(ask):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ask()
        return [each for each in caught if "rows have none around them" in str(each.message)]

    def row_by_row(n):
        for row in range(n):
            detector.stream(rows[row : row + 1])

    assert not told(lambda: row_by_row(10))
    assert not told(detector.finish)
    assert not told(lambda: row_by_row(3))
    assert len(told(detector.finish)) == 1


@pytest.mark.parametrize(("every", "n"), [(2, 65), (2, 4), (3, 40)])
def test_a_part_at_another_step_is_not_judged_and_the_rest_scores_as_by_itself(wide, every, n):
    whole = waves(100 + every * n, seed=5)
    changed = pd.concat([whole[:100], whole[100::every]])

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scored = wide.score_frame(changed)

    told = [str(each.message) for each in caught if "as far apart as" in str(each.message)]
    if n < 7:  # too few to tell
        assert not told
        return
    assert len(told) == 1
    assert f"0 days 00:0{every}:00 apart instead of 0 days 00:01:00" in told[0]
    assert scored["p_value"][101:].isna().all()
    assert not scored["is_anomaly"][101:].any()
    pd.testing.assert_frame_equal(scored[:101], wide.score_frame(whole[:101]), check_freq=False)


def test_a_series_cannot_be_finished_while_none_is_open(long):
    detector = TimeSeriesDetector.from_dict(long.to_dict())

    with pytest.raises(ValueError, match="none is: call score_next or stream first; got 'zz'"):
        detector.finish(series="zz")

    detector.score_next(panel(3, seed=0))
    with pytest.raises(ValueError, match=r"one of \['a', 'b'\]; got 'zz'"):
        detector.finish(series="zz")
