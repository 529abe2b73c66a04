"""Further separators, and quotes of every kind."""

import csv

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table
from anomdiff.jobs.tables.options import FileOptions

SEPARATORS = [",", ";", "\t", "|", "||", "::", "^", "^^", "~", "~~", "\x01"]
COMMON = [",", ";", "\t", "|"]


def _frame(n, seed, inside):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "at": pd.date_range("2025-01-03", periods=n, freq="h").astype(str),
            "town": rng.choice(["Ulm", f"St.{inside}Gallen", "Aix"], n),
            "size": rng.normal(10, 3, n).round(2),
            "n": rng.integers(0, 9, n),
        }
    )


def _expect(path, frame, options=None):
    text = ["at", "town"]
    pd.testing.assert_frame_equal(Table(path, options).read(text), frame, check_column_type=False)
    joined = pd.concat(Table(path, options).batches(7, text=text))
    pd.testing.assert_frame_equal(joined, frame, check_column_type=False)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("decimal", [".", ","])
@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("quoted", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("n", [5, 40])
def test_separators_and_quotes_are_found(tmp_path, separator, decimal, quote, quoted, n):
    frame = _frame(n, n, " ")
    if quoted == csv.QUOTE_MINIMAL and separator == decimal == ",":
        quoted = csv.QUOTE_ALL
    said = {"quoting": quoted, "quotechar": quote, "decimal": decimal}
    text = frame.to_csv(index=False, sep="\x02", **said).replace("\x02", separator)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    _expect(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("separator", COMMON)
@pytest.mark.parametrize("quote", ["'", '"'])
@pytest.mark.parametrize("quoted", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("inside", ["", ", ", "; ", " | "])
def test_separators_within_quotes_part_no_cells(tmp_path, separator, quote, quoted, inside):
    frame = _frame(40, 1, inside)
    frame.to_csv(tmp_path / "t.csv", index=False, sep=separator, quoting=quoted, quotechar=quote)

    _expect(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("separator", COMMON)
def test_texts_in_single_quotes_below_a_bare_header_lose_them(tmp_path, separator):
    frame = _frame(40, 2, separator)
    text = frame.assign(town="'" + frame["town"] + "'").to_csv(
        index=False, sep=separator, quoting=csv.QUOTE_NONE, escapechar="\x02"
    )
    (tmp_path / "t.csv").write_text(text.replace("\x02", ""), encoding="utf-8")

    _expect(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("separator", COMMON)
def test_apostrophes_within_texts_are_no_quotes(tmp_path, separator):
    frame = _frame(40, 3, "'").replace({"town": {"Ulm": "l'Isle", "Aix": "'s-Hertogenbosch"}})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=separator)

    _expect(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("separator", COMMON)
@pytest.mark.parametrize("decimal", [".", ","])
def test_lines_that_are_quoted_as_a_whole_are_read(tmp_path, separator, decimal):
    frame = _frame(40, 4, " ")
    lines = frame.to_csv(index=False, sep=separator, decimal=decimal).splitlines()
    wrapped = ['"' + line.replace('"', '""') + '"' for line in lines]
    (tmp_path / "t.csv").write_text("\n".join(wrapped), encoding="utf-8")

    _expect(tmp_path / "t.csv", frame)


@pytest.mark.parametrize("separator", ["||", "::"])
def test_a_separator_of_two_characters_can_be_set(tmp_path, separator):
    frame = _frame(40, 5, " ")
    text = frame.to_csv(index=False, sep="\x02").replace("\x02", separator)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    _expect(tmp_path / "t.csv", frame, FileOptions(separator=separator))
    assert list(read_table(tmp_path / "t.csv")) == list(frame)
