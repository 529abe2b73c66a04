import datetime as dt
import decimal
import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anomdiff.encoding.schema import Schema
from anomdiff.jobs.readers import Table, read_table
from anomdiff.jobs.tables.arrow_types import unified_type

BIG = 2**53 + 1
DAY = dt.datetime(2025, 1, 31, 12)
ZONED = pa.timestamp("us", "UTC")


def _parts(folder, *columns):
    """A folder with a part for each given column `x`."""
    folder.mkdir()
    for i, column in enumerate(columns):
        rows = {"k": pa.array(range(len(column))), "x": column}
        pq.write_table(pa.table(rows), folder / f"{i}.parquet")
    return folder


@pytest.mark.parametrize("batch_size", [1, 2, 100])
@pytest.mark.parametrize(
    ("first", "second", "kind", "cells"),
    [
        (pa.array([1, 2]), pa.array([0.5]), "float64", [1, 2, 0.5]),
        (pa.array([1], pa.int32()), pa.array([2**40]), "int64", [1, 2**40]),
        (pa.array([1], pa.int8()), pa.array([200], pa.uint8()), "int16", [1, 200]),
        (pa.array([1]), pa.array([2**64 - 1], pa.uint64()), "float64", [1, 2.0**64]),
        (pa.array([True, False]), pa.array([3]), "int64", [1, 0, 3]),
        (pa.nulls(2), pa.array([1.5]), "float64", [None, None, 1.5]),
        (pa.nulls(1), pa.array(["a"]), "str", [None, "a"]),
        (pa.array(["a"]), pa.array(["b"]).dictionary_encode(), "str", ["a", "b"]),
        (pa.array(["a"]), pa.array(["b"], pa.large_string()), "str", ["a", "b"]),
        (pa.array(["a"]), pa.array([b"b"]), "str", ["a", "b"]),
        (pa.array(["a"]), pa.array([7]), "str", ["a", "7"]),
        (pa.array([1.5], pa.float32()), pa.array([2]), "float64", [1.5, 2]),
        (pa.array([decimal.Decimal("1.5")]), pa.array([2]), "float64", [1.5, 2]),
        (pa.array([DAY], pa.timestamp("s")), pa.array([DAY], pa.timestamp("ns")), None, [DAY] * 2),
        (pa.array([DAY], pa.timestamp("us")), pa.array([DAY], ZONED), None, [DAY] * 2),
        (pa.array([DAY.date()]), pa.array([DAY]), None, [dt.datetime(2025, 1, 31), DAY]),
    ],
)
@pytest.mark.parametrize("swap", [False, True])
def test_parts_of_several_types_have_one(tmp_path, first, second, kind, cells, swap, batch_size):
    parts = (second, first) if swap else (first, second)
    cells = [*cells[len(first) :], *cells[: len(first)]] if swap else cells
    folder = _parts(tmp_path / "t", *parts)

    read = read_table(folder)["x"]
    batches = [batch["x"] for batch in Table(folder).batches(batch_size)]

    if kind is None:
        read = pd.to_datetime(read, utc=True).dt.tz_localize(None)
        assert read.tolist() == [pd.Timestamp(cell) for cell in cells]
    else:
        assert read.dtype == kind
        assert [None if pd.isna(cell) else cell for cell in read] == cells
    assert pd.concat(batches).astype(object).isna().sum() == read.isna().sum()
    types = {str(batch.dtype) for batch in batches if batch.notna().all()}
    assert len(types) == 1


