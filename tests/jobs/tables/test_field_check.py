"""Laws of lines that have not the fields of a row: told, counted, and no harm to the others."""

import gzip
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table

HEADER = ["code", "text", "x", "y"]


def _lines(n_rows, seed=0, separator=",", quoted=True):
    """Lines of a table, some of whose texts hold separators, quotes and line ends."""
    rng = np.random.default_rng(seed)
    texts = ["plain", f'"a{separator} b"', '"say ""hi"""', '"two\nlines"', '""', ""]
    chosen = rng.choice(texts if quoted else ["plain", "other", ""], n_rows)
    rows = [[f"c{i}", text, f"{i}.5", str(i % 7)] for i, text in enumerate(chosen)]
    return [separator.join(row) for row in [HEADER, *rows]]


def _break(line, separator, kind):
    first = line.split("\n")[0]
    if kind == "short":
        return separator.join(["cut", "off"])
    if kind == "open":
        return separator.join(["cut", '"never closed', "1", "2"])
    return separator.join(["cut", "too", "many", "fields", first.split(separator)[0]])


def _broken_file(n_rows, places, separator=",", quoted=True, kinds=("short", "long", "open")):
    """Lines with some that are broken, the numbers of these, and the whole file."""
    header, *rows = _lines(n_rows, separator=separator, quoted=quoted)
    lines = [header]
    for i, row in enumerate(rows):
        lines.append(_break(row, separator, kinds[i % len(kinds)]) if i in places else row)
    return lines, [header, *rows]


def _read(path, batch_size):
    taken = []
    frames = Table(path).batches(batch_size, text=HEADER[:2], take=taken.append)
    return pd.concat(frames), taken


@pytest.mark.parametrize("batch_size", [7, 10_000])
@pytest.mark.parametrize("separator", [",", ";", "::"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoted", [True, False])
def test_the_other_lines_are_read_as_in_a_whole_file_and_keep_their_numbers(
    tmp_path, batch_size, separator, line_end, quoted
):
    places = {20, 21, 40, 77, 78, 79, 118}
    kinds = ("short", "long", "open") if quoted else ("short", "long")
    lines, whole = _broken_file(120, places, separator, quoted, kinds)
    path, clean = tmp_path / "t.csv.gz", tmp_path / "clean.csv"
    for each, content in ((path, lines), (clean, whole)):
        text = "".join(line.replace("\n", line_end) + line_end for line in content).encode()
        each.write_bytes(gzip.compress(text) if each == path else text)

    frame, taken = _read(path, batch_size)

    wanted, _ = _read(clean, batch_size)
    assert [line.row for line in taken] == sorted(places)
    assert [line.text for line in taken] == [lines[place + 1] for place in sorted(places)]
    pd.testing.assert_frame_equal(frame, wanted.drop(index=sorted(places)))


@pytest.mark.parametrize("seed", range(8))
def test_rows_and_broken_lines_add_up_for_any_mixture(tmp_path, seed, monkeypatch):
    monkeypatch.setattr("anomdiff.jobs.tables.lines.CHUNK", 300)
    rng = np.random.default_rng(seed)
    places = set(rng.choice(np.arange(15, 400), 30, replace=False).tolist())
    kinds = tuple(rng.permutation(["short", "long", "open"]).tolist())
    lines, whole = _broken_file(400, places, kinds=kinds)
    for name, content in (("t.csv", lines), ("clean.csv", whole)):
        (tmp_path / name).write_text("\n".join(content) + "\n", encoding="utf-8")

    frame, taken = _read(tmp_path / "t.csv", 50)

    wanted, _ = _read(tmp_path / "clean.csv", 50)
    assert len(frame) + len(taken) == 400
    assert {line.row for line in taken} == places
    pd.testing.assert_frame_equal(frame, wanted.drop(index=sorted(places)))


def test_the_rows_of_several_files_are_numbered_together(tmp_path):
    for name in ("a", "b", "c"):
        lines, _ = _broken_file(100, {50, 99})
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    frame, taken = _read(tmp_path, 30)

    rows = [50, 99, 150, 199, 250, 299]
    assert [line.row for line in taken] == rows
    assert frame.index.tolist() == [row for row in range(300) if row not in rows]
    assert frame["code"].tolist() == [f"c{row % 100}" for row in frame.index]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1,2,3,4,5", "need 4 fields in line 63 of t.csv; got 5"),
        ("1,2", "need 4 fields in line 63 of t.csv; got 2"),
        ('1,"2,3,4', "need each quote closed in its row; line 63 of t.csv has one that is not"),
    ],
)
@pytest.mark.parametrize("repeated", [False, True])
def test_the_reason_names_the_line_of_the_file_whatever_is_left_out(
    tmp_path, line, reason, repeated
):
    header, *rows = _lines(60, quoted=False)
    rows[30] = header if repeated else "# a comment"
    lines = ["# exported", header, *rows, line, rows[3]]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    _, taken = _read(tmp_path / "t.csv", 7)

    assert taken == [(59, line, reason)]


