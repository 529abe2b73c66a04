import gzip
import json

import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table
from tests.tables import mixed_table


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "t").mkdir()

    def write(**files):
        for name, text in files.items():
            (tmp_path / "t" / f"{name}.csv").write_text(text, encoding="utf-8")
        return tmp_path / "t"

    return write


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_a_folder_of_csv_is_one_table(tmp_path, batch_size):
    frame = mixed_table(40, seed=0)
    (tmp_path / "t/deeper").mkdir(parents=True)
    frame[:10].to_csv(tmp_path / "t/a.csv", index=False)
    frame[10:25].to_csv(tmp_path / "t/b.csv.gz", index=False, sep=";", decimal=",")
    frame[25:].to_csv(tmp_path / "t/deeper/c.csv", index=False)
    frame.to_csv(tmp_path / "whole.csv", index=False)
    (tmp_path / "t/_SUCCESS").touch()
    (tmp_path / "t/.a.csv.crc").write_text("x", encoding="utf-8")
    text = frame.select_dtypes(exclude="number").columns

    expected = read_table(tmp_path / "whole.csv", text=text)
    joined = pd.concat(Table(tmp_path / "t").batches(batch_size, text=text))

    pd.testing.assert_frame_equal(read_table(tmp_path / "t", text=text), expected)
    assert joined.index.tolist() == expected.index.tolist()
    pd.testing.assert_frame_equal(joined, expected, check_dtype=False)


@pytest.mark.parametrize(
    ("first", "second", "cells"),
    [
        ("0042", "X7", ["0042", "X7"]),
        ("1", "1.5", [1, 1.5]),
        ("", "X7", [None, "X7"]),
        ("", "3", [None, 3]),
        ("True", "1", ["True", "1"]),
        ("True", "no", ["True", "no"]),
    ],
)
@pytest.mark.parametrize("swap", [False, True])
def test_what_is_text_in_one_file_is_text_in_all(folder, first, second, cells, swap):
    texts = [f"k,x\n1,{cell}\n" for cell in (first, second)]

    read = read_table(folder(a=texts[swap], b=texts[not swap]))["x"].tolist()

    assert [None if pd.isna(cell) else cell for cell in read] == (cells[::-1] if swap else cells)


def test_decimal_commas_of_a_file_beside_one_with_text_are_points(folder):
    plain = "k;x\n" + "1;2,5\n" * 30
    with_text = "k;x\n" + "1;3,5\n" * 30 + "1;ERR\n"

    read = read_table(folder(a=plain, b=with_text))["x"]

    assert read.tolist() == ["2.5"] * 30 + ["3.5"] * 30 + ["ERR"]


def test_a_column_of_some_files_is_missing_in_the_others_and_told(folder):
    with pytest.warns(UserWarning, match=r"columns \['b', 'c'\] .* are not in all files"):
        read = read_table(folder(x="a,b\n1,2\n", y="a,c\n3,4\n"))

    assert read.fillna(-1).to_dict("list") == {"a": [1, 3], "b": [2, -1], "c": [-1, 4]}


def test_files_without_rows_beside_others_are_left_out(folder):
    place = folder(a="x,y\n", b="", c="x,y\n1,2\n", d="\n")

    assert read_table(place).to_dict("list") == {"x": [1], "y": [2]}
    assert [len(batch) for batch in Table(place).batches(9)] == [1]


def test_a_folder_of_files_without_rows_is_reported(folder):
    place = folder(a="x,y\n", b="x,y\n")

    with pytest.raises(ValueError, match="need at least one row; all files of .* are empty"):
        read_table(place)
    with pytest.raises(ValueError, match="need at least one row"):
        list(Table(place).batches(9))


def test_pieces_of_a_file_that_was_split_have_the_names_of_the_first(folder):
    rows = [f"{i},{i / 7:.3f}" for i in range(30)]
    first, second = "a,b\n" + "\n".join(rows[:20]), "\n".join(rows[20:])

    read = read_table(folder(xaa=first, xab=second))

    assert list(read) == ["a", "b"]
    assert read["a"].tolist() == list(range(30))


def test_partitions_of_csv_are_columns(tmp_path):
    for region in ("n", "s"):
        (tmp_path / f"t/region={region}/day=3").mkdir(parents=True)
        (tmp_path / f"t/region={region}/day=3/part.csv").write_text("a\n1\n2\n", encoding="utf-8")

    read = read_table(tmp_path / "t")
    some = pd.concat(Table(tmp_path / "t").batches(1, columns=["region"]))

    assert read.to_dict("list") == {"a": [1, 2] * 2, "region": list("nnss"), "day": [3] * 4}
    assert some["region"].tolist() == list("nnss")


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
def test_a_pattern_names_files(tmp_path, suffix):
    for year in (2024, 2025, 2026):
        for month in ("01", "02"):
            frame, path = pd.DataFrame({"y": [year]}), tmp_path / f"{year}/{month}{suffix}"
            path.parent.mkdir(exist_ok=True)
            if suffix == ".csv":
                frame.to_csv(path, index=False)
            elif suffix == ".parquet":
                frame.to_parquet(path)
            else:
                frame.to_json(path, orient="records", lines=True)

    assert read_table(tmp_path / f"202[56]/*{suffix}")["y"].tolist() == [2025] * 2 + [2026] * 2
    assert read_table(tmp_path / f"**/01{suffix}")["y"].tolist() == [2024, 2025, 2026]
    assert read_table(tmp_path / "202[45]")["y"].tolist() == [2024] * 2 + [2025] * 2


def test_files_of_several_kinds_are_refused_with_a_pattern_to_give(folder, tmp_path):
    place = folder(a="x\n1\n")
    pd.DataFrame({"x": [1]}).to_parquet(place / "b.parquet")

    with pytest.raises(ValueError, match=r"need files of one kind .* got .csv, .parquet: .*\*.csv"):
        read_table(place)
    with pytest.raises(FileNotFoundError, match="need a table at .*; there is no such file"):
        read_table(tmp_path / "*.csv")


RECORDS = [
    {"a": 1, "b": "x", "c": {"d": 1.5, "e": [1, 2]}},
    {"a": 2.5, "b": None, "new": True},
    {"a": None, "b": "0042", "c": {"d": 2}},
]


@pytest.mark.parametrize("name", ["t.jsonl", "t.ndjson", "t.jsonl.gz"])
@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_json_lines_are_a_table(tmp_path, name, batch_size):
    text = "\n\n".join(json.dumps(record) for record in RECORDS).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)

    read = read_table(tmp_path / name)
    joined = pd.concat(Table(tmp_path / name).batches(batch_size))

    assert list(read) == list(joined) == ["a", "b", "c.d", "c.e", "new"]
    for frame in (read, joined):
        cells = frame.astype(object).where(frame.notna(), None)
        assert cells["a"].tolist() == [1, 2.5, None]
        assert cells["b"].tolist() == ["x", None, "0042"]
        assert cells["c.d"].tolist() == [1.5, None, 2]
        assert cells["c.e"].tolist() == ["[1, 2]", None, None]
