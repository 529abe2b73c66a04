import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from anomdiff import TimeSeriesDetector
from tests.series import autoregression, panel, waves
from tests.settings import TINY_SERIES


@pytest.fixture(scope="module")
def wide():
    """A detector of one series; do not change it."""
    return TimeSeriesDetector(**TINY_SERIES).fit(waves(600, seed=0))


@pytest.fixture(scope="module")
def long():
    """A detector of a panel; do not change it."""
    return TimeSeriesDetector(series="host", time="time", **TINY_SERIES).fit(panel(300, seed=0))


def scores(detector, frame):
    return detector.score_frame(frame)["anomaly_score"].to_numpy()


def test_scored_frame_keeps_the_index_and_agrees_with_itself(wide):
    frame = waves(200, seed=1)

    scored = wide.score_frame(frame)

    assert scored.index.equals(frame.index)
    assert list(scored.columns) == ["anomaly_score", "p_value", "is_anomaly", "channel"]
    assert (scored["p_value"] <= wide.alpha)[scored["is_anomaly"]].all()
    np.testing.assert_array_equal(scored["is_anomaly"], wide.predict(frame) == -1)
    np.testing.assert_array_equal(scored["is_anomaly"], wide.decision_function(frame) < 0)
    np.testing.assert_array_equal(scored["anomaly_score"], -wide.score_samples(frame))


def test_a_scored_panel_keeps_its_order_and_labels_and_rows_may_be_shuffled(long):
    frame = panel(100, seed=5)
    order = np.random.default_rng(0).permutation(len(frame))

    scored = long.score_frame(frame)

    pd.testing.assert_frame_equal(scored[["host", "time"]], frame[["host", "time"]])
    pd.testing.assert_frame_equal(long.score_frame(frame.iloc[order]), scored.iloc[order])


def test_a_score_does_not_depend_on_the_other_series(long):
    frame = panel(100, seed=5)
    whole = scores(long, frame)

    for label in ("a", "b"):
        own = (frame["host"] == label).to_numpy()
        np.testing.assert_array_equal(scores(long, frame[own]), whole[own])


def test_a_score_does_not_depend_on_threads_or_blocks(wide, monkeypatch):
    frame = waves(300, seed=1)
    whole = scores(wide, frame)
    before = torch.get_num_threads()

    monkeypatch.setattr("anomdiff.models.segment_errors.WINDOWS_PER_THREAD", 37)
    torch.set_num_threads(3)
    parts = scores(wide, frame)
    torch.set_num_threads(before)

    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_model():
    frame = waves(300, seed=0)
    first, again = (TimeSeriesDetector(**TINY_SERIES).fit(frame) for _ in range(2))

    np.testing.assert_array_equal(scores(first, frame), scores(again, frame))
    assert first.threshold_ == again.threshold_


def spike(frame):
    frame.iloc[100, 0] += 3


def level_shift(frame):
    frame.iloc[100:112, 0] += 3


def broken_period(frame):
    frame.iloc[90:130, 0] = np.sin(np.arange(40) * 1.5)


def against_the_others(frame):
    frame.iloc[85:115, 0] = -frame.iloc[85:115, 0]


@pytest.mark.parametrize("break_it", [spike, level_shift, broken_period, against_the_others])
def test_what_is_wrong_stands_out_and_the_channel_is_named(wide, break_it):
    frame = waves(200, seed=1)
    broken = frame.copy()
    break_it(broken)
    wrong = (broken != frame).any(axis=1).to_numpy()

    scored = wide.score_frame(broken)

    peak = scored["anomaly_score"].to_numpy().argmax()
    assert wrong[max(0, peak - 8) : peak + 9].any()
    assert scored["is_anomaly"].iloc[peak]
    assert scored["channel"].iloc[peak] == "slow"
    # A channel against its echo: either could be the one that is off, and they share about alike.
    top = 2 if break_it is against_the_others else 1
    found = wide.explain(broken, top=top, rows=[broken.index[peak]])
    assert "slow" in found["column"].tolist()


def test_explain_lists_channels_by_contribution_with_the_value_found(wide):
    frame = waves(40, seed=1)

    reasons = wide.explain(frame)

    assert len(reasons) == 40 * 3
    for label, block in reasons.groupby("row", sort=False):
        assert block["contribution"].is_monotonic_decreasing
        assert block.set_index("column")["value"].to_dict() == frame.loc[label].to_dict()


def test_missing_cells_and_channels_are_scored_and_only_rows_without_any_are_not(wide):
    frame = waves(200, seed=1)
    frame.iloc[10:20, 0] = np.nan
    frame.iloc[50:90] = np.nan
    frame.iloc[120:, 1] = np.nan

    with pytest.warns(UserWarning, match="32 of 185 rows have none around them"):
        scored = wide.score_frame(frame.drop(index=frame.index[30:45]))

    missing = scored.index[scored["anomaly_score"].isna()]
    assert missing.equals(frame.index[54:86])  # half of a window of 8 is observed further out
    assert scored["p_value"].isna().sum() == scored["channel"].isna().sum() == 32


