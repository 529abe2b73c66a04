import json

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.usual_steps import UsualSteps, infer_steps
from tests.series import panel, waves

MINUTE, HOUR = 6e10, 3.6e12


def mixed(n=60):
    """One series a minute and one an hour, below each other."""
    frame = panel(n, seed=0, labels=("minute", "hour"))
    hours = pd.date_range("2025-01-01", periods=n, freq="h")
    frame.loc[frame["host"] == "hour", "time"] = hours.to_numpy()
    return frame


def inferred(**times):
    return UsualSteps(*infer_steps((label, np.asarray(t)) for label, t in times.items()))


def test_each_series_has_its_own_step_and_is_cut_at_its_own_gaps():
    frame = mixed()
    layout = PanelLayout.infer(frame, "host", "time")
    without = frame.drop(index=[*range(20, 30), *range(80, 90)])

    parts = layout.read(without)

    assert layout.steps.of("minute") == MINUTE
    assert layout.steps.of("hour") == HOUR
    assert [(part.series, len(part)) for part in parts] == [
        *[("minute", 20), ("minute", 30)],
        *[("hour", 20), ("hour", 30)],
    ]


def test_steps_survive_json_and_older_layouts_have_one_for_all():
    layout = PanelLayout.infer(mixed(), "host", "time")
    state = json.loads(json.dumps(layout.to_dict()))

    again = PanelLayout.from_dict(state)
    del state["series_steps"], state["duplicate_times"], state["dropped"]
    older = PanelLayout.from_dict(state)

    assert again == layout
    assert again.steps.of("hour") == HOUR
    assert older.steps.of("hour") == older.steps.of("new") == layout.step


@pytest.mark.parametrize("n", [2, 5, 8])
def test_a_short_series_has_the_step_of_the_long_one_most_like_it(n):
    steps = inferred(long=np.arange(50) * 60, slow=np.arange(50) * 3600, short=np.arange(n) * 3000)

    assert steps.of("short") == 3600
    assert steps.other("short", np.full(20, 3000)) is None
    assert steps.other("short", np.full(20, 3600)) is None
    assert steps.other("short", np.full(20, 60)) == 60


def test_an_unknown_series_has_the_known_step_nearest_to_its_own_or_the_longest():
    steps = inferred(fast=np.arange(50), slow=np.arange(50) * 60)

    assert steps.of("new", np.arange(9) * 50) == 60
    assert steps.of("new", np.arange(9) * 2) == 1
    assert steps.of("new", np.arange(8) * 2) == 60  # too few rows to tell
    assert steps.of("new") == 60


def test_steps_that_differ_a_little_are_one_for_unknown_series():
    steps = inferred(a=np.arange(50) * 60, b=np.arange(50) * 61)

    assert steps.of("new", np.arange(9) * 600) == steps.step


@pytest.mark.parametrize(
    ("times", "other"),
    [
        (np.arange(9) * 60, None),
        (np.arange(9) * 64, None),
        (np.arange(9) * 56, None),
        (np.arange(9) * 66, 66),
        (np.arange(9) * 54, 54),
        (np.arange(90) * 84, 84),
        (np.arange(8) * 600, None),  # too few rows to tell
        (np.r_[np.arange(9) * 60, np.arange(100, 107) * 600], None),  # a gap and some coarse ones
    ],
)
def test_a_step_is_another_from_eight_per_cent_on(times, other):
    steps = inferred(a=np.arange(50) * 60)

    assert steps.other("a", np.diff(times)) == other
    assert steps.other("new", np.diff(times)) == other


def test_a_known_series_is_held_to_its_own_step_and_an_unknown_one_to_any():
    steps = inferred(fast=np.arange(50), slow=np.arange(50) * 60)
    by_minutes = np.full(20, 60)

    assert steps.other("fast", by_minutes) == 60
    assert steps.other("slow", by_minutes) is None
    assert steps.other("new", by_minutes) is None
    assert steps.other("new", by_minutes / 10) == 6


@pytest.mark.parametrize("seed", range(20))
def test_arrivals_at_random_are_never_another_step(seed):
    rng = np.random.default_rng(seed)
    steps = inferred(a=rng.exponential(60, 2000).cumsum())

    assert steps.other("a", rng.exponential(60, 8)) is None
    assert steps.other("a", rng.exponential(6000, 100)) is not None


