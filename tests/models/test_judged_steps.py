import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.panel import PanelLayout
from anomdiff.models.judged_steps import warn_of_unjudged
from tests.series import panel, waves


def _told(layout, frame, recwarn, n_unjudged=0):
    warn_of_unjudged(layout, frame, n_unjudged, 8)
    return [str(each.message) for each in recwarn]


@pytest.mark.parametrize("every", [2, 3, 5, 60])
@pytest.mark.parametrize("draw", [waves, panel])
def test_a_coarser_step_is_told_and_both_steps_named(every, draw, recwarn):
    names = {"series": "host", "time": "time"} if draw is panel else {}
    frame = draw(1200, seed=0)

    (text,) = _told(PanelLayout.infer(frame, **names), frame[::every], recwarn)

    assert f"0 days 00:01:00 apart, as in training; they are {pd.Timedelta(every, 'min')}" in text


def test_a_finer_step_is_told_too(recwarn):
    frame = waves(100, seed=0)
    finer = frame.set_axis(pd.date_range("2025-01-01", periods=100, freq="10s"))

    assert len(_told(PanelLayout.infer(frame), finer, recwarn)) == 1


def test_numbered_times_are_told_as_numbers(recwarn):
    frame = waves(100, seed=0).reset_index(drop=True).assign(t=np.arange(100) * 4)

    (text,) = _told(PanelLayout.infer(frame, time="t"), frame[::5], recwarn)

    assert "need rows 4 apart, as in training; they are 20 apart" in text


@pytest.mark.parametrize("kept", [slice(0, 5), slice(0, None)])
def test_the_same_step_is_not_told_even_with_gaps_and_jitter(kept, recwarn):
    frame = waves(200, seed=0)
    jitter = pd.to_timedelta(np.random.default_rng(0).integers(-9, 9, 200), "s")
    late = frame.set_axis(frame.index + jitter).drop(index=frame.index[50:90], errors="ignore")

    assert not _told(PanelLayout.infer(frame), late[kept], recwarn)
    assert not _told(PanelLayout.infer(frame), frame[::150], recwarn)  # too few rows to tell


def test_rows_in_order_only_have_no_step(recwarn):
    frame = waves(200, seed=0).reset_index(drop=True)

    assert not _told(PanelLayout.infer(frame), frame[::5], recwarn)


def test_steps_that_are_mostly_not_judged_are_told(recwarn):
    frame = waves(40, seed=0)
    layout = PanelLayout.infer(frame)

    assert not _told(layout, frame, recwarn, n_unjudged=20)
    (text,) = _told(layout, frame, recwarn, n_unjudged=21)

    assert "need at least 8 rows in a row" in text
    assert "21 of 40 rows have none around them" in text