def test_nothing_is_compared_across_a_gap(wide):
    frame = waves(200, seed=1)
    apart = frame.drop(index=frame.index[90:110])

    whole = scores(wide, apart)

    parts = scores(wide, frame[:90]), scores(wide, frame[110:])
    np.testing.assert_allclose(whole, np.concatenate(parts), rtol=0, atol=1e-6)


def test_a_series_never_seen_is_scored(long):
    frame = panel(60, seed=5, labels=("a", "new"))

    scored = long.score_frame(frame)

    assert np.isfinite(scored["anomaly_score"]).all()


@pytest.fixture(scope="module")
def level():
    """A detector of a panel whose joint levels are judged; do not change it."""
    detector = TimeSeriesDetector(
        series="host", time="time", **{**TINY_SERIES, "window_lengths": (8, 16)}
    )
    return detector.fit(panel(300, seed=0))


def test_channels_that_stand_where_they_never_stood_together_stand_out(level):
    frame = panel(300, seed=5, labels=["a"])
    shifted = frame.assign(slow=frame["slow"] + 2, echo=frame["echo"] - 4)

    assert np.median(scores(level, shifted)) > np.max(scores(level, frame))


@pytest.mark.parametrize("stream", [False, True], ids=["batch", "stream"])
def test_nobody_knows_where_the_channels_of_a_series_never_seen_stand(level, stream):
    frame = panel(120, seed=5, labels=["new"])
    channels = ["slow", "echo", "fast"]
    moved = frame.assign(**{c: frame[c] + frame[c].std() for c in channels})

    def found(rows):
        if not stream:
            return scores(level, rows)
        parts = [level.score_next(rows), level.finish()]
        return pd.concat(parts)["anomaly_score"].sort_index().to_numpy()

    np.testing.assert_allclose(found(frame), found(moved), atol=1e-4)


@pytest.mark.parametrize("glitch", [20.0, 1000.0, -9999.0])
def test_one_glitch_in_training_hides_nothing_in_its_channel(glitch):
    training, frame = waves(600, seed=0), waves(200, seed=1)
    training.iloc[300, 1] = glitch
    frame.iloc[100:110, 1] += 4

    with pytest.warns(UserWarning, match="channel 'echo': 1 of its cells"):
        detector = TimeSeriesDetector(**TINY_SERIES).fit(training)

    found = detector.score_frame(frame)
    assert found["is_anomaly"][100:110].all()
    assert (found["channel"][100:110] == "echo").all()
    assert found["is_anomaly"][:90].mean() < 0.1


def test_screening_finds_the_glitch_that_is_not_learned_from():
    frame = waves(600, seed=0)
    frame.iloc[300, 1] = 1000.0

    with pytest.warns(UserWarning, match="left out of training"):
        found = TimeSeriesDetector(**TINY_SERIES).screen(frame)

    assert found["anomaly_score"].argmax() in range(292, 309)


@pytest.mark.parametrize(
    ("level", "jump"), [(0, 50), (0, 1), (1, 0), (7, 50), (7, 6), (-300, -290)]
)
def test_a_channel_that_never_moved_and_jumps_is_an_anomaly(level, jump):
    training, frame = (waves(n, seed=n).assign(still=level) for n in (600, 200))
    detector = TimeSeriesDetector(**TINY_SERIES).fit(training)
    frame.iloc[100:110, 3] = jump

    found = detector.score_frame(frame)

    assert found["is_anomaly"][100:110].all()
    assert (found["channel"][100:110] == "still").all()
    assert found["is_anomaly"][:90].mean() < 0.1


def test_steps_further_apart_than_in_training_are_refused(wide):
    with pytest.raises(ValueError, match="need rows 0 days 00:01:00 apart, as in training"):
        wide.score_frame(waves(400, seed=1)[::5])


def test_training_may_hold_missing_cells_a_dead_end_and_constants():
    frame = waves(300, seed=0).assign(still=4.0)
    frame = frame.mask(np.random.default_rng(0).random(frame.shape) < 0.1)
    frame.iloc[220:] = np.nan

    detector = TimeSeriesDetector(**TINY_SERIES).fit(frame)

    assert np.isfinite(scores(detector, waves(100, seed=1).assign(still=4.0))).all()
    assert detector.threshold_ > 0


def test_columns_of_any_number_type_are_read():
    frame = pd.DataFrame(
        {
            "count": np.arange(200) % 12,
            "maybe": pd.array([None, *np.arange(199) % 7], dtype="Int64"),
            "on": np.arange(200) % 5 == 0,
        }
    )

    detector = TimeSeriesDetector(**TINY_SERIES).fit(frame)

    assert np.isfinite(scores(detector, frame)).all()
    assert set(detector.score_frame(frame)["channel"]) == {"count", "maybe"}


