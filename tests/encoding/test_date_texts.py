"""Dates as people write them."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.date_formats import infer_date_format
from anomdiff.encoding.date_texts import (
    iso_format,
    parse_dates,
    write_dates,
    written_zone,
)

FORMATS = [
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d.%m.%y %H:%M",
    "%d.%m.%Y %H:%M",
    "%m/%d/%Y %I:%M %p",
    "%d/%m/%Y %H:%M:%S.%f",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%d %B %Y %H:%M:%S",
    "%Y.%m.%d",
    "%Y-%m-%dT%H:%M:%SZ",
    "%a, %d %b %Y %H:%M:%S +0000",
]


def texts_of(stamps, date_format):
    return stamps.strftime(date_format).unique().to_numpy(dtype=object)


def read(texts):
    found = infer_date_format(texts, np.ones(len(texts), dtype=int))
    return found, parse_dates(texts, found)


@pytest.mark.parametrize("date_format", FORMATS)
def test_a_year_of_dates_is_read_in_every_spelling(date_format):
    stamps = pd.date_range("2024-01-01 00:05", periods=400, freq="22h7min")
    texts = texts_of(stamps, date_format)

    _, dates = read(texts)

    expected = pd.to_datetime(pd.Series(texts), format=date_format, utc=True)
    assert (dates == expected.dt.tz_localize(None).to_numpy()).all()


@pytest.mark.parametrize(
    ("date_format", "other"), [("%d/%m/%Y", "%m/%d/%Y"), ("%m.%d.%Y", "%d.%m.%Y")]
)
def test_one_day_beyond_the_twelfth_decides_for_the_column(date_format, other):
    ambiguous = [f"{d:02}/{m:02}/2024" for d in range(1, 13) for m in range(1, 13)]
    mark = date_format[2]
    texts = np.array([text.replace("/", mark) for text in ambiguous], dtype=object)
    decisive = pd.Timestamp("2024-03-31").strftime(date_format)

    found, dates = read(np.append(texts, decisive).astype(object))

    assert found == date_format != other
    assert dates[-1] == np.datetime64("2024-03-31")


def test_dates_are_taken_to_be_written_in_their_order():
    days = ["01-05", "02-02", "03-09", "04-01", "05-12", "06-03", "08-02", "09-10", "11-01"]
    stamps = pd.DatetimeIndex([f"2024-{day}" for day in days])

    for date_format in ("%d/%m/%Y", "%m/%d/%Y"):
        assert read(texts_of(stamps, date_format))[0] == date_format


@pytest.mark.parametrize(
    "texts",
    [
        ["1.2.34", "1.3.4"],
        ["10.0.0.1"],
        ["12.5"],
        ["May", "June"],
        ["2024"],
        ["201410"],
        ["12-34-56"],
        ["555-1234-99"],
        ["room 12 2024"],
        ["1/2"],
        [],
    ],
)
def test_what_is_no_date_is_none(texts):
    found, dates = read(np.array(texts, dtype=object))

    assert found == ""
    assert np.isnat(dates).all()


def test_missing_texts_and_a_clock_now_and_then():
    texts = np.array(["01/02/2024", None, "13/02/2024 10:30", "soon"], dtype=object)

    dates = parse_dates(texts, "%d/%m/%Y %H:%M")

    assert dates[[0, 2]].astype(str).tolist() == [
        "2024-02-01T00:00:00.000000000",
        "2024-02-13T10:30:00.000000000",
    ]
    assert np.isnat(dates[[1, 3]]).all()


def test_iso_dates_are_read_whatever_the_format():
    texts = np.array(["2024-01-31", "2024-01-31T10:00:00Z", "2024/02/01"], dtype=object)

    assert not np.isnat(parse_dates(texts, "%d/%m/%Y")).any()
    assert iso_format(texts) == "%Y-%m-%dT%H:%M:%S"


RFC_2822, ISO = "%a, %d %b %Y %H:%M:%S ", "%Y-%m-%dT%H:%M:%S"


@pytest.mark.parametrize(
    ("day", "zone"),
    [
        *[(RFC_2822, zone) for zone in ("+0000", "+0100", "-0330", "UTC", "GMT")],
        *[(ISO, zone) for zone in ("Z", "+00:00", "+05:30", "-0800")],
        ("%d/%m/%Y %H:%M:%S ", "+0100"),
        ("%d.%m.%Y %H:%M ", "-0500"),
    ],
)
def test_dates_in_one_zone_are_written_as_they_came(day, zone):
    stamps = pd.date_range("2024-01-01 00:05", periods=60, freq="22h7min")
    texts = (stamps.strftime(day) + zone).to_numpy(dtype=object)
    found = iso_format(texts) if day == ISO else infer_date_format(texts, np.ones(60, dtype=int))

    dates = parse_dates(texts, found)

    wanted = f"{day}{'%Z' if zone in ('UTC', 'GMT') else '%z'}"
    assert (dates == pd.to_datetime(texts, format=wanted, utc=True).tz_localize(None)).all()
    assert written_zone(texts) == zone
    assert write_dates(dates, found, zone).tolist() == texts.tolist()


def test_dates_in_several_zones_are_written_in_utc():
    stamps = pd.date_range("2024-01-01", periods=300, freq="D", tz="Europe/Oslo")
    for pattern, zone in (("%d.%m.%Y %H:%M %z", "+0000"), ("%d.%m.%Y %H:%M %Z", "UTC")):
        texts = stamps.strftime(pattern)

        assert written_zone(texts) == zone
        again = write_dates(stamps.tz_convert(None).to_numpy(), pattern, zone)
        assert (pd.to_datetime(again, format=pattern, utc=True) == stamps).all()


@pytest.mark.parametrize(
    "texts", [["2024-01-31", "12:30 UTC"], ["10:30 PM"], ["call +0100"], ["12:30 h"], []]
)
def test_what_ends_in_no_zone_has_none(texts):
    assert written_zone(texts) == ""
