"""Timestamps that advance: hour and weekday count, and come back."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.encoding.datetime_codec import DatetimeCodec, tell_weekdays

DAY = np.timedelta64(1, "D")


def stamps(freq, periods, start="2025-01-06 00:30"):
    return pd.date_range(start, periods=periods, freq=freq).to_numpy()


@pytest.mark.parametrize("freq", ["37min", "5h", "D", "B"])
def test_later_timestamps_are_encoded_as_earlier_ones_of_the_same_hour_and_weekday(freq):
    cells = stamps(freq, 600)
    codec = DatetimeCodec.fit(cells, advances=True)

    later = codec.encode(cells + 7 * 52 * DAY)

    assert not any("trend" in label for label in codec.labels("t"))
    np.testing.assert_allclose(later, codec.encode(cells), atol=1e-9)


@pytest.mark.parametrize("freq", ["37min", "5h", "D"])
def test_decoded_timestamps_are_of_training_at_the_same_hour_and_weekday(freq):
    cells = stamps(freq, 600)
    codec = DatetimeCodec.fit(cells, advances=True)
    span = cells.max() - cells.min()

    back = codec.decode(codec.encode(cells))

    assert (back >= cells.min() - 7 * DAY).all()
    assert (back <= cells.max()).all()
    np.testing.assert_allclose(codec.encode(back), codec.encode(cells), atol=1e-6)
    if span > 100 * DAY:
        assert back.max() - back.min() > span / 2  # not all of one week


def test_a_day_is_a_cycle_of_advancing_timestamps_from_two_days_on():
    short, long = (DatetimeCodec.fit(stamps("7min", n), advances=True) for n in (300, 500))

    assert short.labels("t") == []
    assert long.labels("t") == ["t hour sin", "t hour cos"]


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


@pytest.mark.parametrize("advances", [False, True])
@pytest.mark.parametrize("ends", [["1678-01-01"], ["2262-01-01"], ["1678-01-01", "2262-01-01"]])
def test_the_ends_of_what_nanoseconds_hold_are_encoded_and_decoded(ends, advances):
    far = np.array(ends, dtype="datetime64[ns]")
    for near in (
        stamps("5h", 400),
        stamps("5h", 400, "1700-03-01"),
        stamps("5h", 400, "2250-03-01"),
    ):
        codec = DatetimeCodec.fit(np.concatenate([near, far]), advances=advances)

        block = codec.encode(np.concatenate([near, far]))
        back = codec.decode(np.concatenate([block, block + 9, block - 9]))

        assert np.isfinite(block).all()
        assert (back >= min(near.min(), far.min()) - 8 * DAY).all()
        assert (back <= max(near.max(), far.max()) + 8 * DAY).all()
