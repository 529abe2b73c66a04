"""A sensor that is dead for long is told, with the rows in which nobody looks at it."""

import warnings

import numpy as np
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.models.silent_channels import silent_cells
from tests.series import panel, waves
from tests.settings import TINY_SERIES

LONGEST = max(TINY_SERIES["window_lengths"])


@pytest.fixture(scope="module")
def single():
    """A detector of one series; do not change it."""
    return TimeSeriesDetector(**TINY_SERIES).fit(waves(300, seed=0))


def told(detector, frame):
    """What is said of channels without values."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        detector.score_frame(frame)
    return [str(each.message) for each in caught if "have none in" in str(each.message)]


def several(frame, lost, labels=("a", "b", "c")):
    """A detector of a panel of which some series lack channels in training."""
    frame = frame.copy()
    for label, channel in lost:
        frame.loc[frame["host"] == label, channel] = np.nan
    return TimeSeriesDetector(series="host", time="time", **TINY_SERIES).fit(frame), frame


def naive(observed, least, longest):
    silent = np.zeros_like(observed)
    for channel, column in enumerate(observed.T):
        for start in range(len(column)):
            for stop in range(start + 1, len(column) + 1):
                enough = least if not column.any() else longest
                if stop - start >= enough and not column[start:stop].any():
                    silent[start:stop, channel] = True
    return silent


@pytest.mark.parametrize("seed", range(20))
def test_cells_are_silent_that_lie_in_long_stretches_without_a_value(seed):
    rng = np.random.default_rng(seed)
    observed = rng.random((30, 4)) < [0.0, 0.1, 0.4, 1.0]

    found = silent_cells(observed, 3, 6)

    np.testing.assert_array_equal(found, naive(observed, 3, 6))


@pytest.mark.parametrize("start", [0, 40, 100 - LONGEST])
def test_a_dead_sensor_is_told_once_with_its_rows(single, start):
    frame = waves(100, seed=1)
    frame.loc[frame.index[start:], "echo"] = np.nan

    (said,) = told(single, frame)

    assert f"['echo'] have none in {100 - start} of 100 rows, first row" in said
    assert str(frame.index[start]) in said
    assert said.count(". ") == 0


def test_single_missing_cells_and_rows_that_are_not_judged_are_not_told(single):
    frame = waves(100, seed=1)
    frame = frame.mask(np.random.default_rng(0).random((100, 3)) < 0.2)
    frame.iloc[50 : 50 + LONGEST - 1, 0] = np.nan
    frame.iloc[49], frame.iloc[50 + LONGEST - 1] = 0.0, 0.0
    nothing = waves(100, seed=1)
    nothing.iloc[30:] = np.nan

    assert not told(single, frame)
    assert all(
        "62 of 100" not in each and "70 of 100" not in each for each in told(single, nothing)
    )


def test_channels_of_a_panel_are_told_of_the_first_series_and_others_counted():
    detector, _ = several(panel(200, 0, ("a", "b", "c")), [])
    new = panel(60, 5, ("a", "b", "c"))
    new.loc[new["host"] == "b", "slow"] = np.nan
    new.loc[new["host"] == "c", "echo"] = np.nan

    (said,) = told(detector, new)

    assert "['slow'] have none in 60 of 60 rows of series 'b', first row 60" in said
    assert "channels of 1 other series" in said


@pytest.mark.parametrize(
    "lost", [[("b", "echo")], [("a", "echo"), ("b", "echo")]], ids=["one lacks", "one has"]
)
def test_a_channel_that_a_series_never_had_is_not_told(lost):
    detector, frame = several(panel(200, 0, ("a", "b", "c")), lost)
    dead = frame.copy()
    dead.loc[dead["host"] == "c", "echo"] = np.nan

    assert not told(detector, frame)
    assert "['echo'] have none" in told(detector, dead)[0]
