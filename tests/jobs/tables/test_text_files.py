import itertools
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table
from anomdiff.jobs.tables import samples
from anomdiff.jobs.tables.files import open_bytes

SEPARATORS = [",", ";", "\t", "|"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"]


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "Zeit": pd.date_range("2025-01-01", periods=60, freq="h").astype(str),
            "Größe (m, netto)": rng.normal(1, 9, 60).round(2),
            "code": rng.integers(0, 9, 60),
            "Ort": rng.choice(["Köln", "Ulm", "St. Gallen, CH"], 60),
        }
    )


def _read(path, content, **said):
    path.write_bytes(content)
    return read_table(path, **said)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("decimal", [".", ","])
def test_the_dialect_of_a_file_does_not_matter(tmp_path, frame, separator, decimal, encoding):
    text = frame.to_csv(index=False, sep=separator, decimal=decimal)

    read = _read(tmp_path / "t.csv", text.encode(encoding))

    pd.testing.assert_frame_equal(read, frame, check_column_type=False)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "above",
    [
        "",
        "sep=;\n",
        "# exported\n#\n",
        "Report;;;\n",
        "Report of May\n\n",
        "Report\nstation;7\nfrom;2025-01-01\n\n",
        "# exported\nReport;;;\n",
    ],
)
@pytest.mark.parametrize("ends", [("", ""), (";", ";"), (";;", ";;"), ("", ";"), ("", ";;")])
def test_what_surrounds_the_table_does_not_matter(tmp_path, frame, above, ends, line_end):
    header, *rows = frame.to_csv(index=False, sep=";", decimal=",").splitlines()
    lines = [header + ends[0], *(row + ends[1] for row in rows)]
    text = (above + "\n".join(lines) + "\n").replace("\n", line_end)

    read = _read(tmp_path / "t.csv", text.encode())

    pd.testing.assert_frame_equal(read, frame, check_column_type=False)


@pytest.mark.parametrize("batch_size", [1, 7, 60, 1000])
@pytest.mark.parametrize("decimal", [".", ","])
def test_batches_are_the_whole_file_in_any_dialect(tmp_path, frame, decimal, batch_size):
    text = "Report\n" + frame.to_csv(index=False, sep=";", decimal=decimal)
    (tmp_path / "t.csv").write_text(text, encoding="latin-1")

    joined = pd.concat(Table(tmp_path / "t.csv").batches(batch_size, text=["Zeit", "Ort"]))

    pd.testing.assert_frame_equal(joined, frame, check_column_type=False)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.data", "T.CSV"])
@pytest.mark.parametrize("packed", ["", ".gz", ".zip"])
def test_a_packed_file_is_the_plain_one(tmp_path, frame, name, packed):
    path = tmp_path / (name + packed)
    frame.to_csv(path, index=False, compression={"": None, ".gz": "gzip", ".zip": "zip"}[packed])

    pd.testing.assert_frame_equal(read_table(path), frame, check_column_type=False)


