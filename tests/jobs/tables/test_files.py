import gzip
import io
import json
import zipfile

import pandas as pd
import pytest

from anomdiff.jobs.readers import read_table
from tests.jobs.tables.reading import assert_read

FRAME = pd.DataFrame({"a": range(20), "b": [i / 4 for i in range(20)], "c": list("xyzt") * 5})
FIRST, SECOND = FRAME[:10], FRAME[10:]
BESIDE = {
    "_SUCCESS": b"",
    ".DS_Store": b"x",
    "._a.csv": b"x",
    "~$b.xlsx": b"x",
    "README.txt": b"Hello\n",
    "License.txt": b"Free\n",
    "picture.png": b"x",
}


def _csv(frame, **said):
    return frame.to_csv(index=False, **said).encode()


def _lines(frame):
    return frame.to_json(orient="records", lines=True).encode()


def _parquet(frame):
    held = io.BytesIO()
    frame.to_parquet(held)
    return held.getvalue()


def _zipped(files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def _write(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _expect(path):
    assert_read(path, FRAME)


@pytest.mark.parametrize(
    "parts",
    [
        {"a.csv": _csv(FIRST), "b.tsv": _csv(SECOND, sep="\t")},
        {"a.csv": _csv(FIRST), "b.csv.gz": gzip.compress(_csv(SECOND))},
        {"a.csv": _csv(FIRST), "b.zip": _zipped({"x.csv": _csv(SECOND)})},
        {"a.csv": _csv(FIRST), "b.txt": _csv(SECOND, sep=";"), "schema.json": b"{}"},
        {"1.json": json.dumps(FIRST.to_dict("records")).encode(), "2.jsonl": _lines(SECOND)},
        {"1.ndjson": _lines(FIRST), "2.jsonl.gz": gzip.compress(_lines(SECOND))},
        {"a.parquet": _parquet(FIRST), "b.parquet": _parquet(SECOND), "schema.json": b"{}"},
    ],
    ids=lambda parts: " ".join(parts),
)
def test_files_of_one_kind_are_a_table_whatever_lies_beside_them(tmp_path, parts):
    _expect(_write(tmp_path, {**parts, **BESIDE}))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"a.csv": _csv(FIRST), "b.parquet": _parquet(SECOND)},
            r"need files of one kind in .*; got .csv, .parquet: give a pattern such as .*\*.csv",
        ),
        (
            {"a.csv": _csv(FIRST), "b.jsonl": _lines(SECOND)},
            "need files of one kind in .*; got .csv, .jsonl: give a pattern",
        ),
        (
            {"a.csv": _csv(FRAME), "a.csv.gz": gzip.compress(_csv(FRAME))},
            "need each file of .* once; .*a.csv and a.csv.gz have the same name: remove one, or",
        ),
        (
            {"d/a.csv": _csv(FRAME), "d/a.tsv": _csv(FRAME, sep="\t")},
            "need each file of .* once; .*a.csv and a.tsv have the same name",
        ),
        (
            {"a.csv": _csv(FRAME), "b.txt": b"Hello\nthis is no table\n"},
            r"need the same columns in a.csv and b.txt of .*; got \['a', 'b', 'c'\] and .*: give",
        ),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, dict) else "",
)
def test_files_that_are_no_parts_of_one_table_are_refused(tmp_path, parts, said):
    with pytest.raises(ValueError, match=said):
        read_table(_write(tmp_path, parts))


@pytest.mark.parametrize("name", ["t.zip", "t.csv.zip", "t.data.zip"])
@pytest.mark.parametrize("folder", ["", "data/", "data/2025.01/"])
@pytest.mark.parametrize("written", [_csv, _lines])
def test_an_archive_holds_one_table_and_what_lies_beside_it(tmp_path, name, folder, written):
    beside = {f"{folder}{each}": content for each, content in BESIDE.items()}
    table = f"{folder}t.{'csv' if written is _csv else 'jsonl'}"
    held = {f"__MACOSX/{folder}._t.csv": b"x", folder or "e/": b"", **beside}
    (tmp_path / name).write_bytes(_zipped({**held, table: written(FRAME)}))

    _expect(tmp_path / name)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.csv": b"a\n1\n", "b.csv": b"a\n2\n"}, r"need one table in .*'a.csv', 'b.csv'.*unpack"),
        ({}, "need a table in .*; it holds no file"),
        ({"d/": b""}, "need a table in .*; it holds no file"),
        ({"a.pdf": b"x"}, "need a table in .*; got 'a.pdf': unpack it, and name it .csv"),
        ({"a.csv.gz": b"x"}, "need a table in .*; got 'a.csv.gz': unpack it"),
    ],
)
def test_an_archive_of_none_or_several_tables_is_refused(tmp_path, files, said):
    (tmp_path / "t.zip").write_bytes(_zipped(files))

    with pytest.raises(ValueError, match=said):
        read_table(tmp_path / "t.zip")
