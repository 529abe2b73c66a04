import gzip
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table
from tests.jobs.tables.reading import assert_read

rng = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"site": rng.choice(["Ulm", "Köln"], 30), "t": rng.normal(10, 3, 30).round(2), "n": range(30)}
)
RECORDS = FRAME.to_dict("records")
ROWS = [json.dumps(record) for record in RECORDS]
WAYS = {
    "lines": "\n".join(ROWS),
    "lines with commas": ",\n".join(ROWS) + ",\n",
    "blank lines": "\n\n" + "\n\n".join(ROWS),
    "array": json.dumps(RECORDS),
    "array of many lines": json.dumps(RECORDS, indent=2),
    "array with an object a line": "[\n" + ",\n".join(ROWS) + "\n]\n",
    "objects of many lines": "\n".join(json.dumps(record, indent=1) for record in RECORDS),
    "data": json.dumps({"data": RECORDS}),
    "data of many lines": json.dumps({"data": RECORDS}, indent=1),
    "pages": "\n".join(json.dumps({"rows": RECORDS[i : i + 10]}) for i in (0, 10, 20)),
    "pandas": FRAME.to_json(),
    "pandas split": FRAME.to_json(orient="split"),
}
DOCUMENTS = {
    "with a status": json.dumps({"status": "ok", "n": 30, "data": RECORDS, "tags": []}),
    "lists": json.dumps(FRAME.to_dict("list")),
}


def _expect(path):
    assert_read(path, FRAME, check_dtype=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl", "t.ndjson", "t.json.gz", "t.json.zip"])
def test_the_way_in_which_objects_are_written_does_not_matter(tmp_path, way, name):
    content = WAYS[way].encode()
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("t.json", content)
    else:
        (tmp_path / name).write_bytes(gzip.compress(content) if ".gz" in name else content)

    _expect(tmp_path / name)


@pytest.mark.parametrize("way", DOCUMENTS)
def test_a_document_holds_a_table(tmp_path, way):
    (tmp_path / "t.json").write_text(DOCUMENTS[way], encoding="utf-8")

    _expect(tmp_path / "t.json")


@pytest.mark.parametrize("way", DOCUMENTS)
def test_a_line_of_a_file_of_lines_is_a_row_whatever_it_holds(tmp_path, way):
    (tmp_path / "t.jsonl").write_text(DOCUMENTS[way], encoding="utf-8")

    assert len(read_table(tmp_path / "t.jsonl")) == 1


@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_lists_in_rows_stay_text(tmp_path, name):
    rows = [{"id": i, "items": [{"a": i}], "tags": ["x"]} for i in range(3)]
    (tmp_path / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")

    read = read_table(tmp_path / name)

    assert read["id"].tolist() == [0, 1, 2]
    assert read["items"].tolist() == [f'[{{"a": {i}}}]' for i in range(3)]


@pytest.mark.parametrize("n", [1, 3000])
@pytest.mark.parametrize("size", [10, 5000])
def test_objects_may_be_longer_than_what_is_read_at_once(tmp_path, n, size):
    rows = [{"n": i, "text": "x, [{" * (size // 5)} for i in range(n)]
    (tmp_path / "t.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")

    read = pd.concat(Table(tmp_path / "t.json").batches(500))

    assert read.to_dict("records") == rows


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[1, 2], [3, 4]]", "need a JSON object for each row; row 1 of .* has list: write"),
        ("\n".join(ROWS)[:-5], "line 30 of .* is no JSON"),
        (json.dumps(RECORDS, indent=0)[:-5], "line 1.. of .* is no JSON"),
        (json.dumps(RECORDS)[:-1], "is no JSON: its array has no end"),
        ("a,b\n1,2\n", "line 1 of .* is no JSON"),
        ("[]", "need at least one row"),
        ("", "need at least one row"),
    ],
)
def test_what_is_no_table_is_reported(tmp_path, content, said):
    (tmp_path / "t.json").write_text(content, encoding="utf-8")

    with pytest.raises(ValueError, match=said):
        read_table(tmp_path / "t.json")