CALENDARS = {
    "months": pd.date_range("2020-01-01", periods=60, freq="MS"),
    "ends of months": pd.date_range("2020-01-31", periods=60, freq="ME"),
    "quarters": pd.date_range("2010-01-01", periods=60, freq="QS"),
    "years": pd.date_range("1960-01-01", periods=60, freq="YS"),
    "business days": pd.date_range("2020-01-01", periods=60, freq="B"),
    "days of a wall clock": pd.date_range("2025-01-01", periods=365, tz="Europe/Berlin"),
    "hours of office": pd.DatetimeIndex(
        [t for t in pd.date_range("2025-01-06", periods=500, freq="h") if 8 <= t.hour < 18]
    ),
}


@pytest.mark.parametrize("kind", CALENDARS)
def test_every_part_of_a_calendar_has_the_step_of_the_whole(kind):
    times = CALENDARS[kind].as_unit("ns").asi8
    steps = inferred(a=times)

    for start in range(len(times) - 9):
        for n in (9, 12, 30):
            assert steps.other("a", np.diff(times[start : start + n])) is None


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("jitter", [0.01, 0.1, 0.3])
@pytest.mark.parametrize("n", [9, 17, 500])
def test_jitter_that_training_did_not_have_is_no_other_step(seed, jitter, n):
    rng = np.random.default_rng(seed)
    steps = inferred(a=np.arange(500) * 60.0)
    times = (np.arange(n) + rng.uniform(-jitter, jitter, n)) * 60

    assert steps.other("a", np.diff(times)) is None
    if n == 500:
        assert steps.other("a", np.diff(times * 1.5)) is not None


@pytest.mark.parametrize("factor", [0.5, 0.7, 0.8, 0.9, 1.1, 1.2, 1.4, 1.5, 2.0])
def test_a_stretched_clock_is_another_step_for_each_series(factor):
    steps = inferred(a=np.arange(500) * 60, b=np.arange(500) * 3600)

    for label, step in (("a", 60), ("b", 3600)):
        wrong = np.full(100, step * factor)
        assert steps.other(label, wrong) == pytest.approx(wrong[0])


def test_rows_in_order_only_have_no_step_and_no_gap():
    steps = UsualSteps(None)

    assert steps.of("a") is None
    assert not steps.is_gap(np.array([1.0, 1e9]), "a").any()
    assert steps.other("a", np.arange(20)) is None


def test_repeated_times_do_not_shorten_the_step():
    steps = inferred(a=np.repeat(np.arange(50) * 60, 3))

    assert steps.of("a") == 60


@pytest.mark.parametrize("every", [2, 3, 5, 60])
def test_a_series_at_a_coarser_step_is_refused_by_name_with_both_steps(every):
    frame = panel(1200, seed=0)
    layout = PanelLayout.infer(frame, "host", "time")
    coarse = frame.drop(index=[i for i in frame.index if i >= 1200 and i % every])
    found = pd.Timedelta(every, "min")

    with pytest.raises(ValueError, match=f"series 'b' 0 days 00:01:00 apart.* {found} apart"):
        layout.require_steps(layout.read(coarse))

    layout.require_steps(layout.read(frame))


def test_a_finer_step_is_refused_too_with_what_to_do():
    frame = waves(100, seed=0)
    layout = PanelLayout.infer(frame)
    finer = frame.set_axis(pd.date_range("2025-01-01", periods=100, freq="10s"))

    with pytest.raises(ValueError, match="they are 0 days 00:00:10 apart.*resample") as told:
        layout.require_steps(layout.read(finer))

    assert "\n" not in str(told.value)
    assert str(told.value).count(".") == 1


def test_numbered_times_are_told_as_numbers():
    frame = waves(100, seed=0).reset_index(drop=True).assign(t=np.arange(100) * 4)
    layout = PanelLayout.infer(frame, time="t")

    with pytest.raises(ValueError, match="need rows 4 apart, as in training; they are 20 apart"):
        layout.require_steps(layout.read(frame[::5]))


def test_gaps_and_jitter_are_the_same_step():
    frame = waves(200, seed=0)
    jitter = pd.to_timedelta(np.random.default_rng(0).integers(-9, 9, 200), "s")
    late = frame.set_axis(frame.index + jitter).drop(index=frame.index[50:90], errors="ignore")
    layout = PanelLayout.infer(frame)

    layout.require_steps(layout.read(late))
    layout.require_steps(layout.read(frame[::150]))  # too few rows to tell