def test_a_type_of_all_parts_does_not_depend_on_their_order():
    kinds = [
        pa.int8(),
        pa.uint64(),
        pa.float32(),
        pa.bool_(),
        pa.decimal256(50, 3),
        pa.null(),
        pa.string(),
        pa.dictionary(pa.int8(), pa.string()),
        pa.timestamp("s"),
        pa.timestamp("ns", "Europe/Berlin"),
        pa.date32(),
        pa.duration("s"),
        pa.list_(pa.int64()),
    ]

    for one in kinds:
        for other in kinds:
            assert unified_type([one, other]) == unified_type([other, one])
            assert unified_type([one, other, one]) == unified_type([one, other])


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        (pa.array([dt.timedelta(days=1, seconds=1)]), 86401.0),
        (pa.array([dt.timedelta(milliseconds=5)], pa.duration("ms")), 0.005),
        (pa.array([dt.time(1, 2, 3)], pa.time32("s")), 3723.0),
        (pa.array([dt.time(1, 2, 3, 500_000)]), 3723.5),
        (pa.array([dt.time(0, 0, 1)], pa.time64("ns")), 1.0),
        (pa.array([decimal.Decimal("1.5")], pa.decimal256(50, 3)), 1.5),
        (pa.array([b"abc"]), "abc"),
        (pa.array([b"abc"], pa.large_binary()), "abc"),
        (pa.array([b"abc"], pa.binary(3)), "abc"),
        (pa.array([b"\xff"]), "\\xff"),
        (pa.array([[1, 2]]), "[1, 2]"),
        (pa.array([["é", None]]), '["é", null]'),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), '[["k", 1]]'),
        (pa.array(["x"], pa.string_view()), "x"),
    ],
)
@pytest.mark.filterwarnings("ignore:columns .* hold lists")
def test_unusual_cells_are_numbers_or_text(tmp_path, cells, read):
    cells = pa.concat_arrays([cells, pa.nulls(1, cells.type)])
    table = pa.table({"k": [0, 1], "x": cells})
    pq.write_table(table, tmp_path / "t.parquet")

    found = read_table(tmp_path / "t.parquet")["x"]
    typed = Table(tmp_path / "t.parquet").copy_types([]).field("x").type

    assert found[0] == read
    assert pd.isna(found[1])
    assert typed == (pa.string() if isinstance(read, str) else pa.float64())


def test_cells_within_structs_are_columns(tmp_path):
    inner = [{"city": "Oslo", "at": {"lat": 59.9}}, None, {"city": None, "at": None}]
    table = pa.table({"id": [1, 2, 3], "home": inner, "work.city": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "t.parquet")

    read = read_table(tmp_path / "t.parquet")
    some = pd.concat(Table(tmp_path / "t.parquet").batches(2, columns=["home.at.lat", "work.city"]))

    assert list(read) == ["id", "home.city", "home.at.lat", "work.city"]
    assert read["home.at.lat"].fillna(-1).tolist() == [59.9, -1, -1]
    assert some["home.at.lat"].fillna(-1).tolist() == [59.9, -1, -1]
    assert some["work.city"].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.filterwarnings("ignore:columns .* not in all files")
def test_a_struct_that_is_all_missing_in_a_part_has_its_columns(tmp_path, swap):
    parts = [pa.array([{"u": 1}]), pa.nulls(1)]

    read = read_table(_parts(tmp_path / "t", *(parts[::-1] if swap else parts)))

    assert sorted(read) == ["k", "x.u"]
    assert sorted(read["x.u"].fillna(-1)) == [-1, 1]


@pytest.mark.filterwarnings("ignore:columns .* not in all files")
def test_a_column_without_any_value_in_some_parts_is_missing(tmp_path):
    folder = _parts(tmp_path / "t", pa.nulls(1))
    pq.write_table(pa.table({"k": [1]}), folder / "1.parquet")

    assert read_table(folder)["x"].isna().all()


def test_lists_are_told_with_what_to_do(tmp_path):
    pq.write_table(pa.table({"a": [1.0], "x": [[1, 2]]}), tmp_path / "t.parquet")

    with pytest.warns(UserWarning, match=r"columns \['x'\] .* hold lists or maps, .* `drop`"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("day", "unit"),
    [
        (dt.date(9999, 12, 31), None),
        (dt.date(1, 1, 1), None),
        (1608806400000000, "ms"),
        (-62135596800, "s"),
    ],
)
def test_dates_out_of_range_are_dates(tmp_path, day, unit):
    kind = pa.date32() if unit is None else pa.timestamp(unit, "UTC")
    table = pa.table({"t": pa.array([day] * 9, kind), "a": np.arange(9.0) % 3})
    pq.write_table(table, tmp_path / "t.parquet")

    read = read_table(tmp_path / "t.parquet")
    schema = Schema.infer(read, kinds={"t": "datetime"})

    assert schema.check(read)["t"].notna().all()


def test_a_column_of_some_parts_is_missing_in_the_others_and_told(tmp_path):
    (tmp_path / "t").mkdir()
    pd.DataFrame({"a": [1], "b": [2]}).to_parquet(tmp_path / "t/0.parquet")
    pd.DataFrame({"new": ["x"], "a": [3]}).to_parquet(tmp_path / "t/1.parquet")

    with pytest.warns(UserWarning, match=r"columns \['b', 'new'\] of .* are not in all files"):
        read = read_table(tmp_path / "t")
    batches = list(Table(tmp_path / "t").batches(1, columns=["a"]))

    assert list(read) == ["a", "b", "new"]
    assert read["a"].tolist() == [1, 3]
    assert read["b"].isna().tolist() == [False, True]
    assert read["new"].isna().tolist() == [True, False]
    assert [batch["a"].tolist() for batch in batches] == [[1], [3]]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["n", "s"], "str"),
        (["2024", "2025"], "int64"),
        (["-1", "10"], "int64"),
        (["08", "10"], "str"),
        (["1", "x"], "str"),
        (["a b/c", "ä=1"], "str"),
    ],
)
@pytest.mark.parametrize("batch_size", [3, 100])
def test_partitions_are_columns(tmp_path, values, kind, batch_size):
    frame = pd.DataFrame({"a": np.arange(20), "part": np.repeat(values, 10)})
    frame.to_parquet(tmp_path / "t", partition_cols=["part"])

    read = read_table(tmp_path / "t").sort_values("a", ignore_index=True)
    joined = pd.concat(Table(tmp_path / "t").batches(batch_size)).sort_values("a")

    assert read["part"].dtype == kind
    assert list(map(str, read["part"])) == frame["part"].tolist()
    assert list(map(str, joined["part"])) == frame["part"].tolist()


