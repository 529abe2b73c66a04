"""Tables with lines drawn around their cells, and quotes behind a backslash."""

import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table
from anomdiff.jobs.tables.drawings import find_drawing
from anomdiff.jobs.tables.quotes import are_quotes_escaped


def table_of(rows, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": rng.normal(size=rows).round(2),
            "n": rng.integers(0, 99, rows),
            "place": rng.choice(["Ulm", 'the "old" mill', "Lyon, sud", "x"], rows),
        }
    )


def cells_of(frame):
    return [list(frame.columns), *frame.astype(str).to_numpy().tolist()]


def psql(frame):
    header, *rows = [" " + " | ".join(f"{cell:>14}" for cell in row) for row in cells_of(frame)]
    return [header, "+".join(["-" * 16] * 3), *rows, f"({len(frame)} rows)", ""]


def psql_aligned_left(frame):
    header, *rows = [" " + " | ".join(row) for row in cells_of(frame)]
    return [header, "------+---+-------", *rows, f"({len(frame)} rows)"]


def mysql(frame):
    rule = "+" + "+".join(["-" * 16] * 3) + "+"
    header, *rows = ["| " + " | ".join(f"{c:<14}" for c in row) + " |" for row in cells_of(frame)]
    return [rule, header, rule, *rows, rule]


def markdown(frame):
    header, *rows = ["| " + " | ".join(row) + " |" for row in cells_of(frame)]
    return [header, "|---:|:--|:-:|", *rows]


def markdown_without_borders(frame):
    header, *rows = [" | ".join(row) for row in cells_of(frame)]
    return [header, "--|--|--", *rows]


DRAWERS = [psql, psql_aligned_left, mysql, markdown, markdown_without_borders]


@pytest.mark.parametrize("rows", [3, 60, 9000])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("draw", DRAWERS)
def test_a_drawn_table_is_read_as_the_table_it_shows(tmp_path, draw, line_end, rows):
    frame = table_of(rows)
    (tmp_path / "t.txt").write_text(line_end.join(draw(frame)), encoding="utf-8", newline="")

    read = read_table(tmp_path / "t.txt")

    pd.testing.assert_frame_equal(read, frame, check_column_type=False, check_dtype=False)


@pytest.mark.parametrize("draw", DRAWERS)
def test_batches_of_a_drawn_table_are_its_rows(tmp_path, draw):
    frame = table_of(300)
    (tmp_path / "t.txt").write_text("\n".join(draw(frame)), encoding="utf-8")

    batches = list(Table(tmp_path / "t.txt").batches(70))

    joined = pd.concat(batches, ignore_index=True)
    pd.testing.assert_frame_equal(joined, frame, check_column_type=False, check_dtype=False)


@pytest.mark.parametrize(
    "lines",
    [
        ["a|b", "-|-", "1|2"],
        ["a,b", "--,--", "1,2"],
        ["note", "-----", "text"],
        ["a|b|c", "--|--", "1|2|3"],
        [],
    ],
)
def test_missing_cells_and_underlines_are_no_drawings(lines):
    assert find_drawing(lines) is None


def test_quotes_behind_a_backslash_are_part_of_the_cell(tmp_path):
    for rows in (5, 9000):
        frame = table_of(rows).assign(path="C:\\tmp", inch='12"')
        quoted = frame.to_csv(index=False, quoting=2, doublequote=False, escapechar="\\")
        (tmp_path / "t.csv").write_text(quoted, encoding="utf-8")

        read = read_table(tmp_path / "t.csv")

        pd.testing.assert_frame_equal(read, frame, check_column_type=False, check_dtype=False)


@pytest.mark.parametrize("line", ['"C:\\tmp\\",1', '1,"C:\\tmp\\"\n', '"say ""hi""",\\', '\\"a'])
def test_a_backslash_at_the_end_of_a_field_escapes_nothing(line):
    assert not are_quotes_escaped([line])


@pytest.mark.parametrize(
    ("lines", "mark"),
    [
        (["a:b", *(f"{i}:x{i}" for i in range(9))], ":"),
        (["a!b!c", *(f"{i}!x!{i}" for i in range(9))], "!"),
        (["time", *(f"0{i}:10" for i in range(9))], ""),
        (["note", *(f"seen: x{i}" for i in range(9))], ""),
        (["a,b:c", *(f"{i},x:y{i}" for i in range(9))], ""),
    ],
)
def test_a_single_column_that_may_be_several_is_told_with_the_option(tmp_path, lines, mark):
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        read_table(tmp_path / "t.csv")

    told = [str(each.message) for each in caught if "`separator`" in str(each.message)]
    assert len(told) == bool(mark)
    assert all(f"set `separator` to {mark!r}" in sentence for sentence in told)
