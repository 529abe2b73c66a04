"""Parts of a series in other steps than those of training are left out, with a warning."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.step_changes import at_usual_steps
from tests.encoding.test_usual_steps import CALENDARS, inferred, mixed
from tests.series import panel, waves


def kept(layout, frame):
    """Rows that are kept of each segment."""
    return [part.rows.tolist() for part in at_usual_steps(layout, layout.read(frame), frame)]


def at(n, step, start="2025-01-01"):
    return waves(n, seed=0).set_axis(pd.date_range(start, periods=n, freq=step))


@pytest.mark.parametrize("every", ["20s", "30s", "50s", "66s", "2min", "170s"])
@pytest.mark.parametrize("n", [8, 60, 199])
def test_a_part_at_another_step_is_left_out_and_the_rest_is_kept(every, n):
    before = at(200, "min")
    part = at(n, every, before.index[-1] + pd.Timedelta(every))
    after = at(100, "min", part.index[-1] + pd.Timedelta("1min"))
    frame = pd.concat([before, part, after])
    layout = PanelLayout.infer(before)

    with pytest.warns(UserWarning, match=f"{n - 1} of {300 + n} rows are not") as told:
        parts = kept(layout, frame)

    assert parts == [[*range(200)], [*range(199 + n, 300 + n)]]
    assert len(told) == 1
    assert str(pd.Timedelta(every)) in str(told[0].message)
    assert str(told[0].message).count(". ") == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_part_at_another_step_with_jitter_and_missing_rows_is_left_out_too(seed):
    rng = np.random.default_rng(seed)
    steps = inferred(a=np.arange(500) * 60.0)
    part = (np.arange(300) + rng.uniform(-0.15, 0.15, 300)) * 120 + 60_000
    times = np.r_[np.arange(1000) * 60, part[rng.random(300) > 0.05]]

    others = steps.in_other_runs("a", times)

    assert not others[:1000].any()
    assert others[1001:].all()


@pytest.mark.parametrize("step", [7200, 1800])
def test_a_short_series_at_another_step_is_left_out_as_a_whole(step):
    layout = PanelLayout.infer(at(200, "h"))

    with pytest.warns(UserWarning, match="8 of 8 rows are not"):
        parts = kept(layout, at(8, f"{step}s"))

    assert parts == []


def test_each_series_of_a_panel_is_held_to_its_own_step_and_the_first_is_named():
    frame = mixed()
    layout = PanelLayout.infer(frame, "host", "time")
    hours = frame.index[60:]
    finer = frame.copy()
    since = frame["time"][hours[40]]
    finer.loc[hours[40:], "time"] = pd.date_range(since, periods=20, freq="30min").to_numpy()

    with pytest.warns(UserWarning, match="first row 101 of series 'hour'.*0:30:00 .*01:00:00"):
        parts = kept(layout, finer)

    assert parts == [[*range(60)], [*range(60, 101)]]


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("seed", range(5))
def test_rows_that_are_missing_here_and_there_leave_nothing_out(share, seed):
    frame = waves(3000, seed=0)
    layout = PanelLayout.infer(frame)
    some = frame[np.random.default_rng(seed).random(3000) > share]

    assert sum(map(len, kept(layout, some))) == len(some)


@pytest.mark.parametrize("jitter", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_jitter_leaves_nothing_out(jitter, seed):
    rng = np.random.default_rng(seed)
    steps = inferred(a=np.arange(500) * 60.0)
    times = (np.arange(3000) + rng.uniform(-jitter, jitter, 3000)) * 60

    assert not steps.in_other_runs("a", times).any()


@pytest.mark.parametrize("seed", range(5))
def test_arrivals_at_random_leave_nothing_out(seed):
    rng = np.random.default_rng(seed)
    steps = inferred(a=rng.exponential(60, 2000).cumsum())

    assert not steps.in_other_runs("a", rng.exponential(60, 3000).cumsum()).any()


@pytest.mark.parametrize("kind", CALENDARS)
def test_a_calendar_leaves_nothing_out(kind):
    times = CALENDARS[kind].as_unit("ns").asi8
    steps = inferred(a=times)

    for start in range(0, len(times) - 9, 5):
        assert not steps.in_other_runs("a", times[start:]).any()


def test_bursts_of_rows_as_in_training_leave_nothing_out():
    burst = np.add.outer(np.arange(60) * 300.0, np.arange(10)).ravel()
    steps = inferred(a=burst)

    assert not steps.in_other_runs("a", burst + 7).any()
    assert not steps.in_other_runs("new", burst + 7).any()


def test_rows_of_which_each_is_after_a_gap_are_not_told_to_be_at_another_step():
    frame = waves(300, seed=0)
    layout = PanelLayout.infer(frame)

    parts = kept(layout, pd.concat([frame[:200], frame[200::10]]))

    assert sum(map(len, parts)) == 210


def test_an_unknown_series_may_have_any_step_of_training():
    layout = PanelLayout.infer(mixed(), "host", "time")
    new = panel(60, seed=0, labels=("c",))

    assert kept(layout, new) == [[*range(60)]]
    assert kept(layout, new[:8]) == [[*range(8)]]
