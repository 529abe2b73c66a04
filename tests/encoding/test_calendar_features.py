import datetime

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.calendar_features import DAY, HOUR, PARTS, Calendar, require_calendar

CHRISTMAS = datetime.date(2025, 12, 25)


def moments(*texts):
    return pd.DatetimeIndex(texts).as_unit("ns").asi8


@pytest.mark.parametrize("part", PARTS)
def test_the_features_of_a_part_add_up_to_one(part):
    times = moments(*pd.date_range("2024-01-01", periods=500, freq="17h13min"))

    found = Calendar((part,)).features(times)

    np.testing.assert_allclose(found.sum(1), 1)
    assert (found >= 0).all()


@pytest.mark.parametrize(
    ("part", "first", "second"),
    [
        ("minute", "2025-03-03 07:12", "2025-08-30 22:12"),
        ("hour", "2025-03-03 07:12", "2025-08-30 07:12"),
        ("weekday", "2025-03-03 07:12", "2025-08-25 22:10"),
        ("month", "2025-03-03 07:12", "2026-03-03 07:12"),
    ],
)
def test_moments_alike_in_a_part_have_its_features(part, first, second):
    one, other = Calendar((part,)).features(moments(first, second))

    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("part", ["minute", "hour", "month"])
def test_features_do_not_jump(part):
    times = np.arange(*moments("2025-12-30", "2026-01-03"), HOUR // 120)

    found = Calendar((part,)).features(times)

    assert np.abs(np.diff(found, axis=0)).max() < 0.6


def test_hour_and_weekday_together_know_every_hour_of_the_week():
    week = moments(*pd.date_range("2025-03-03", periods=168, freq="h"))

    found = Calendar(("hour", "weekday")).features(week)

    assert np.linalg.matrix_rank(found) == 168


def test_a_holiday_is_a_sunday_with_hours_of_its_own():
    calendar = Calendar(("hour", "weekday"), dates=(CHRISTMAS,))

    holiday, sunday = calendar.features(moments("2025-12-25 10:00", "2025-12-28 10:00"))

    np.testing.assert_array_equal(holiday[:-24], sunday[:-24])
    assert (holiday[-24:].nonzero()[0].tolist(), sunday[-24:].sum()) == ([10], 0)


def test_the_wall_clock_of_the_zone_counts():
    times = moments("2025-01-15 06:00", "2025-07-15 05:00")  # seven o'clock in Berlin, twice

    winter, summer = Calendar(("hour",), zone="Europe/Berlin").features(times)

    assert winter.nonzero()[0].tolist() == summer.nonzero()[0].tolist() == [7]


def test_a_day_begins_at_midnight_of_the_zone():
    times = moments("2025-12-24 23:30", "2025-12-25 23:30")

    days = Calendar(zone="Europe/Berlin").wall_clock(times) // DAY

    assert Calendar(dates=(CHRISTMAS,)).are_holidays(days).tolist() == [True, False]


def test_holidays_of_a_country_are_those_of_the_package():
    package = pytest.importorskip("holidays", reason="the package holidays is not installed")
    days = pd.date_range("2023-12-01", "2026-02-01")

    found = Calendar(country="DE-BY").are_holidays(days.as_unit("ns").asi8 // DAY)

    known = package.country_holidays("DE", subdiv="BY")
    assert found.tolist() == [day.date() in known for day in days]


def test_an_unknown_country_is_refused():
    pytest.importorskip("holidays", reason="the package holidays is not installed")

    with pytest.raises(ValueError, match="code of a country .* got 'Atlantis'"):
        require_calendar((), "Atlantis")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "holidays", None)

    with pytest.raises(ImportError, match=r"pip install 'anomdiff\[holidays\]'"):
        require_calendar((), "FR")


@pytest.mark.parametrize(
    ("parts", "holidays", "message"),
    [
        ("hour", None, r"calendar must be a list out of \['minute', .* got 'hour'"),
        (("hour", "second"), None, "calendar must be a list"),
        (3, None, "calendar must be a list"),
        ((), 7, "holidays must be the code of a country"),
        ((), ["25.12.2025"], "a list of dates, also as text .* got '25.12.2025'"),
        ((), ["2025-12-25", "2025-02-30"], "got '2025-02-30'"),
        ((), [CHRISTMAS, pd.NaT], "got NaT"),
        ((), ["DE", "AT"], "got 'DE'"),
    ],
)
def test_what_makes_no_calendar_is_refused(parts, holidays, message):
    with pytest.raises((ValueError, TypeError), match=message):
        require_calendar(parts, holidays)


@pytest.mark.parametrize("kind", [str, pd.Timestamp, np.datetime64, lambda day: f" {day} "])
def test_holidays_may_be_dates_of_any_type_and_texts(kind):
    days = [CHRISTMAS, datetime.date(2026, 1, 6)]
    given = [kind(day) for day in days]

    require_calendar((), given)

    assert Calendar.of((), given, "") == Calendar.of((), days, "")


def test_a_stored_calendar_is_the_same():
    calendar = Calendar.of(["weekday", "hour"], [CHRISTMAS], "Europe/Berlin")

    assert Calendar.from_dict(calendar.to_dict()) == calendar


def test_parts_that_training_does_not_show_twice_are_told():
    week = moments("2025-03-03 00:00", "2025-03-10 00:00")

    assert Calendar(PARTS).unseen(week) == ["weekday", "month"]
