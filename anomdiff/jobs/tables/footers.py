"""Lines at the end of a text file that are no rows: sources, counts of rows, totals.

A line is left out only where it differs from the rows in what they all share: it has not their
fields, or a text stands where they have numbers or dates. A short row or one of failures is a row.
"""

import csv
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables.cells import common_look, look
from anomdiff.jobs.tables.separators import split_lines

__all__ = ["MAX_FOOTER_BYTES", "Rows", "last_text", "rows_of", "split_footer"]

MAX_FOOTER_BYTES = 10_000
MAX_FOOTER_LINES = 30
MIN_BODY_ROWS = 3
END_OF_FILE = "\x1a"  # Ctrl-Z, of DOS
TOTAL = re.compile(
    r"(?:grand[ -]?|sub[ -]?|over)?(?:total|sum|gesamt|summe|somme|suma|average|avg|mean|"
    r"mittelwert|durchschnitt|moyenne|media|count)\w{0,10}\s*:?",
    re.IGNORECASE,
)
NOTE = re.compile(
    r"(?:source|quelle|fuente|note|notes|remark|generated|exported|created|printed|end of|eof|"
    r"copyright|\u00a9|\d+ (?:rows|records|lines)|\(\d+ )\b.*|\(\d+ .*",
    re.IGNORECASE | re.DOTALL,
)
COUNT = re.compile(r"\(?\d+ (?:rows?|records?|lines?)\b[^,;\t|]*\)?", re.IGNORECASE)
SENTENCE = re.compile(r"[^\W\d_]{3,}:(?:\s|$)|^\(|^[*=-]{2,}|^\u00a9|\w{3,}\.$")
WORDS = re.compile(r"[^\W\d_]{2,}")  # else it may be a date that was cut
TOTAL_TOLERANCE = 0.01  # a total is rounded, and may have been taken before the file was cut


class Rows(NamedTuple):
    """What the first rows of a file have in common.

    `whole` says whether the records are all there are, `looks` how the columns look, and `gapless`
    in which of them no cell is missing.
    """

    separator: str
    decimal: str
    quote: str
    records: list[list[str]]
    whole: bool
    width: int
    looks: tuple[str, ...]
    gapless: tuple[bool, ...]
    ragged: bool


