"""Dates as people write them."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.date_texts import infer_date_format, iso_format, parse_dates

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
