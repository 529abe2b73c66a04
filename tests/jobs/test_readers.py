import gzip
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from anomdiff.jobs.readers import FileOptions, Table, find_column, read_table


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "amount": rng.normal(size=25).round(3),
            "code": [f"{i % 9:02d}" for i in range(25)],
            "day": pd.date_range("2025-01-01", periods=25).as_unit("us"),
            "count": np.arange(25) // 3,
        }
    )


def _joined(path, batch_size, options=None, **how):
    return pd.concat(Table(path, options).batches(batch_size, **how))


@pytest.mark.parametrize("batch_size", [1, 4, 25, 1000])
def test_parquet_batches_are_the_whole_table(tmp_path, frame, batch_size):
    frame.to_parquet(tmp_path / "t.parquet", row_group_size=7)

    joined = _joined(tmp_path / "t.parquet", batch_size)

    pd.testing.assert_frame_equal(joined, frame)
    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), frame)


@pytest.mark.parametrize("batch_size", [1, 4, 25, 1000])
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_text_of_a_csv_stays_the_same_text_in_every_batch(tmp_path, frame, name, batch_size):
    frame.to_csv(tmp_path / name, index=False)

    joined = _joined(tmp_path / name, batch_size, text=["code", "day"])

    expected = frame.assign(day=frame["day"].dt.strftime("%Y-%m-%d"))
    pd.testing.assert_frame_equal(joined, expected, check_column_type=False)


def test_a_folder_is_read_file_by_file_in_the_types_of_all(tmp_path, frame):
    folder = tmp_path / "parts"
    folder.mkdir()
    frame[:10].to_parquet(folder / "a.parquet")
    later = frame[10:].astype({"count": "int16"}).reset_index(drop=True)
    later[["count", "day", "code", "amount"]].to_parquet(folder / "b.parquet")

    joined = _joined(folder, 4)

    pd.testing.assert_frame_equal(joined, frame)
    pd.testing.assert_frame_equal(read_table(folder), frame)
    assert Table(folder).count_rows() == 25


def test_a_saved_index_is_no_column(tmp_path, frame):
    frame.set_index(frame["code"].rename(None)).to_parquet(tmp_path / "t.parquet")

    names = Table(tmp_path / "t.parquet").names

    assert names == list(frame.columns)


def test_decimals_and_dates_become_numbers_and_datetimes(tmp_path):
    decimals = pa.array([Decimal("1"), Decimal("2")], pa.decimal128(10, 2))
    table = pa.table({"amount": decimals, "day": pa.array([0, 1], pa.date32())})
    pq.write_table(table, tmp_path / "t.parquet")

    read = read_table(tmp_path / "t.parquet")

    assert read["amount"].tolist() == [1.0, 2.0]
    assert read["day"].tolist() == [pd.Timestamp("1970-01-01"), pd.Timestamp("1970-01-02")]
    assert Table(tmp_path / "t.parquet").copy_types([]).field("amount").type == pa.float64()


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_blanks_byte_order_mark_and_separator_do_not_matter(tmp_path, separator):
    lines = [("a", " b"), ("1", '  "x y"'), ("2", " z")]
    text = "\ufeff" + "\n".join(separator.join(line) for line in lines)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    read = read_table(tmp_path / "t.csv")

    assert read.to_dict("list") == {"a": [1, 2], "b": ["x y", "z"]}


def test_columns_without_header_are_numbered(tmp_path):
    (tmp_path / "t.data").write_text("08,x\n09,y\n", encoding="utf-8")

    joined = _joined(tmp_path / "t.data", 1, FileOptions(header=False), columns=["1", 0], text=[0])

    assert joined.to_dict("list") == {1: ["x", "y"], 0: ["08", "09"]}


CUT_OFF = gzip.compress(b"a,b\n" + bytes(str(list(range(9000))), "ascii"), mtime=0)[:2000]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.parquet", b"a,b\n1,2\n", "need a parquet file; .*t.parquet is not one"),
        ("t.parquet", b"", "need a parquet file; .*t.parquet is not one"),
        ("t.csv", b"", "need at least one row; .*t.csv is an empty file"),
        ("t.csv", b"a,b\n", "need at least one row; .*t.csv is an empty table"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "no valid CSV: need 2 fields in line 3 of t.csv; got 3"),
        ("t.csv", b"a,b\n1,2,3\n1,2,3\n", "more values in a row than names in its first line"),
        ("t.csv", b"Report\n", "need at least one row; .*t.csv is an empty table"),
        ("t.csv", b"\n\n", "need at least one row; .*t.csv is an empty file"),
        ("t.csv", b"# nothing\n", "an empty table, with only the names .*; set `header = false`"),
        ("t.csv", b"\x00\x01\x02\x03\x04\x05\x06" * 9, "need a text file; .*t.csv is none"),
        ("t.csv", b"PAR1\x00", "need a text file; .*t.csv is none: name it .parquet"),
        ("t.csv", b"PK\x03\x04\x00", "need a text file; .*t.csv is none: name it .zip or .xlsx"),
        ("t.csv.zip", b"a,b\n1,2\n", "t.csv.zip is damaged: File is not a zip file"),
        ("t.jsonl", b'{"a": 1}\n[2]\n', "need a JSON object in each line; line 2 of .* has list"),
        ("t.jsonl", b'{"a": 1}\n{"a":\n', "line 2 of .* is no JSON"),
        ("t.jsonl", b"", "need at least one row"),
        ("t.xlsx", b"a,b\n1,2\n", "need an Excel workbook; .*t.xlsx is none"),
        ("t.csv.gz", b"a,b\n1,2\n", "t.csv.gz is damaged: Not a gzipped file"),
        ("t.csv.gz", CUT_OFF, "t.csv.gz is damaged"),
        ("t.sav", b"a", "need a file named .csv, .tsv, .txt, .*, or a folder of such files"),
    ],
)
def test_a_bad_file_is_reported_in_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)

    for read in (read_table, lambda path: _joined(path, 2)):
        with pytest.raises(ValueError, match=sentence) as caught:
            read(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_damaged_parquet_file_is_reported(tmp_path):
    pd.DataFrame({"a": np.arange(50_000.0)}).to_parquet(tmp_path / "t.parquet")
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[4:2000] = bytes(1996)
    (tmp_path / "t.parquet").write_bytes(content)

    with pytest.raises(ValueError, match=r"t.parquet is damaged"):
        read_table(tmp_path / "t.parquet")


def test_an_empty_parquet_table_is_reported(tmp_path):
    pd.DataFrame({"a": [1.0]})[:0].to_parquet(tmp_path / "t.parquet")

    for read in (read_table, lambda path: _joined(path, 2)):
        with pytest.raises(ValueError, match="need at least one row"):
            read(tmp_path / "t.parquet")


def test_what_is_not_there_is_reported(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "t.csv").write_text("a\n1\n", encoding="utf-8")

    with pytest.raises(FileNotFoundError, match=r"need a table at .*x.csv; there is no such file"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(FileNotFoundError, match=r"need files named .csv, .*; there are none"):
        read_table(tmp_path / "folder")
    with pytest.raises(ValueError, match=r"need columns \['b'\]; the table has 'a'"):
        _joined(tmp_path / "t.csv", 2, columns=["b"])


def test_a_column_is_found_by_its_name_as_text():
    assert find_column([0, 1, 2], "1") == 1
    assert find_column(["a"], "b") is None
    assert find_column(["None"], None) is None