@pytest.mark.parametrize("decimal", [".", ","])
def test_columns_that_blanks_part_are_read(tmp_path, frame, decimal):
    numbers = frame[["code", "Größe (m, netto)"]].set_axis(["code", "size"], axis=1)
    text = numbers.to_string(index=False, decimal=decimal)

    read = _read(tmp_path / "t.txt", text.encode())

    pd.testing.assert_frame_equal(read, numbers, check_column_type=False)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (",a,b", ["column_0", "a", "b"]),
        ("a,,b", ["a", "column_1", "b"]),
        ('"",a,""', ["column_0", "a", "column_2"]),
        ("a,b,a", ["a", "b", "a.1"]),
        ("a,a,a.1", ["a", "a.2", "a.1"]),
        ("column_1,,x", ["column_1", "column_1.1", "x"]),
        ('"net, USD",b,c', ["net, USD", "b", "c"]),
        ('"net\nUSD",b,c', ["net USD", "b", "c"]),
        ("0,1,2", ["0", "1", "2"]),
        ("2019,2020,2021", ["2019", "2020", "2021"]),
        ("2025-01-31,2025-02-28,2025-03-31", ["2025-01-31", "2025-02-28", "2025-03-31"]),
        ("#,a,b", ["#", "a", "b"]),
        ("# t,a,b", ["t", "a", "b"]),
        ("% t,a,b", ["t", "a", "b"]),
        ("//t,a,b", ["t", "a", "b"]),
        ("%t,%a,b", ["%t", "%a", "b"]),
        ("a,b,c\n,V,°C", ["a", "b V", "c °C"]),
        ("[s],[V],[°C]", ["[s]", "[V]", "[°C]"]),
        ("x,x,y\nlow,high,low", ["x low", "x high", "y low"]),
        ("x,,y\nlow,high,low", ["x low", "x high", "y low"]),
        ("Report,,\nCreated:,2025-01-01,\n,,\na,b,c", ["a", "b", "c"]),
        ("TOA5,CR1000,7\na,b,c\nRN,V,%\n,Avg,Max", ["a RN", "b V Avg", "c % Max"]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*more than once")
def test_names_of_columns_are_found_and_made_distinct(tmp_path, header, names):
    rng = np.random.default_rng(0)
    rows = "\n".join(f"{i * 3},{value:.3f},{i % 7}" for i, value in enumerate(rng.random(30)))

    read = _read(tmp_path / "t.csv", f"{header}\n{rows}\n".encode())

    assert read.columns.tolist() == names
    assert len(read) == 30


@pytest.mark.parametrize(
    "texts", [["hello, world", "plain", "so, so, so"], ["one two", "three", "four five six"]]
)
def test_sentences_are_a_single_column(tmp_path, texts):
    read = _read(tmp_path / "t.csv", ("text\n" + "\n".join(texts * 20)).encode())

    assert read["text"].tolist() == texts * 20


def test_repeated_names_are_told(tmp_path):
    with pytest.warns(UserWarning, match=r"t.csv has the columns \['a'\] more than once"):
        _read(tmp_path / "t.csv", b"a,b,a\n1,2,3\n")


def _fractions(rng):
    return rng.random((40, 5)).round(4)


def _flags(rng):
    return rng.integers(0, 2, (40, 5)).astype(float)


def _whole(rng):
    return rng.integers(0, 150, (40, 8))


def _two_columns(rng):
    return rng.integers(0, 10, (40, 2))


def _measured_and_named(rng):
    kinds = rng.choice(["Iris-setosa", "Iris-virginica"], (40, 1))
    return np.hstack([rng.random((40, 4)).round(1).astype(str), kinds])


def _letters(rng):
    return rng.choice(list("abc"), (40, 6))


def _timed(rng):
    times = pd.date_range("2025-01-01", periods=40, freq="h").astype(str).to_numpy()
    return np.hstack([times[:, None], rng.random((40, 2)).round(3).astype(str)])


def _gaps_first(rng):
    rows = rng.random((40, 4)).round(3).astype(str)
    rows[0, 1:3] = "NaN"
    return rows


BARE = [_fractions, _flags, _whole, _two_columns, _measured_and_named, _letters, _timed]
BARE.append(_gaps_first)


@pytest.mark.parametrize("make", BARE)
@pytest.mark.parametrize("separator", [",", " ", ";"])
def test_a_file_without_a_header_is_noticed_and_told(tmp_path, make, separator):
    rows = make(np.random.default_rng(1))
    if separator == " " and make is _timed:
        rows[:, 0] = [str(time).replace(" ", "T") for time in rows[:, 0]]
    text = "\n".join(separator.join(map(str, row)) for row in rows)

    with pytest.warns(UserWarning, match="t.data has no header line: .* Set `header`"):
        read = _read(tmp_path / "t.data", text.encode())

    assert read.shape == rows.shape
    assert read.columns.tolist() == list(range(rows.shape[1]))
    assert str(read.iloc[0, 0]) == str(rows[0, 0])


@pytest.mark.parametrize("make", BARE)
def test_the_same_rows_with_a_header_have_its_names(tmp_path, make):
    rows = pd.DataFrame(make(np.random.default_rng(1))).add_prefix("v")

    read = _read(tmp_path / "t.csv", rows.to_csv(index=False).encode())

    assert read.columns.tolist() == rows.columns.tolist()
    assert len(read) == len(rows)


@pytest.mark.filterwarnings("error")
def test_what_is_said_is_not_looked_for(tmp_path):
    content = b"skipped;line\n1,5:2\n3,5:4\n"
    said = {"separator": ":", "decimal": ",", "skip_lines": 1, "header": False}

    read = _read(tmp_path / "t.csv", content, encoding="ascii", **said)

    assert read.to_dict("list") == {0: [1.5, 3.5], 1: [2, 4]}


def test_a_wrong_encoding_is_reported_with_what_to_set(tmp_path):
    content = "a,b\nKöln,1\n".encode("latin-1")

    with pytest.raises(ValueError, match="is not utf-8 text: .*; set `encoding`"):
        _read(tmp_path / "t.csv", content, encoding="utf-8")
    with pytest.raises(ValueError, match="need a known `encoding`, such as cp1252; got 'klingon'"):
        _read(tmp_path / "t.csv", content, encoding="klingon")


def test_letters_beyond_the_first_lines_do_not_stop_reading(tmp_path):
    content = b"a,b\n" + b"1,Ulm\n" * 40_000 + "2,Köln\n".encode("latin-1")

    read = _read(tmp_path / "t.csv", content)

    assert read["b"].unique().tolist() == ["Ulm", "Köln"]


@pytest.mark.parametrize("language", ["cp1251", "shift_jis", "gb18030"])
def test_other_alphabets_are_told_apart_where_there_is_enough_text(tmp_path, language):
    texts = {
        "cp1251": ["Москва большой город", "Казань красивый город", "Самара тихий город"],
        "shift_jis": ["東京は大きな都市です", "大阪はにぎやかです", "京都は古いまちです"],
        "gb18030": ["北京是一个大城市", "上海是一个港口城市", "西安是一座古老的城市"],
    }[language]
    frame = pd.DataFrame({"text": texts * 20, "n": range(60)})

    read = _read(tmp_path / "t.csv", frame.to_csv(index=False).encode(language))

    assert read["text"].tolist() == frame["text"].tolist()


def test_comments_and_repeated_headers_among_the_rows_are_left_out(tmp_path, frame):
    text = frame.to_csv(index=False)
    part = "# day 1\n" + text + "# day 2\n" + text

    read = _read(tmp_path / "t.csv", part.encode())

    twice = pd.concat([frame, frame], ignore_index=True)
    pd.testing.assert_frame_equal(read, twice, check_column_type=False)


def test_blank_rows_at_the_end_of_a_spreadsheet_are_no_rows(tmp_path):
    content = b"a;b;;\n" + b"1;2;;\n" * 9 + b";;;\n" * 5

    read = _read(tmp_path / "t.csv", content)
    joined = pd.concat(Table(tmp_path / "t.csv").batches(4))

    assert read.to_dict("list") == joined.to_dict("list") == {"a": [1] * 9, "b": [2] * 9}


def test_a_row_without_any_value_is_a_row(tmp_path):
    read = _read(tmp_path / "t.csv", b"a,b\n1,2\n,\n3,4\n,\n")

    assert len(read) == 4


def test_values_beyond_the_names_are_refused_wherever_they_are(tmp_path):
    content = b"a,b,\n" + b"1,2,\n" * 30_000 + b"1,2,3\n"

    with pytest.raises(ValueError, match="need 2 fields in line 30002 of t.csv; got 3"):
        _read(tmp_path / "t.csv", content)


SPELLINGS = ["inf", "-inf", "Infinity", "-Infinity", "+INF", "INFINITY"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("beside", ["3", "ERR"])
def test_infinite_numbers_count_as_missing_and_are_told(tmp_path, spelling, beside):
    cells = ["1.5"] * 60 + [spelling, spelling, beside]
    content = ("x,y\n" + "\n".join(f"{cell},1" for cell in cells)).encode()

    with pytest.warns(UserWarning, match="infinite numbers count as missing: 2 in column 'x'"):
        read = _read(tmp_path / "t.csv", content)
    with pytest.warns(UserWarning, match="infinite numbers count as missing: 2 in column 'x'"):
        batches = list(Table(tmp_path / "t.csv").batches(62))

    assert read["x"].isna().sum() == 2
    assert sum(batch["x"].isna().sum() for batch in batches) == 2


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_decimal_commas_beside_a_text_are_points(tmp_path, batch_size):
    cells = [f"{i},{i % 10}" for i in range(40)] + ["ERR", "1.234,5"]
    content = ("x;y\n" + "\n".join(f"{cell};{i},5" for i, cell in enumerate(cells))).encode()

    read = _read(tmp_path / "t.csv", content)
    joined = pd.concat(Table(tmp_path / "t.csv").batches(batch_size))

    expected = [*(cell.replace(",", ".") for cell in cells[:-2]), "ERR", "1234.5"]
    assert read["x"].tolist() == expected
    assert list(map(str, joined["x"])) == expected


def test_commas_in_texts_and_thousands_are_no_decimal_marks(tmp_path):
    read = _read(tmp_path / "t.csv", b"x;y\n" + b"1,234;1.5\n999;2.5\nalso, this;3.5\n" * 5)

    assert read["x"].tolist() == ["1,234", "999", "also, this"] * 5
    assert read["y"].tolist() == [1.5, 2.5, 3.5] * 5


@pytest.mark.parametrize(("separator", "cell"), [(",", "1,234"), (";", 1.234)])
def test_three_digits_after_each_comma_are_decimals_where_commas_part_no_cells(
    tmp_path, separator, cell
):
    text = "\n".join(["x,y", *['"1,234",7'] * 9]).replace('",', f'"{separator}')

    read = _read(tmp_path / "t.csv", text.replace("x,", f"x{separator}").encode())

    assert read["x"].tolist() == [cell] * 9


@pytest.mark.parametrize(
    ("separator", "decimal"), [(s, d) for s, d in itertools.product(";|\t", ".,")]
)
def test_the_way_a_file_is_written_is_told_in_a_line(tmp_path, frame, separator, decimal):
    text = "Report\n" + frame.to_csv(index=False, sep=separator, decimal=decimal)
    (tmp_path / "t.csv").write_text(text, encoding="utf-16")

    said = Table(tmp_path / "t.csv").describe()

    assert said.startswith("t.csv: separator ")
    assert ("decimal ','" in said) == (decimal == ",")
    assert "encoding utf-16" in said
    assert "above the header" in said


def test_nothing_is_told_of_a_plain_file(tmp_path, frame):
    frame.to_csv(tmp_path / "t.csv", index=False)

    assert Table(tmp_path / "t.csv").describe() == ""


def test_looking_at_a_file_reads_its_beginning_only(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 500_000, encoding="utf-8")
    read = []

    @contextmanager
    def counted(path):
        with open_bytes(path) as handle:
            yield handle
            read.append(handle.tell())

    monkeypatch.setattr(samples, "open_bytes", counted)

    assert Table(tmp_path / "t.csv").names == ["a", "b"]
    assert read == [samples.SAMPLE_BYTES]
