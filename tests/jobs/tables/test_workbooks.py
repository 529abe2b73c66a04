import datetime as dt
import gzip
import importlib.util
import zipfile
from xml.sax.saxutils import escape

import pandas as pd
import pytest

from anomdiff.jobs.readers import Table, read_table

OFFICE = "http://schemas.openxmlformats.org"
TYPES = f"""<Types xmlns="{OFFICE}/package/2006/content-types">
<Default Extension="rels"
 ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>
<Override PartName="/xl/styles.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>
<Override PartName="/xl/worksheets/sheet1.xml"
 ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>"""
MAIN = f"{OFFICE}/spreadsheetml/2006/main"
LINK = f"{OFFICE}/officeDocument/2006/relationships"
LINKS = f"""<Relationships xmlns="{OFFICE}/package/2006/relationships">
<Relationship Id="r1" Type="{LINK}/officeDocument" Target="xl/workbook.xml"/></Relationships>"""
BOOK_LINKS = f"""<Relationships xmlns="{OFFICE}/package/2006/relationships">
<Relationship Id="r1" Type="{LINK}/worksheet" Target="worksheets/sheet1.xml"/>
<Relationship Id="r2" Type="{LINK}/styles" Target="styles.xml"/></Relationships>"""
BOOK = f"""<workbook xmlns="{MAIN}" xmlns:r="{LINK}"><sheets>
<sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>"""
STYLES = f"""<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="22"/>
</cellXfs></styleSheet>"""  # format 22 is a date with its time
EPOCH = dt.datetime(1899, 12, 30)


def _cell(value):
    if value is None:
        return "<c/>"
    if isinstance(value, dt.datetime):
        return f'<c s="1"><v>{(value - EPOCH) / dt.timedelta(days=1)}</v></c>'
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value}</v></c>"


@pytest.fixture
def sheet(tmp_path):
    """A function that writes rows as the sheet of a workbook."""

    def write(*rows):
        cells = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in rows)
        files = {
            "[Content_Types].xml": TYPES,
            "_rels/.rels": LINKS,
            "xl/workbook.xml": BOOK,
            "xl/_rels/workbook.xml.rels": BOOK_LINKS,
            "xl/styles.xml": STYLES,
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData>'
            "</worksheet>",
        }
        with zipfile.ZipFile(tmp_path / "t.xlsx", "w") as book:
            for name, text in files.items():
                book.writestr(name, text)
        return tmp_path / "t.xlsx"

    return write


NOON = dt.datetime(2025, 1, 31, 12)
ROWS = [[NOON, 1, 1.5, "0042"], [NOON, 2, None, "a;b"], [NOON, 3, 2.5, "x"]]


@pytest.mark.parametrize("above", [[], [["Report", None, None, None]], [["Report"], []]])
@pytest.mark.parametrize("below", [[], [[None, None, None, None]] * 2])
def test_a_sheet_is_a_table_with_the_types_of_its_cells(sheet, above, below):
    path = sheet(*above, ["time", "n", "x", "code"], *ROWS, *below)

    read = read_table(path)
    joined = pd.concat(Table(path).batches(2))

    assert read["time"].tolist() == [NOON] * 3
    assert read["n"].tolist() == [1, 2, 3]
    assert read["n"].dtype == "int64"
    assert read["x"].fillna(-1).tolist() == [1.5, -1, 2.5]
    assert read["code"].tolist() == ["0042", "a;b", "x"]
    pd.testing.assert_frame_equal(joined, read)


def test_blank_and_repeated_names_of_a_sheet_are_made_distinct(sheet):
    with pytest.warns(UserWarning, match="more than once"):
        read = read_table(sheet([None, "a", "a"], [1, 2, 3], [2, 3, 4]))

    assert list(read) == ["column_0", "a", "a.1"]


def test_a_sheet_without_a_header_is_noticed(sheet):
    with pytest.warns(UserWarning, match="no header line"):
        read = read_table(sheet(*[[i * 7 % 5, i / 7] for i in range(1, 30)]))

    assert read.shape == (29, 2)


def test_a_packed_workbook_is_the_plain_one(sheet, tmp_path):
    path = sheet(["a", "b"], [1, 2])
    (tmp_path / "t.xlsx.gz").write_bytes(gzip.compress(path.read_bytes()))

    assert read_table(tmp_path / "t.xlsx.gz").to_dict("list") == {"a": [1], "b": [2]}


def test_an_empty_sheet_is_reported(sheet):
    with pytest.raises(ValueError, match="need at least one row"):
        read_table(sheet())
    with pytest.raises(ValueError, match="need at least one row"):
        read_table(sheet(["a", "b"]))


def test_a_reader_that_is_not_installed_is_asked_for(sheet, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ValueError, match=r"install it with `pip install anomdiff\[excel\]`"):
        read_table(sheet(["a"], [1]))
