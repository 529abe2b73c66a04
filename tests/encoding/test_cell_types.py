import datetime
import enum
import ipaddress
import itertools
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from anomdiff.encoding.cell_types import dtype_of
from anomdiff.encoding.parsing import read_cells
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder

N = 60
PLACES = np.arange(N) % 6
START = pd.Timestamp("2026-01-05")
HOURS = START + pd.to_timedelta(PLACES, "h")
PERIODS = pd.PeriodIndex(START + pd.to_timedelta(31 * PLACES, "D"), freq="M")
INTERVALS = pd.arrays.IntervalArray.from_breaks([0, 1, 2, 4, 8, 16, 32])[PLACES]


def objects(values):
    return pd.Series([*values], dtype=object)


def arrow(values, kind):
    return pd.Series([*values], dtype=pd.ArrowDtype(kind))


def dates():
    return [datetime.date(2026, 1, 1 + int(place)) for place in PLACES]


def times():
    return [datetime.time(int(place), 30, 15) for place in PLACES]


def spans():
    return [datetime.timedelta(minutes=int(place)) for place in PLACES]


def amounts():
    return [Decimal(int(place)) / 4 for place in PLACES]


COLUMNS = {
    "months": pd.Series(PERIODS),
    "months as objects": objects(PERIODS),
    "durations": pd.Series(pd.to_timedelta(90 * PLACES, "s")),
    "durations in seconds": pd.Series(pd.to_timedelta(PLACES, "s")).astype("m8[s]"),
    "durations of Python": objects(spans()),
    "intervals": pd.Series(INTERVALS),
    "intervals as objects": objects(INTERVALS),
    "cut numbers": pd.Series(pd.cut(PLACES, 3)),
    "times of day": objects(times()),
    "dates": objects(dates()),
    "datetimes of Python": objects(datetime.datetime(2026, 1, 1, int(p)) for p in PLACES),
    "zoned timestamps": pd.Series(HOURS.tz_localize("Europe/Oslo")),
    "zoned timestamps as objects": objects(HOURS.tz_localize("Europe/Oslo")),
    "decimals": objects(amounts()),
    "integers as objects": objects(int(place) for place in PLACES),
    "flags as objects": objects(bool(place % 2) for place in PLACES),
    "flags, numbers and texts": objects(["a", 1, True, "b", 2.5, False][p] for p in PLACES),
    "identifiers": objects(uuid.UUID(int=int(place)) for place in PLACES),
    "addresses": objects(ipaddress.ip_address(2**24 + int(place)) for place in PLACES),
    "sparse integers": pd.Series(pd.arrays.SparseArray(PLACES.astype("uint8"))),
    "dates with an offset": pd.Series(HOURS.strftime("%d.%m.%Y %H:%M +0100"), dtype=object),
    "ISO dates of UTC": pd.Series(HOURS.strftime("%Y-%m-%dT%H:%M:%SZ"), dtype="str"),
    "nullable integers": pd.Series(PLACES, dtype="Int64"),
    "nullable flags": pd.Series(PLACES % 2 == 0, dtype="boolean"),
    "single precision": pd.Series(PLACES / 10, dtype="float32"),
    "Arrow's decimals": arrow(amounts(), pa.decimal128(10, 2)),
    "Arrow's dates": arrow(dates(), pa.date32()),
    "Arrow's times": arrow(times(), pa.time64("us")),
    "Arrow's durations": arrow(spans(), pa.duration("ms")),
    "Arrow's timestamps": arrow(HOURS, pa.timestamp("us", "UTC")),
    "Arrow's categories": arrow([f"c{p}" for p in PLACES], pa.dictionary(pa.int32(), pa.string())),
    "a categorical of timestamps": pd.Series(pd.Categorical(HOURS)),
    "a categorical of zoned timestamps": pd.Series(pd.Categorical(HOURS.tz_localize("Asia/Tokyo"))),
    "a categorical of dates": pd.Series(pd.Categorical(dates())),
    "a categorical of months": pd.Series(pd.Categorical(PERIODS, ordered=True)),
    "a categorical of short floats": pd.Series(pd.Categorical((PLACES / 10).astype("float32"))),
    "a categorical of flags": pd.Series(pd.Categorical(PLACES % 2 == 0)),
}


