"""Timestamps that advance: hour and weekday count, and come back."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.datetime_codec import DatetimeCodec, repeated_cycles, tell_weekdays

DAY = np.timedelta64(1, "D")


def advancing(cells):
    """Cycles of timestamps that advance."""
    return repeated_cycles(cells.astype("datetime64[ns]").view(np.int64))


def stamps(freq, periods, start="2025-01-06 00:30"):
    return pd.date_range(start, periods=periods, freq=freq).to_numpy()


@pytest.mark.parametrize("freq", ["37min", "5h", "D", "B"])
def test_later_timestamps_are_encoded_as_earlier_ones_of_the_same_hour_and_weekday(freq):
    cells = stamps(freq, 600)
    codec = DatetimeCodec.fit(cells, cycles=advancing(cells))

    later = codec.encode(cells + 7 * 52 * DAY)

    assert not any("trend" in label for label in codec.labels("t"))
    np.testing.assert_allclose(later, codec.encode(cells), atol=1e-9)


@pytest.mark.parametrize("freq", ["37min", "5h", "D"])
def test_decoded_timestamps_are_of_training_at_the_same_hour_and_weekday(freq):
    cells = stamps(freq, 600)
    codec = DatetimeCodec.fit(cells, cycles=advancing(cells))
    span = cells.max() - cells.min()

    back = codec.decode(codec.encode(cells))

    assert (back >= cells.min() - 7 * DAY).all()
    assert (back <= cells.max()).all()
    np.testing.assert_allclose(codec.encode(back), codec.encode(cells), atol=1e-6)
    if span > 100 * DAY:
        assert back.max() - back.min() > span / 2  # not all of one week


def test_a_day_is_a_cycle_of_advancing_timestamps_from_two_days_on():
    short, long = (advancing(stamps("7min", n)) for n in (300, 500))

    assert short == ()
    assert DatetimeCodec.fit(stamps("7min", 500), cycles=long).labels("t") == [
        "t hour sin",
        "t hour cos",
    ]


@pytest.mark.parametrize("rows", [1, 2, 9, 60])
def test_a_part_of_the_rows_is_encoded_and_decoded_by_the_cycles_of_all(rows):
    cells = stamps("D", 90, "2025-01-06")
    part = cells[np.linspace(0, 89, rows).astype(int)]
    codec = DatetimeCodec.fit(part, cycles=advancing(cells))

    back = codec.decode(codec.encode(cells))

    assert codec.labels("t") == ["t weekday sin", "t weekday cos"]
    np.testing.assert_array_equal(pd.DatetimeIndex(back).weekday, pd.DatetimeIndex(cells).weekday)


@pytest.mark.parametrize(
    ("freq", "told"),
    [
        ("D", True),
        ("B", True),
        ("3h", True),
        ("W", True),
        ("MS", False),
        ("QS", False),
        ("10D", False),
    ],
)
def test_weekdays_are_told_by_days_that_lie_close_together_or_weeks_apart(freq, told):
    cells = stamps(freq, 40).astype("datetime64[ns]").view(np.int64)

    assert tell_weekdays(cells) == told


@pytest.mark.parametrize("in_cycles", [False, True])
@pytest.mark.parametrize("ends", [["1678-01-01"], ["2262-01-01"], ["1678-01-01", "2262-01-01"]])
def test_the_ends_of_what_nanoseconds_hold_are_encoded_and_decoded(ends, in_cycles):
    far = np.array(ends, dtype="datetime64[ns]")
    for near in (
        stamps("5h", 400),
        stamps("5h", 400, "1700-03-01"),
        stamps("5h", 400, "2250-03-01"),
    ):
        cycles = advancing(np.concatenate([near, far])) if in_cycles else ()
        codec = DatetimeCodec.fit(np.concatenate([near, far]), cycles=cycles)

        block = codec.encode(np.concatenate([near, far]))
        back = codec.decode(np.concatenate([block, block + 9, block - 9]))

        assert np.isfinite(block).all()
        assert (back >= min(near.min(), far.min()) - 8 * DAY).all()
        assert (back <= max(near.max(), far.max()) + 8 * DAY).all()
