import numpy as np
import pandas as pd
import pytest

from tests.series import panel, waves


def at_peak(detector, frame, **arguments):
    """Explanation of the step with the highest score."""
    peak = detector.score_frame(frame)["anomaly_score"].idxmax()
    return detector.explain(frame, rows=[peak], **arguments)


def test_contributions_add_up_to_the_score_exactly(wide):
    frame = waves(200, seed=1)
    frame.iloc[90:95, 1] += 3

    explained = wide.explain(frame)

    totals = explained.groupby("row")["contribution"].sum()
    scored = wide.score_frame(frame)["anomaly_score"]
    np.testing.assert_allclose(totals, scored, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("channel", ["slow", "echo", "fast"])
@pytest.mark.parametrize("length", [1, 12], ids=["spike", "shift"])
def test_what_was_changed_contributes_most_and_what_it_was_is_expected(wide, channel, length):
    whole = waves(200, seed=1)
    frame, changed = whole.copy(), whole.index[100 : 100 + length]
    frame.loc[changed, channel] += 3

    (line,) = at_peak(wide, frame, top=1).to_dict("records")
    explained = wide.explain(frame, top=1, rows=changed)

    assert line["column"] == channel
    margin = pd.Timedelta(minutes=2)
    assert changed[0] - margin <= line["start"] <= changed[0] + margin
    assert changed[-1] - margin <= line["end"] <= changed[-1] + margin
    assert (explained["column"] == channel).all()
    error = explained["expected"].to_numpy() - whole.loc[changed, channel].to_numpy()
    assert np.abs(error).max() < 0.3
    assert (explained["value"] > explained["high"]).all()


def test_two_anomalous_channels_are_not_expected_from_each_other(wide):
    whole = waves(200, seed=1)
    frame = whole.copy()
    frame.iloc[100:104, :2] += 3

    explained = wide.explain(frame, top=2, rows=frame.index[100:104])

    assert set(explained["column"]) == {"slow", "echo"}
    wanted = whole.stack().loc[list(zip(explained["row"], explained["column"], strict=True))]
    np.testing.assert_allclose(explained["expected"], wanted, atol=0.3)


def test_nine_of_ten_values_of_normal_steps_lie_in_their_interval(wide):
    explained = wide.explain(waves(300, seed=1))

    inside = explained["value"].between(explained["low"], explained["high"])
    assert 0.85 < inside.mean() < 0.95
    assert (explained["start"] == explained["row"]).mean() > 0.95


def test_a_flagged_step_beside_anomalous_steps_points_to_them(wide):
    frame = waves(200, seed=1)
    frame.iloc[100, 0] += 5
    high = wide.score_frame(frame)["anomaly_score"].to_numpy() > wide.threshold_
    beside = frame.index[[i for i in range(95, 106) if high[i] and i != 100]]

    explained = wide.explain(frame, top=1, rows=beside)

    assert len(beside)
    assert (explained["start"] == frame.index[100]).all()
    normal = explained["value"].between(explained["low"] - 0.2, explained["high"] + 0.2)
    assert normal.all()


def test_only_rows_asked_for_are_explained_and_as_among_all(wide):
    frame = waves(120, seed=1)
    frame.iloc[60, 2] += 4
    mask = np.isin(np.arange(120), [3, 60, 61, 119])

    everything, some = wide.explain(frame), wide.explain(frame, rows=mask)

    assert some["row"].tolist() == frame.index[mask].repeat(3).tolist()
    shown = ["row", "column", "value", "contribution", "start", "end"]
    wanted = everything[everything["row"].isin(some["row"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(some[shown], wanted[shown])
    pd.testing.assert_frame_equal(wide.explain(frame, rows=frame.index[mask]), some)
    assert wide.explain(frame, rows=[]).empty


def test_series_of_a_panel_are_explained_apart_in_their_units_and_times(long):
    frame = panel(120, seed=3)
    frame.loc[150, "slow"] += 40  # of series b, which is ten times as large
    order = np.random.default_rng(0).permutation(len(frame))

    explained = long.explain(frame, top=1, rows=[150])
    shuffled = long.explain(frame.iloc[order], top=1, rows=[150])

    pd.testing.assert_frame_equal(explained, shuffled)
    (line,) = explained.to_dict("records")
    assert line["start"] == line["end"] == frame["time"][150]
    assert abs(line["expected"] - (frame["slow"][150] - 40)) < 3


def test_gaps_silent_channels_and_short_series_are_explained(wide):
    frame = waves(200, seed=1)
    frame.iloc[10:20, 0] = np.nan
    frame.iloc[100:103, 2] = 9
    frame.iloc[95:110, 1] = np.nan
    short = waves(4, seed=2)

    explained, few = wide.explain(frame), wide.explain(short)

    assert np.isfinite(explained["expected"]).all()
    assert len(few) == 4 * 3
    assert few["low"].isna().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"top": 0}, "need top of at least 1, or None; got 0"),
        ({"rows": [True, False]}, "need rows as a mask of 20 flags; got 2"),
        ({"rows": ["never"]}, "need rows among the labels of X; got .'never'."),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_sentence(wide, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        wide.explain(waves(20, seed=1), **arguments)

    assert "\n" not in str(caught.value)
