"""What stands above the rows, and before them: titles, and names of rows."""

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table
from tests.jobs.tables.reading import assert_read

SEPARATORS = [",", ";", "\t", "|"]
TITLES = {
    "one": "Report;2024-01-01\n",
    "two": "Report;2024-01-01\nSite;Lyon\n",
    "blank line after": "Report;2024-01-01\nSite;Lyon\n\n",
    "blank line between": "Report;2024-01-01\n\nSite;Lyon\n",
    "texts": "Site;Lyon\nStation;Main\nOwner;City\n",
    "number": "Serial;77\nLimit;7.5\n",
    "colons": "Site:;Lyon\nFrom:;2024-01-01\nTo:;2025-01-01\n\n",
    "ends": "Report;2024-01-01;\n",
    "one cell above two": "Report\nSite;Lyon\n",
}


def _frame(n, columns):
    rng = np.random.default_rng(n)
    made = {
        "at": pd.date_range("2025-01-03", periods=n, freq="h").astype(str),
        "site": rng.choice(["Lyon", "Ulm", "Aix"], n),
        "size": rng.normal(10, 3, n).round(2),
        "p": rng.normal(1, 1, n).round(3),
        "n": rng.integers(0, 9, n),
    }
    return pd.DataFrame({name: made[name] for name in columns})


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("n", [8, 60])
@pytest.mark.parametrize(
    "columns", [["at", "site", "size", "p", "n"], ["site", "size", "p"], ["size", "p", "n"]]
)
def test_titles_of_two_cells_are_no_header(tmp_path, title, separator, n, columns):
    frame = _frame(n, columns)
    text = TITLES[title].replace(";", separator) + frame.to_csv(index=False, sep=separator)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    assert_read(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("columns", [["site", "size"], ["at", "n"], ["size", "site"]])
@pytest.mark.parametrize("separator", SEPARATORS)
def test_a_table_of_two_columns_has_no_titles(tmp_path, columns, separator):
    frame = _frame(30, columns)
    frame.to_csv(tmp_path / "t.csv", index=False, sep=separator)

    assert_read(tmp_path / "t.csv", frame)


def test_a_table_of_keys_and_texts_keeps_all_of_them(tmp_path):
    frame = pd.DataFrame({"key": ["Report", "Site", "a"] * 9, "text": ["May", "Lyon", "x"] * 9})
    frame.to_csv(tmp_path / "t.csv", index=False)

    assert_read(tmp_path / "t.csv", frame)


def _write_table(path, frame, separator, *, quoted):
    """Write a frame as R's `write.table` does, with the index as names of rows."""
    mark = '"' if quoted else ""
    texts = frame.map(lambda cell: f"{mark}{cell}{mark}" if isinstance(cell, str) else str(cell))
    lines = [separator.join(f"{mark}{name}{mark}" for name in frame)]
    for name, cells in zip(frame.index, texts.to_numpy().tolist(), strict=True):
        lines.append(separator.join([f"{mark}{name}{mark}", *cells]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize("separator", [" ", "\t", ",", ";"])
@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("columns", [["size", "site", "p"], ["site", "size"], ["site"], ["size"]])
@pytest.mark.filterwarnings("ignore:.* has a name fewer than columns")
def test_names_of_rows_as_r_writes_them_are_a_column(tmp_path, separator, quoted, named, columns):
    texts = columns == ["site"] or (columns == ["size"] and named and separator == " ")
    if not quoted and texts and (separator == " " or named):
        pytest.skip("a word and another in each line below one name may be a text")
    frame = _frame(30, columns)
    blank = " " if quoted else "-"
    frame.index = [f"row{blank}{i}" for i in range(30)] if named else range(1, 31)
    _write_table(tmp_path / "t.txt", frame, separator, quoted=quoted)

    assert_read(tmp_path / "t.txt", frame.rename_axis("column_0").reset_index())


@pytest.mark.parametrize("quoted", [True, False])
def test_a_name_too_few_is_told_unless_the_names_of_rows_are_quoted(tmp_path, quoted, recwarn):
    frame = _frame(30, ["size", "p"])
    _write_table(tmp_path / "t.txt", frame, ",", quoted=quoted)

    read_table(tmp_path / "t.txt")

    told = [str(each.message) for each in recwarn if "a name fewer" in str(each.message)]
    assert len(told) == (0 if quoted else 1)


@pytest.mark.parametrize("first", [[3, 1, 2], [1, 4, 7], [1.5, 2.5, 3.5], [7, 7, 7]])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_values_that_cannot_be_names_of_rows_are_refused(tmp_path, first, separator):
    rows = "\n".join(separator.join([str(cell), "4", "0.5"]) for cell in first * 5)
    (tmp_path / "t.csv").write_text(f"a{separator}b\n{rows}\n", encoding="utf-8")

    with pytest.raises(ValueError, match="more values in a row than names in its first line; set"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize("gap", ["", "NA", "\\N", "--", "n.a.", "#DIV/0!", "(null)", "none"])
def test_a_header_above_numbers_with_gaps_is_one_however_gaps_are_written(tmp_path, gap):
    rows = "".join(f"{i}.5,{i % 7}\n" if i % 3 == 0 else f"{gap},{i % 7}\n" for i in range(30))
    (tmp_path / "u.csv").write_text("x,1\n" + rows, encoding="utf-8")

    assert Table(tmp_path / "u.csv").names == ["x", "1"]
    assert len(read_table(tmp_path / "u.csv")) == 30