def test_nested_partitions_and_missing_ones_are_columns(tmp_path):
    frame = pd.DataFrame({"a": range(4), "y": [2024, 2024, 2025, 2025], "m": ["1", None, "2", "x"]})
    frame.to_parquet(tmp_path / "t", partition_cols=["y", "m"])
    (tmp_path / "t/_SUCCESS").touch()
    (tmp_path / "t/_delta_log").mkdir()
    frame.to_parquet(tmp_path / "t/_delta_log/x.parquet")

    read = read_table(tmp_path / "t").sort_values("a", ignore_index=True)

    assert read["y"].tolist() == frame["y"].tolist()
    assert read["m"].fillna("").tolist() == ["1", "", "2", "x"]


def test_whole_numbers_beside_missing_ones_stay_exact(tmp_path):
    pq.write_table(pa.table({"id": [BIG, None], "n": [1, None]}), tmp_path / "t.parquet")

    read = read_table(tmp_path / "t.parquet")

    assert read["id"][0] == BIG
    assert read["n"].dtype == "float64"


def test_repeated_names_of_a_parquet_file_are_told_apart(tmp_path):
    table = pa.table([pa.array([1]), pa.array([2]), pa.array(["x"])], names=["a", "a", "b"])
    pq.write_table(table, tmp_path / "t.parquet")

    read = read_table(tmp_path / "t.parquet")
    joined = pd.concat(Table(tmp_path / "t.parquet").batches(1, columns=["b", "a.1"]))

    assert read.to_dict("list") == {"a": [1], "a.1": [2], "b": ["x"]}
    assert joined.to_dict("list") == {"b": ["x"], "a.1": [2]}


def test_infinite_numbers_count_as_missing(tmp_path):
    pq.write_table(pa.table({"x": [1.0, np.inf, -np.inf]}), tmp_path / "t.parquet")

    with pytest.warns(UserWarning, match="infinite numbers count as missing: 2 in column 'x'"):
        assert read_table(tmp_path / "t.parquet")["x"].isna().sum() == 2


def test_a_packed_parquet_file_is_the_plain_one(tmp_path):
    frame = pd.DataFrame({"a": [1, 2]})
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress(frame.to_parquet()))

    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet.gz"), frame)