@pytest.mark.parametrize("wanted", [None, "category"])
@pytest.mark.parametrize("cells", COLUMNS.values(), ids=COLUMNS)
def test_decoding_gives_back_the_cells_that_came_in_the_types_that_came(cells, wanted):
    frame = pd.DataFrame({"c": cells})
    inferred = Schema.infer(frame, kinds={"c": wanted} if wanted else None)
    schema = Schema.from_dict(inferred.to_dict())

    encoder = TableEncoder().fit(schema.check(frame), schema)
    decoded = encoder.decode(encoder.encode(schema.check(frame))[0])

    assert schema == inferred
    pd.testing.assert_frame_equal(decoded, frame)
    assert list(map(type, decoded["c"])) == list(map(type, cells))


@pytest.mark.parametrize("cells", COLUMNS.values(), ids=COLUMNS)
def test_a_gap_stays_a_gap_of_the_same_dtype(cells):
    frame = pd.DataFrame({"c": cells.mask(pd.Series(PLACES == 3))})
    schema = Schema.infer(frame)

    encoder = TableEncoder().fit(schema.check(frame), schema)
    decoded = encoder.decode(encoder.encode(schema.check(frame))[0])

    assert decoded["c"].dtype == frame["c"].dtype
    assert decoded["c"].isna().equals(frame["c"].isna())


