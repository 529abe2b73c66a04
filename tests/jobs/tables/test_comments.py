import gzip

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table
from tests.jobs.tables.reading import assert_read, whole_and_batches

MARKS = ["#", "%", "//"]


def _frame(n, first):
    rng = np.random.default_rng(n)
    columns = {
        "time": pd.date_range("2025-01-03", periods=n, freq="h").astype(str),
        "name": [f"pump {i % 7}" for i in range(n)],
        "size": rng.normal(10, 3, n).round(2),
        "n": rng.integers(0, 9, n),
    }
    names = sorted(columns, key=lambda name: name != first)
    return pd.DataFrame({name: columns[name] for name in names})


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("first", ["time", "name", "size"])
@pytest.mark.parametrize("said", ["", " checked", " at 10:00, by hand", " a, b; c, d, e, f"])
@pytest.mark.parametrize("places", [[0], [20], [60], [5, 6, 30, 60]])
def test_a_comment_is_no_row_wherever_it_is(tmp_path, mark, first, said, places):
    frame = _frame(60, first)
    lines = frame.to_csv(index=False).splitlines()
    for place in reversed(places):
        lines.insert(place + bool(place), mark + said)
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    assert_read(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_comment_far_beyond_the_first_lines_is_no_row(tmp_path, mark, line_end, packed):
    frame = _frame(9000, "size")
    lines = frame.to_csv(index=False).splitlines()
    lines.insert(7000, f"{mark} cleaned, again")
    content = "".join(line + line_end for line in lines).encode()
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content) if packed else content)

    pd.testing.assert_frame_equal(read_table(path), frame, check_column_type=False)
    joined = pd.concat(Table(path).batches(1000))
    pd.testing.assert_frame_equal(joined, frame, check_column_type=False)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("every", [1, 5, 59])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_names_that_begin_with_a_mark_are_cells(tmp_path, mark, every, separator):
    frame = _frame(60, "name")
    frame["name"] = [f"{mark if i % every == 0 else ''}{i}x" for i in range(60)]
    frame.to_csv(tmp_path / "t.csv", index=False, sep=separator)

    assert_read(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("mark", MARKS)
def test_names_with_a_mark_stay_below_a_comment_with_the_same(tmp_path, mark):
    frame = _frame(60, "name")
    frame["name"] = [f"{mark if i % 3 == 0 else ''}{i}x" for i in range(60)]
    lines = frame.to_csv(index=False).splitlines()
    lines.insert(30, f"{mark} checked")
    text = "\n".join([f"{mark} exported", *lines])
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    assert_read(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("first", ["time", "size"])
def test_a_row_that_was_commented_out_is_no_row(tmp_path, mark, first):
    frame = _frame(60, first)
    lines = frame.to_csv(index=False).splitlines()
    lines[40] = mark + lines[40]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")

    assert_read(tmp_path / "t.csv", frame.drop(index=39).reset_index(drop=True))


@pytest.mark.parametrize("cell", ["#N/A", "#DIV/0!", "#REF!"])
def test_failures_of_spreadsheets_are_cells(tmp_path, cell):
    text = "x,y\n" + "1.5,2\n" * 30 + f"{cell},3\n" + "2.5,1\n" * 9
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    for read in whole_and_batches(tmp_path / "t.csv"):
        assert len(read) == 40
        assert read["y"].tolist() == [2] * 30 + [3] + [1] * 9


@pytest.mark.parametrize("mark", MARKS)
@pytest.mark.parametrize("n", [40, 9000])
def test_a_mark_within_a_field_of_several_lines_is_text(tmp_path, mark, n):
    texts = [f"first\n{mark} second" if i % 2 else "plain" for i in range(n)]
    frame = pd.DataFrame({"n": range(n), "text": texts})
    frame.to_csv(tmp_path / "t.csv", index=False)

    pd.testing.assert_frame_equal(read_table(tmp_path / "t.csv"), frame, check_column_type=False)


def test_a_column_of_tags_keeps_them(tmp_path):
    tags = ["#red", "blue", "#green"] * 9
    (tmp_path / "t.csv").write_text("tag\n" + "\n".join(tags), encoding="utf-8")

    assert read_table(tmp_path / "t.csv")["tag"].tolist() == tags
