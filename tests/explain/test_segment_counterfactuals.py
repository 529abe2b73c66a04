import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from tests.series import panel, waves
from tests.settings import TINY_LONG


@pytest.fixture(scope="module")
def wide():
    """A detector of one series; do not change it."""
    detector = TimeSeriesDetector(**TINY_LONG).fit(waves(800, seed=0))
    return detector.set_threshold(2 * detector.threshold_)


@pytest.fixture(scope="module")
def bad():
    """A spike, a shift, two channels at once, a missing cell, and a column nobody knows."""
    frame = waves(400, seed=1)
    frame.iloc[80, 0] += 3
    frame.iloc[180:190, 1] -= 3
    frame.iloc[290:294, :2] += 3
    frame.iloc[300, 2] = np.nan
    return frame


@pytest.fixture(scope="module")
def repaired(wide, bad):
    return wide.repair(bad)


def flagged(detector, frame):
    return detector.score_frame(frame)["is_anomaly"].to_numpy()


def changed(before, after):
    return (before != after) & before.notna()


def test_no_step_of_a_repaired_series_is_flagged(wide, bad, repaired):
    assert flagged(wide, bad).sum() > 10
    assert not flagged(wide, repaired).any()


def test_what_was_wrong_and_little_else_is_changed_to_nearly_what_it_was(bad, repaired):
    whole = waves(400, seed=1)
    wrong = changed(whole, bad).to_numpy()

    change = changed(bad, repaired).to_numpy()

    assert (change & wrong).sum() >= 0.9 * wrong.sum()
    assert (change & ~wrong).sum() <= 0.5 * wrong.sum()
    assert not change[:, 2].any()
    assert np.abs((repaired - whole).to_numpy()[change]).max() < 0.3


def test_untouched_cells_index_and_columns_are_those_of_the_input(wide, bad, repaired):
    assert repaired.index.equals(bad.index)
    pd.testing.assert_series_equal(repaired.dtypes, bad.dtypes)
    kept = ~changed(bad, repaired)
    pd.testing.assert_frame_equal(repaired.where(kept), bad.where(kept), check_exact=True)
    normal = waves(120, seed=5)
    assert not flagged(wide, normal).any()
    pd.testing.assert_frame_equal(wide.repair(normal), normal, check_exact=True)


def test_immutable_channels_stay_and_what_stays_flagged_is_said(wide, bad):
    with pytest.warns(UserWarning, match="steps stay above the threshold, of") as caught:
        repaired = wide.repair(bad, immutable=["slow"])

    pd.testing.assert_series_equal(repaired["slow"], bad["slow"], check_exact=True)
    left = flagged(wide, repaired)
    assert caught[0].filename == __file__
    assert str(caught[0].message).startswith(f"{left.sum()} steps stay")
    before = flagged(wide, bad)[150:230].sum()  # where only the others were wrong
    assert left[150:230].sum() <= 0.1 * before


def test_no_more_channels_than_allowed_change_for_an_alarm(wide, bad):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one channel is not enough where two are wrong
        repaired = wide.repair(bad, max_channels=1)

    change = changed(bad, repaired).to_numpy()
    assert [change[part].any(0).sum() for part in (slice(0, 130), slice(130, 240))] == [1, 1]
    assert change[240:].any(0).sum() <= 1


def test_whole_numbers_and_further_columns_stay_what_they_are():
    def frame(seed):
        rounded = (waves(500, seed=seed) * 100).round().reset_index(drop=True)
        return rounded.astype({"slow": "int64", "echo": "Int64", "fast": "float32"})

    bad = frame(1)[:150].assign(note="kept")
    bad.loc[70, "slow"] += 400
    detector = TimeSeriesDetector(**TINY_LONG).fit(frame(0))
    detector.set_threshold(2 * detector.threshold_)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the note is not in the training rows
        repaired = detector.repair(bad)
        assert not flagged(detector, repaired).any()

    pd.testing.assert_series_equal(repaired.dtypes, bad.dtypes)
    pd.testing.assert_series_equal(repaired["note"], bad["note"])
    assert repaired.loc[70, "slow"] != bad.loc[70, "slow"]


def test_series_of_a_panel_are_repaired_apart_in_any_order():
    detector = TimeSeriesDetector(series="host", time="time", **TINY_LONG).fit(panel(400, seed=0))
    detector.set_threshold(2 * detector.threshold_)
    frame = panel(120, seed=3)
    frame.loc[170, "slow"] += 40  # of series b, which is ten times as large
    order = np.random.default_rng(0).permutation(len(frame))

    repaired = detector.repair(frame)

    pd.testing.assert_frame_equal(repaired[:120], frame[:120], check_exact=True)
    assert abs(repaired.loc[170, "slow"] - (frame.loc[170, "slow"] - 40)) < 3
    pd.testing.assert_frame_equal(detector.repair(frame.iloc[order]), repaired.iloc[order])
    assert not flagged(detector, repaired).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_channels": 0}, "need max_channels of at least 1, or None; got 0"),
        ({"immutable": ["colour"]}, "need immutable channels among .*got .'colour'."),
        (
            {"immutable": ["slow", "echo", "fast"]},
            "need a channel that may change among .*echo.*got all",
        ),
    ],
)
def test_what_cannot_be_repaired_is_refused_in_one_sentence(wide, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        wide.repair(waves(20, seed=1), **arguments)

    assert "\n" not in str(caught.value)
