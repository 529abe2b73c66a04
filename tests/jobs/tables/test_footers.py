import gzip
import io

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table


def _times(n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "at": pd.date_range("2025-01-03", periods=n, freq="h").astype(str),
            "size": rng.normal(10, 3, n).round(2),
            "n": rng.integers(0, 9, n),
            "kind": rng.choice(["x", "y, z", "sum"], n),
        }
    )


def _names(n, seed):
    frame = _times(n, seed)
    towns = np.random.default_rng(seed).choice(["Ulm", "St. Gallen", "Aix", "Total"], n)
    return frame.assign(at=towns).rename(columns={"at": "town"})


def _gaps(n, seed):
    holes = np.random.default_rng(seed).random((n, 4)) < 0.4
    return _times(n, seed).mask(holes)


def _notes(n, seed):
    notes = np.random.default_rng(seed).choice(
        ["Source: a", "Note: b.", "(3 rows)", "two\nlines"], n
    )
    return _times(n, seed).assign(at=notes)


def _ids(n, seed):
    return _times(n, seed).assign(at=np.arange(n))


def _failures(n, seed):
    frame = _times(n, seed).astype(object)
    frame.iloc[-3:, 1:3] = "ERR"
    return frame


TABLES = [_times, _names, _gaps, _notes, _ids, _failures]
DIALECTS = [
    {"sep": separator, "decimal": decimal, "quoting": quoting, "quotechar": quote}
    for separator, decimal in [
        (",", "."),
        (",", ","),
        (";", "."),
        (";", ","),
        ("\t", ","),
        ("|", "."),
        ("^", "."),
        ("~", "."),
        ("\x01", "."),
    ]
    for quoting, quote in [(0, '"'), (1, '"'), (1, "'"), (2, "'")]
]


def _expected(frame, **said):
    text = io.StringIO(frame.to_csv(index=False))
    return pd.read_csv(text, **said)


@pytest.mark.parametrize("make", TABLES)
@pytest.mark.parametrize("n", [4, 30, 700])
def test_a_clean_table_is_read_whole_in_any_dialect(tmp_path, make, n):
    frame = make(n, n)
    for dialect in DIALECTS:
        frame.to_csv(tmp_path / "t.csv", index=False, **dialect)

        read = read_table(tmp_path / "t.csv")

        assert len(read) == n, dialect
        pd.testing.assert_frame_equal(read, _expected(frame), check_dtype=False)


FOOTERS = [
    "\nSource: office of statistics\n",
    "\nSource: office, of; statistics\nhttp://example.org\n",
    "(200 rows affected)\n",
    "\n(200 rows affected)\n\nCompletion time: 2025-01-01T00:00:00\n",
    "200 rows selected.\n",
    "--- end ---\n",
    "\x1a",
    "\r\n\x1a\r\n",
    "Exported by{s}admin\n",
    "Generated on 2025-02-03{s}{s}{s}\n",
    "{s}{s}{s}\nSource: office{s}{s}{s}\n",
    "End of report\n\x1a",
]


@pytest.mark.parametrize("footer", FOOTERS)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|", "^"])
@pytest.mark.parametrize("n", [5, 40, 4000])
def test_lines_at_the_end_that_are_no_rows_are_left_out_and_told(tmp_path, footer, separator, n):
    frame = _times(n, 0)
    text = frame.to_csv(index=False, sep=separator) + footer.format(s=separator)
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    table = Table(tmp_path / "t.csv")

    pd.testing.assert_frame_equal(table.read(), frame, check_column_type=False)
    pd.testing.assert_frame_equal(pd.concat(table.batches(999)), frame, check_column_type=False)
    assert "at the end left out" in table.describe()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("n", [40, 4000])
def test_a_footer_is_found_wherever_the_file_is(tmp_path, encoding, packed, n):
    frame = _times(n, 1)
    content = (frame.to_csv(index=False) + "\n(Größe: 3 rows)\n").encode(encoding)
    path = tmp_path / ("t.csv.gz" if packed else "t.csv")
    path.write_bytes(gzip.compress(content) if packed else content)

    pd.testing.assert_frame_equal(read_table(path), frame, check_column_type=False)
    joined = pd.concat(Table(path).batches(1000))
    pd.testing.assert_frame_equal(joined, frame, check_column_type=False)


@pytest.mark.parametrize("word", ["Total", "TOTAL:", "Sum", "Grand Total", "Summe", "Gesamt"])
@pytest.mark.parametrize("make", [_times, _names])
@pytest.mark.parametrize("n", [40, 4000])
def test_a_line_of_totals_is_left_out(tmp_path, word, make, n):
    frame = make(n, 2)
    frame = frame.replace({"town": {"Total": "Basel"}})
    end = f"{word},{frame['size'].sum():.2f},{frame['n'].sum()},\n"
    (tmp_path / "t.csv").write_text(frame.to_csv(index=False) + end, encoding="utf-8")

    read = read_table(tmp_path / "t.csv")

    pd.testing.assert_frame_equal(read, frame, check_column_type=False)


@pytest.mark.parametrize(
    "last", ["Total,1.5,3,x", "2025-02-01 00:00:00,3.5", "2025-02", "ERR,ERR,ERR,x", ",,,"]
)
def test_a_last_row_that_is_only_short_or_odd_is_a_row(tmp_path, last):
    frame = _names(40, 3) if last.startswith("Total") else _times(40, 3)
    (tmp_path / "t.csv").write_text(f"{frame.to_csv(index=False)}{last}\n", encoding="utf-8")

    assert len(read_table(tmp_path / "t.csv")) == 41


@pytest.mark.parametrize("n", [30, 3000])
def test_records_of_several_lines_at_the_end_are_rows(tmp_path, n):
    frame = pd.DataFrame({"n": range(n), "text": "Source: a\n(3 rows)\n\nNote: end"})
    frame.to_csv(tmp_path / "t.csv", index=False)

    assert len(read_table(tmp_path / "t.csv")) == n


def test_a_single_column_keeps_its_last_text(tmp_path):
    (tmp_path / "t.csv").write_text("x\n" + "1\n2\n" * 9 + "ERR\n", encoding="utf-8")

    assert read_table(tmp_path / "t.csv")["x"].iloc[-1] == "ERR"
