import errno
import json
import math

import pandas as pd
import pyarrow as pa
import pytest

from anomdiff.jobs.writers import TableWriter, atomic_paths, json_values, write_json


def _write_half(error, *targets):
    with atomic_paths(*targets) as temporary:
        for path in temporary:
            path.write_text("half", encoding="utf-8")
        raise error


def test_a_file_appears_whole_in_a_new_folder(tmp_path):
    target = tmp_path / "new" / "file.txt"

    with atomic_paths(target) as (temporary,):
        temporary.write_text("done", encoding="utf-8")
        before = target.exists()

    assert not before
    assert target.read_text(encoding="utf-8") == "done"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_what_was_there_before(tmp_path):
    target, other = tmp_path / "file.txt", tmp_path / "other.txt"
    target.write_text("old", encoding="utf-8")

    with pytest.raises(KeyboardInterrupt):
        _write_half(KeyboardInterrupt(), target, other)

    assert list(tmp_path.iterdir()) == [target]
    assert target.read_text(encoding="utf-8") == "old"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_reported_in_one_sentence(tmp_path, code):
    with pytest.raises(OSError, match=r"the disk is full: .*file.txt could not be") as caught:
        _write_half(OSError(code, "[Errno 28] Error writing bytes to file"), tmp_path / "file.txt")

    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.iterdir())


def test_a_folder_is_not_replaced(tmp_path):
    with (
        pytest.raises(IsADirectoryError, match="need a file to write"),
        atomic_paths(tmp_path / "."),
    ):
        pass


def test_batches_of_other_dtypes_are_cast_to_the_schema(tmp_path):
    schema = pa.schema({"count": pa.int64(), "name": pa.string(), "amount": pa.float64()})
    batches = [
        pd.DataFrame({"count": [1, 2], "name": [None, None], "amount": ["1.5", "?"]}),
        pd.DataFrame({"count": [3.0, None], "name": [True, False], "amount": [1, 2]}),
        pd.DataFrame({"count": [4], "name": pd.Categorical(["a"]), "amount": [0.5]}),
    ]

    with TableWriter(tmp_path / "t.parquet", schema) as writer:
        for batch in batches:
            writer.write(batch)

    table = pd.read_parquet(tmp_path / "t.parquet").astype(object)
    table = table.where(table.notna(), None)
    assert table["count"].tolist() == [1, 2, 3, None, 4]
    assert table["name"].tolist() == [None, None, "True", "False", "a"]
    assert table["amount"].tolist() == [1.5, None, 1.0, 2.0, 0.5]


def test_values_without_a_number_in_json_are_null(tmp_path):
    values = json_values({1: math.inf, "b": {"c": math.nan, "d": 0.5}, "e": "inf"})

    write_json(tmp_path / "values.json", values)

    expected = {"1": None, "b": {"c": None, "d": 0.5}, "e": "inf"}
    assert json.loads((tmp_path / "values.json").read_text(encoding="utf-8")) == expected