@pytest.mark.parametrize("first", ["c99", "TX 99"])
@pytest.mark.parametrize("n_fields", [2, 3])
def test_the_last_line_of_a_file_that_is_still_being_written_is_broken(tmp_path, first, n_fields):
    rows = [f"{first}{i},2026-01-05 00:{i:02d}:00,{i}.25,{i}" for i in range(60)]
    last = ",".join(rows[-1].split(",")[:n_fields])[:-1]
    text = "code,time,x,y\n" + "\n".join([*rows, last])
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    frame, taken = _read_all(tmp_path / "t.csv")

    assert len(frame) == 60
    assert taken == [
        (60, last, f"need 4 fields in line 62 of t.csv; got {n_fields}: the file ends within it")
    ]


def _read_all(path):
    taken = []
    return pd.concat(Table(path).batches(1000, take=taken.append)), taken


@pytest.mark.parametrize("read", [read_table, lambda path: list(Table(path).batches(7))])
def test_without_a_place_for_them_lines_cut_short_are_counted_in_a_warning(tmp_path, read):
    lines, _ = _broken_file(100, {50, 60, 99}, kinds=("short",))
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    first = next(i for i, line in enumerate("\n".join(lines).split("\n")) if line == "cut,off") + 1
    told = f"3 lines are no whole rows.*need 4 fields in line {first} of t.csv; got 2.*`quarantine`"

    with pytest.warns(UserWarning, match=told):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize("read", [read_table, lambda path: list(Table(path).batches(7))])
def test_without_a_place_for_them_lines_with_too_many_fields_are_refused(tmp_path, read):
    lines, _ = _broken_file(60, {50}, quoted=False, kinds=("long",))
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    with pytest.raises(ValueError, match="need 4 fields in line 52 of t.csv; got 5; .*quarantine"):
        read(tmp_path / "t.csv")


@pytest.mark.parametrize(
    "ends",
    [lambda i: 2, lambda i: (4, 4, 4, 2, 3)[i % 5], lambda i: 4 if i % 5 else 3],
    ids=["all lack two", "as many as are empty", "a fifth lacks one"],
)
def test_a_file_that_lacks_empty_fields_at_the_end_of_lines_is_read_as_it_is(tmp_path, ends):
    rows = [["c", "1.5", "2", "3"][: ends(i)] for i in range(100)]
    text = "\n".join(",".join(row) for row in [HEADER, *rows])
    (tmp_path / "t.csv").write_text(text + "\n", encoding="utf-8")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = read_table(tmp_path / "t.csv")
        frame, taken = _read_all(tmp_path / "t.csv")

    assert taken == []
    pd.testing.assert_frame_equal(frame, whole)
    assert whole.notna().sum(axis=1).tolist() == [len(row) for row in rows]


@pytest.mark.parametrize(
    "cell", ['5" pipe', '"5"" pipe"', ' "a, b"', '"a" ', '"a"b', '"a\nb"', '""', "it's"]
)
@pytest.mark.parametrize("read", [read_table, lambda path: pd.concat(Table(path).batches(7))])
def test_quotes_within_a_line_break_nothing(tmp_path, cell, read):
    text = "x,text,y\n" + "".join(f"{i},{cell},2.5\n" for i in range(50))
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    expected = pd.read_csv(tmp_path / "t.csv", skipinitialspace=True)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(tmp_path / "t.csv")

    pd.testing.assert_frame_equal(found, expected, check_column_type=False)


@pytest.mark.parametrize(
    "text",
    [
        "x\n1\n\n2\n  \n3\n",
        "x,y\n1,2\n\n3,4\n \t\n5,6\n\n",
        "x  y\n1  2\n\n 3 4 \n5\t6\n",
        "x,y,,\n1,2,,\n3,4,,\n5,6,\n7,8\n",
        "x|y\n1|2\n\n3|4",
    ],
)
def test_blank_lines_and_separators_at_the_end_are_no_broken_lines(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    frame, taken = _read_all(tmp_path / "t.csv")

    assert taken == []
    pd.testing.assert_frame_equal(frame, read_table(tmp_path / "t.csv"))


def test_a_quote_that_is_never_closed_costs_its_own_line_and_bounded_memory(tmp_path):
    good = "".join(f"{i},plain text of a row,2.5\n" for i in range(150_000))
    (tmp_path / "t.csv").write_text(f'x,text,y\n{good}7,"never closed,2.5\n{good}', "utf-8")
    taken, n_rows = [], 0

    tracemalloc.start()
    for frame in Table(tmp_path / "t.csv").batches(10_000, take=taken.append):
        n_rows += len(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert n_rows == 300_000
    assert [line.row for line in taken] == [150_000]
    assert peak < 40e6


def test_a_file_of_broken_lines_alone_after_its_beginning_is_taken_line_by_line(tmp_path):
    text = "x,y\n" + "1,2\n" * 1000 + "1,2,3\n" * 5000
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")

    frame, taken = _read_all(tmp_path / "t.csv")

    assert (len(frame), len(taken)) == (1000, 5000)
    assert [line.row for line in taken] == list(range(1000, 6000))