def rows_of(
    records: Sequence[Sequence[str]], separator: str, decimal: str, quote: str, *, whole: bool
) -> Rows:
    """Describe the rows of a file, by the first half of those that were read."""
    filled = [list(record) for record in records if any(record)]
    first = filled[: max(MIN_BODY_ROWS, len(filled) // 2)]
    width = max(map(len, first), default=0)
    columns = [[row[i] for row in first if i < len(row)] for i in range(width)]
    return Rows(
        separator=separator,
        decimal=decimal,
        quote=quote,
        records=filled,
        whole=whole,
        width=width,
        looks=tuple(map(common_look, columns)),
        gapless=tuple(all(map(str.strip, column)) for column in columns),
        ragged=any(len(row) < width for row in first),
    )


def last_text(path: FilePath, encoding: str) -> str | None:
    """Last whole lines of a file that is not packed; None if they cannot be read alone."""
    if path.suffix.lower() in (".gz", ".zip") or encoding.startswith(("utf-16", "utf-32")):
        return None
    with path.open("rb") as handle:
        size = handle.seek(0, 2)
        handle.seek(max(size - MAX_FOOTER_BYTES, 0))
        text = handle.read().decode(encoding.removesuffix("-sig"), errors="replace")
    return "".join(text.splitlines(keepends=True)[1:])


def split_footer(text: str, rows: Rows) -> tuple[str, list[str]]:
    """Text without the lines at its end that are no rows, and these lines."""
    if END_OF_FILE in text[-3:]:
        body = text.rstrip("\r\n").rstrip(END_OF_FILE)
        kept, lines = split_footer(body, rows)
        return kept, [*lines, END_OF_FILE]
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)
    start = _footer_start(lines, rows)
    return "".join(lines[:start]), [line for line in map(str.strip, lines[start:]) if line]


def _footer_start(lines: Sequence[str], rows: Rows) -> int:
    if len(rows.records) <= MIN_BODY_ROWS:
        return len(lines)
    start = len(lines)
    for i in range(len(lines) - 1, max(len(lines) - MAX_FOOTER_LINES, 1) - 1, -1):
        fields = _fields(lines[i], rows)
        if fields is None or (any(fields) and not _is_footer(fields, rows)):
            break
        if not lines[i].endswith(("\n", "\r")) and _may_be_cut(fields, rows):
            break
        if any(fields):
            start = i
    while 0 < start < len(lines) and not any(_fields(lines[start - 1], rows) or ["?"]):
        start -= 1
    return start


def _fields(line: str, rows: Rows) -> list[str] | None:
    """Fields of a line; None if it is only part of a record."""
    if line.count(rows.quote) % 2:
        return None
    try:
        return next(iter(split_lines([line], rows.separator, rows.quote)), [""])
    except csv.Error:
        return None


def _is_footer(fields: Sequence[str], rows: Rows) -> bool:
    filled = [i for i, field in enumerate(fields) if field]
    first = filled[0]
    if rows.width < 2:
        return bool(COUNT.fullmatch(" ".join(fields))) and rows.looks[0] != "text"
    if first >= rows.width:
        return False
    if TOTAL.fullmatch(fields[first]) and _is_total(fields, first, rows):
        return True
    return _is_note(fields, filled, rows)


def _may_be_cut(fields: Sequence[str], rows: Rows) -> bool:
    """Whether a line without an end may be the first part of a row, cut in its last field."""
    if not 1 < len(fields) < rows.width or TOTAL.fullmatch(fields[0]):
        return False
    told = NOTE.fullmatch(fields[0]) or SENTENCE.search(fields[0])
    alike = (rows.looks[i] in ("text", look(field)) for i, field in enumerate(fields[:-1]))
    return not told and all(alike)


def _is_note(fields: Sequence[str], filled: Sequence[int], rows: Rows) -> bool:
    """Whether a line is text where the rows have fields."""
    first = fields[filled[0]]
    told = bool(NOTE.fullmatch(first) or SENTENCE.search(first))
    numeric = [i for i in filled if i < rows.width and rows.looks[i] in ("number", "date")]
    strange = [i for i in numeric if look(fields[i]) == "text"]
    if len(fields) == rows.width:
        gaps = any(rows.gapless[i] and not field for i, field in enumerate(fields))
        if len(filled) == 1 and gaps:
            return told and (bool(strange) or not _is_usual(filled[0], rows))
        return bool(NOTE.fullmatch(first)) and bool(strange) and strange == numeric
    if strange and strange == numeric:
        return told or (not rows.ragged and bool(WORDS.search(first)))
    return told and not numeric and len(filled) == 1 and not _is_usual(filled[0], rows)


def _is_usual(column: int, rows: Rows) -> bool:
    """Whether other cells of a column of texts read like notes too."""
    cells = [row[column] for row in rows.records[: len(rows.records) // 2] if column < len(row)]
    return any(NOTE.fullmatch(cell) or SENTENCE.search(cell) for cell in cells)


def _is_total(fields: Sequence[str], first: int, rows: Rows) -> bool:
    """Whether a line that begins with such a word sums up the rows.

    It does if the word stands where the rows have numbers or dates. Below texts it may be a name:
    then its numbers have to be the sums or the means of the columns, or, in a file of which only
    the ends are known, far beyond those of the rows.
    """
    if rows.looks[first] in ("number", "date"):
        return True
    others = [row for row in rows.records if not TOTAL.fullmatch("".join(row[first : first + 1]))]
    checks = []
    for i, field in enumerate(fields[: rows.width]):
        value = _number(field, rows.decimal)
        cells = [_number(row[i], rows.decimal) for row in others if i < len(row)]
        present = [cell for cell in cells if not math.isnan(cell)]
        if rows.looks[i] == "number" and not math.isnan(value) and present:
            checks.append(_sums_up(value, present, whole=rows.whole))
    return bool(checks) and 2 * sum(checks) >= len(checks)


def _sums_up(value: float, cells: Sequence[float], *, whole: bool) -> bool:
    if not whole:
        return abs(value) > 3 * max(map(abs, cells))
    total = math.fsum(cells)
    return any(
        math.isclose(value, sought, rel_tol=TOTAL_TOLERANCE)
        for sought in (total, total / len(cells))
    )


def _number(cell: str, decimal: str) -> float:
    """Number in a cell; NaN if there is none."""
    other = "." if decimal == "," else ","
    try:
        return float(cell.replace(other, "").replace(decimal, "."))
    except ValueError:
        return math.nan
