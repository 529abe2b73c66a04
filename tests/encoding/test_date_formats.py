"""Which format dates have, where day, month and year can change places."""

import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.date_formats import (
    infer_date_format,
    look_like_dates,
    order_that_reads,
    other_date_format,
    other_orders,
)
from anomdiff.encoding.date_texts import parse_dates
from anomdiff.encoding.schema import Schema

NUMERIC = ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m-%d-%Y"]
SHORT = ["%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%y-%m-%d", "%y/%m/%d"]


def read(texts):
    found = infer_date_format(texts, np.ones(len(texts), dtype=int))
    return found, parse_dates(texts, found)


def frame_of(texts):
    return pd.DataFrame({"day": texts, "size": np.random.default_rng(0).normal(size=len(texts))})


def told(frame, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        schema = Schema.infer(frame, **options)
    return schema, [str(each.message) for each in caught if "date_format" in str(each.message)]


@pytest.mark.parametrize("date_format", [*NUMERIC, *SHORT])
@pytest.mark.parametrize("seed", range(4))
def test_days_before_the_thirteenth_are_read_in_the_order_in_which_rows_are_in_time(
    date_format, seed
):
    rng = np.random.default_rng(seed)
    days = pd.date_range("2011-01-01", "2013-12-31")
    days = days[(days.day <= 12) & (rng.random(len(days)) < 0.3)]
    for stamps in (days, days[::-1]):
        found, dates = read(stamps.strftime(date_format).to_numpy(dtype=object))

        assert found == date_format
        assert (dates == stamps.to_numpy()).all()


@pytest.mark.parametrize("date_format", [*NUMERIC, *SHORT])
def test_of_dates_in_no_order_those_close_together_are_meant(date_format):
    stamps = pd.date_range("2011-03-01", "2011-03-11", freq="20min")
    shuffled = stamps[np.random.default_rng(0).permutation(len(stamps))]

    for each in (stamps, shuffled):
        texts = each.strftime(f"{date_format} %H:%M").to_numpy(dtype=object)
        assert (read(texts)[1] == each.to_numpy()).all()


@pytest.mark.parametrize("date_format", ["%m/%d/%Y", "%d.%m.%Y"])
def test_where_nothing_tells_the_month_is_before_slashes_and_one_warning_says_so(date_format):
    days = pd.date_range("2019-01-01", "2024-12-31")
    days = days[days.day <= 12]
    texts = days[np.random.default_rng(1).permutation(len(days))].strftime(date_format)
    frame = frame_of(texts).assign(again=texts)

    schema, sentences = told(frame)

    assert schema.columns[0].date_format == date_format
    assert len(sentences) == 1
    assert "['day', 'again']" in sentences[0]
    assert told(frame, date_format=date_format)[1] == []


def test_nothing_is_said_where_a_day_or_the_order_decides():
    days = pd.date_range("2019-01-01", "2024-12-31")
    shuffled = days[np.random.default_rng(1).permutation(len(days))]

    for stamps in (shuffled, days[days.day <= 12], days[:500]):
        assert told(frame_of(stamps.strftime("%d/%m/%Y")))[1] == []


def test_a_cell_that_another_order_reads_is_missing_within_the_limit_and_the_order_is_named():
    days = pd.date_range("2019-01-01", "2024-12-31")
    days = days[days.day <= 12]
    texts = days[np.random.default_rng(1).permutation(len(days))].strftime("%d/%m/%Y")
    schema, _ = told(frame_of(texts))
    later = frame_of([*texts[:30], "13/03/2025"])

    with pytest.warns(UserWarning, match="train with date_format='%d/%m/%Y'"):
        checked = schema.check(later)

    assert checked["day"].isna().tolist() == [False] * 30 + [True]
    with pytest.raises(ValueError, match="train with date_format='%d/%m/%Y', or"):
        schema.check(later.tail(1))


@pytest.mark.parametrize(
    "date_format",
    [
        "%Y%m%dT%H%M%S",
        "%Y%m%d %H:%M:%S",
        "%Y-%m-%d %H.%M.%S",
        "%Y-%m-%d-%H.%M.%S",
        "%Y-%m-%d-%H.%M.%S.%f",
        "%Y:%m:%d %H:%M:%S",
        "%d/%b/%Y:%H:%M:%S +0000",
        "%d.%m.%Y %H:%M:%S Uhr",
    ],
)
def test_dates_of_cameras_databases_and_web_servers_are_read(date_format):
    stamps = pd.date_range("2025-01-03 05:10:20", periods=300, freq="7h")

    _, dates = read(stamps.strftime(date_format).to_numpy(dtype=object))

    assert (dates == stamps.to_numpy()).all()


def test_days_without_zeros_and_days_as_they_are_spoken_are_read():
    days = pd.date_range("2024-12-20", periods=200)
    suffixes = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
    short = [f"{day.day}.{day.month}.{day.year % 100:02}" for day in days]
    spoken = [f"{day.day}{suffixes.get(day.day, 'th')} {day:%b %Y}" for day in days]

    for texts in (short, spoken):
        assert (read(np.array(texts, dtype=object))[1] == days.to_numpy()).all()


@pytest.mark.parametrize("majors", [3, 12])
def test_versions_are_no_dates(majors):
    rng = np.random.default_rng(majors)
    parts = rng.integers([1, 0, 10], [majors, 12, 31], size=(200, 3)).astype(str)

    assert read(np.array([".".join(part) for part in parts], dtype=object))[0] == ""


@pytest.mark.parametrize(
    ("example", "likely"),
    [
        ("3. März 2025", True),
        ("Montag, 3 janvier 2025", True),
        ("2025~01~03", True),
        ("12 rue Foch 75", False),
        ("10.0.0.1", False),
        ("LOT-2024-001", False),
        ("1.4.10", False),
    ],
)
def test_texts_that_may_be_dates_are_told_with_the_option_that_reads_them(example, likely):
    texts = [f"{example}{' ' * i}." for i in range(20)]

    assert look_like_dates(np.array([example], dtype=object)) == likely
    assert bool(told(frame_of(texts))[1]) == likely


def test_the_orders_of_a_format_are_those_that_people_write():
    assert other_orders("%Y-%m-%d") == other_orders("%d %b %Y") == other_orders("") == []
    assert other_orders("%y-%m-%d") == ["%d-%m-%y", "%m-%d-%y"]
    assert order_that_reads(np.array(["31/12/2024"], dtype=object), "%m/%d/%Y") == "%d/%m/%Y"
    assert order_that_reads(np.array(["soon"], dtype=object), "%m/%d/%Y") == ""
    assert other_date_format(np.array(["NaT"], dtype="datetime64[ns]"), "%m/%d/%Y") == ""