def test_one_series_may_come_as_a_series_or_an_array():
    wave = waves(300, seed=0)["slow"].reset_index(drop=True)

    detector = TimeSeriesDetector(**TINY_SERIES).fit(wave)

    expected = TimeSeriesDetector(**TINY_SERIES).fit(wave.to_numpy()[:, None])
    np.testing.assert_array_equal(
        scores(detector, wave), scores(expected, wave.to_numpy()[:, None])
    )


def test_screening_finds_what_is_wrong_in_the_series_fitted_to():
    frame = waves(600, seed=0)
    frame.iloc[300:306, 0] += 3
    detector = TimeSeriesDetector(alpha=0.05, **TINY_SERIES)

    scored = detector.screen(frame)

    assert roc_auc_score(np.arange(600) // 6 == 50, scored["anomaly_score"]) > 0.98
    assert scored["is_anomaly"].mean() <= detector.alpha
    assert scored["is_anomaly"].iloc[300:306].any()
    assert np.isfinite(scores(detector, waves(50, seed=1))).all()  # ready for new steps


def test_normal_steps_raise_alarms_at_about_alpha():
    values = autoregression(9000, seed=0)
    detector = TimeSeriesDetector(alpha=0.1, **TINY_SERIES).fit(values[:4000])

    rate = detector.score_frame(values[4000:])["is_anomaly"].mean()

    # two standard errors; about 16 neighbouring steps are worth one independent one
    assert rate == pytest.approx(0.1, abs=2 * np.sqrt(16 * (0.09 / 800 + 0.09 / 5000)))


def test_columns_are_found_by_name_and_further_ones_ignored_with_a_warning(wide):
    frame = waves(60, seed=1)

    with pytest.warns(UserWarning, match="colour"):
        scored = scores(wide, frame[["fast", "echo", "slow"]].assign(colour="red"))

    np.testing.assert_array_equal(scored, scores(wide, frame))


def test_several_columns_of_series_are_refused_in_one_sentence():
    frame = waves(300, seed=0).assign(site="a", machine=1)

    with pytest.raises(ValueError, match="one column of series.*'site', 'machine'"):
        TimeSeriesDetector(series=["site", "machine"], **TINY_SERIES).fit(frame)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[:0], "row"),
        (lambda f: f[:10], "at least 11 steps.*n_samples=10"),
        (lambda f: f.assign(slow="high"), "'slow'.*high"),
        (lambda f: f.assign(slow=np.inf), "'slow'"),
        (lambda f: f.assign(slow=np.nan), "'slow'"),
        (lambda f: f[np.arange(300) % 9 == 0].reindex(f.index), "observed"),
        (lambda f: pd.concat([f, f]), "one row per time"),
    ],
    ids=["empty", "short", "text", "infinite", "no values", "mostly missing", "twice"],
)
def test_bad_training_frames_are_refused_in_one_sentence(change, message):
    frame = change(waves(300, seed=0))

    with pytest.raises(ValueError, match=message) as caught:
        TimeSeriesDetector(**TINY_SERIES).fit(frame)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("alpha", 0.0),
        ("max_iter", 0),
        ("sigma", 0.0),
        ("window_lengths", ()),
        ("window_lengths", (1, 8)),
        ("window_lengths", (8.5,)),
        ("window_lengths", "ab"),
        ("window_lengths", iter([8, 16])),
        ("covariates", "on"),
        ("max_calibration", 0),
        ("series", "pump"),
        ("covariates", ["pump"]),
    ],
)
def test_parameters_out_of_range_are_refused(parameter, value):
    with pytest.raises((TypeError, ValueError), match=f"{parameter}|pump"):
        TimeSeriesDetector(**{**TINY_SERIES, parameter: value}).fit(waves(100, seed=0))


@pytest.mark.parametrize("join", [-1, 1.5, "a"])
def test_segments_are_joined_over_a_number_of_steps(wide, join):
    scored = wide.score_frame(waves(60, seed=1))

    with pytest.raises(ValueError, match="need join as a whole number of at least 0"):
        wide.segments(scored, join=join)


def test_a_clone_has_the_same_parameters_and_nothing_learned(wide):
    copy = clone(wide)

    assert copy.get_params() == wide.get_params()
    assert not hasattr(copy, "threshold_")


ORDERED = "a step is scored by the steps around it"
KNOWN = "the training rows, scored as new, are reference rows themselves: none is an alarm"
EXPECTED_FAILURES = {
    "check_outliers_train": KNOWN,
    "check_outliers_fit_predict": KNOWN,
    "check_methods_subset_invariance": ORDERED,
    "check_methods_sample_order_invariance": ORDERED,
}


@pytest.mark.filterwarnings("ignore:alpha")
@parametrize_with_checks(
    [TimeSeriesDetector(**{**TINY_SERIES, "window_lengths": (2,), "random_state": None})],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_the_detector_is_a_scikit_learn_estimator(estimator, check):
    check(estimator)