@pytest.mark.parametrize("cells", COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("kind", [None, "category"])
def test_a_cell_is_read_the_same_alone_and_in_any_order(cells, kind):
    frame = pd.DataFrame({"c": cells})
    schema = Schema.infer(frame, kinds={"c": kind} if kind else None)

    read = schema.check(frame)["c"]
    backwards = schema.check(frame[::-1])["c"]
    alone = [schema.check(frame.iloc[[row]])["c"].iloc[0] for row in range(6)]

    assert backwards.sort_index().equals(read)
    assert alone == read[:6].tolist()


EQUAL = [True, 1, 1.0, "1", Decimal(1), np.float32(1), np.bool_(True)]


@pytest.mark.parametrize("cells", [*itertools.permutations(EQUAL, 3)])
def test_flags_are_no_numbers_and_numbers_are_compared_as_written(cells):
    read = read_cells(objects(["a", *cells]), "category")[1:]

    assert read.tolist() == ["True" if isinstance(c, bool | np.bool_) else "1" for c in cells]


def test_a_flag_is_the_same_number_alone_and_beside_others():
    schema = Schema.infer(pd.DataFrame({"c": np.arange(N) / 3}))

    together = schema.check(pd.DataFrame({"c": objects([2.5, True, 0])}))["c"]
    alone = schema.check(pd.DataFrame({"c": objects([True])}))["c"]

    assert together.tolist() == [2.5, 1.0, 0.0]
    assert alone.tolist() == [1.0]


@pytest.mark.parametrize("trained", ["float32", "float64", "Float32", "float[pyarrow]", "category"])
@pytest.mark.parametrize("codes", [[0.1, 0.2, 0.7], [1.0, 2.0, 12.5], [1e-5, 123456.7, 3.0]])
def test_codes_are_the_same_in_any_precision_and_as_text(trained, codes):
    numbers = np.resize(codes, N)
    training = pd.Series(numbers, dtype="float32" if trained == "category" else "float64")
    schema = Schema.infer(pd.DataFrame({"c": training.astype(trained)}), kinds={"c": "category"})
    spellings = [numbers, numbers.astype("float32"), numbers.astype("float32").astype("float64")]
    spellings += [numbers.astype(str), pd.Categorical(numbers.astype(str))]

    read = [schema.check(pd.DataFrame({"c": each}))["c"].tolist() for each in spellings]

    assert all(each == read[0] for each in read)


def test_padded_codes_stay_text_beside_numbers():
    cells = objects(["0042", 42, "42", "a"])

    assert read_cells(cells, "category").tolist() == ["0042", "42", "42", "a"]


def test_a_float_is_written_with_its_own_digits():
    exact = 1234567.125  # a float32 too, which would be written 1234567.1

    assert read_cells(pd.Series([exact]), "category").tolist() == ["1234567.125"]


@pytest.mark.parametrize(
    "cells",
    [objects([b"a", b"b"]), objects([[1], [2]]), arrow([[1], [2]], pa.list_(pa.int64()))],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(cells):
    with pytest.raises(ValueError, match="need numbers, text, .*column 'c'; got .*: convert it"):
        Schema.infer(pd.DataFrame({"c": cells}))


@pytest.mark.parametrize("cells", COLUMNS.values(), ids=COLUMNS)
def test_every_dtype_can_be_built_from_its_name(cells):
    if not isinstance(cells.dtype, pd.CategoricalDtype):
        assert dtype_of(str(cells.dtype)) == cells.dtype


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


ZONES = ["Europe/Oslo", "Asia/Tokyo", "America/New_York"]
REFUSED = {
    "naive beside zoned": [
        stamp.tz_localize("UTC") if i % 2 else stamp for i, stamp in enumerate(HOURS)
    ],
    "fractions": [Fraction(int(place), 3) for place in PLACES],
    "whole fractions": [Fraction(int(place)) for place in PLACES],
    "members of an enumeration": [[*Colour][place % 2] for place in PLACES],
    "text beside members": ["red" if place else Colour.BLUE for place in PLACES],
    "sets": [frozenset([int(place)]) for place in PLACES],
    "times beside durations": [
        t if i % 2 else s for i, (t, s) in enumerate(zip(times(), spans(), strict=True))
    ],
    "months beside days": [p.asfreq("D") if i % 2 else p for i, p in enumerate(PERIODS)],
    "some object": [Schema for _ in PLACES],
}


@pytest.mark.parametrize("cells", REFUSED.values(), ids=REFUSED)
def test_what_could_not_be_given_back_is_refused_in_one_sentence_or_left_out(cells):
    frame = pd.DataFrame({"c": objects(cells), "a": np.arange(N) / 7})

    with pytest.raises(ValueError, match=r"need .* in column 'c'; got ") as caught:
        Schema.infer(frame)

    assert "\n" not in str(caught.value)
    assert [column.name for column in Schema.infer(frame, kinds={"c": "ignored"}).used] == ["a"]


GIVEN_BACK_EQUAL = {
    "timestamps of several zones": [t.tz_localize(ZONES[i % 3]) for i, t in enumerate(HOURS)],
    "datetimes of several offsets": [
        datetime.datetime(
            2026, 1, 5, int(p), tzinfo=datetime.timezone(datetime.timedelta(hours=p % 2))
        )
        for p in PLACES.tolist()
    ],
    "integers of NumPy": [*PLACES],
    "decimals beside floats": [Decimal(int(p)) / 4 if p % 2 else p / 4 for p in PLACES.tolist()],
    "timestamps beside datetimes": [t if i % 2 else t.to_pydatetime() for i, t in enumerate(HOURS)],
}


@pytest.mark.parametrize("cells", GIVEN_BACK_EQUAL.values(), ids=GIVEN_BACK_EQUAL)
def test_cells_of_several_types_come_back_equal_and_never_as_text(cells):
    frame = pd.DataFrame({"c": objects(cells)})
    schema = Schema.infer(frame, kinds={"c": Schema.infer(frame).columns[0].kind})

    encoder = TableEncoder().fit(schema.check(frame), schema)
    decoded = encoder.decode(encoder.encode(schema.check(frame))[0])

    assert decoded["c"].tolist() == cells
    assert not decoded["c"].map(lambda cell: isinstance(cell, str)).any()


def test_dates_beside_datetimes_come_back_as_datetimes():
    days = [
        day if i % 2 else datetime.datetime(day.year, 1, day.day, 3)
        for i, day in enumerate(dates())
    ]
    frame = pd.DataFrame({"c": objects(days)})
    schema = Schema.infer(frame, kinds={"c": "datetime"})

    encoder = TableEncoder().fit(schema.check(frame), schema)
    decoded = encoder.decode(encoder.encode(schema.check(frame))[0])

    assert decoded["c"].tolist() == [pd.Timestamp(day).to_pydatetime() for day in days]
