import numpy as np
import pytest

from anomdiff.encoding.glitches import glitches, without_glitches
from anomdiff.encoding.panel import PanelLayout
from tests.series import panel, waves

WAVE = np.sin(np.arange(2000) / 8)


def _with(values, places):
    cells = WAVE.copy()
    cells[list(places)] = values
    return cells


@pytest.mark.parametrize("value", [8.0, 20.0, -30.0, 1000.0, -9999.0, 1e300])
@pytest.mark.parametrize("place", [0, 300, 1999])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_one_value_far_outside_is_a_glitch_and_nothing_else_is(value, place, offset):
    found = glitches(_with(value, [place]) + offset)

    assert np.flatnonzero(found).tolist() == [place]


@pytest.mark.parametrize(
    "cells",
    [
        WAVE,
        np.random.default_rng(0).normal(size=5000),
        np.random.default_rng(0).exponential(size=5000),
        np.random.default_rng(0).standard_t(5, size=5000),
        np.cumsum(np.random.default_rng(0).normal(size=5000)),
        np.arange(5000.0),
        np.full(500, 7.0),
        np.full(500, np.nan),
        np.repeat([0.0, 1.0], 300),
        np.where(np.arange(2000) == 700, 1.0, 0.0),
        _with(10.0, range(100, 2000, 400)),  # a job each night
        _with(5.0, range(600, 640)),  # another state for a while
        np.where(np.arange(3000) % 700 == 0, 5.0, 0.0),
        np.where(np.arange(30) == 7, 99.0, WAVE[:30]),  # too short to tell
    ],
)
def test_what_comes_again_or_is_near_is_no_glitch(cells):
    assert not glitches(cells).any()


@pytest.mark.parametrize("places", [[100, 101], [100, 900], [50, 400, 800, 1200, 1900]])
def test_a_sentinel_far_outside_is_a_glitch_however_it_comes(places):
    assert np.flatnonzero(glitches(_with(-9999.0, places))).tolist() == places


def test_two_glitches_do_not_hide_each_other():
    found = glitches(_with([20.0, 1000.0], [300, 900]))

    assert np.flatnonzero(found).tolist() == [300, 900]


def test_a_glitch_in_a_channel_that_never_moved_is_one():
    cells = np.full(500, 7.0)
    cells[50] = -9999.0

    assert np.flatnonzero(glitches(cells)).tolist() == [50]


def test_glitches_are_told_by_series_left_out_and_warned_of():
    frame = panel(200, seed=0)  # series b is ten times as large
    frame.loc[50, "slow"] = 25.0  # far outside a, within b
    layout = PanelLayout.infer(frame, series="host", time="time")
    before = layout.read(frame)

    with pytest.warns(UserWarning, match="channel 'slow': 1 of its cells, such as 25, are so far"):
        first, second = without_glitches(before, layout.channels)

    assert np.argwhere(np.isnan(first.values)).tolist() == [[50, 0]]
    assert np.argwhere(~first.observed).tolist() == [[50, 0]]
    assert second is before[1]
    assert not np.isnan(before[0].values).any()


def test_series_without_glitches_stay_the_same(recwarn):
    frame = waves(200, seed=0)
    layout = PanelLayout.infer(frame)
    (segment,) = layout.read(frame)

    assert without_glitches([segment], layout.channels) == [segment]
    assert not len(recwarn)
