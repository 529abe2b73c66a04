"""What stands around the fields of a text file, or around its lines."""

import csv
import re
from collections.abc import Sequence

from anomdiff.jobs.tables.cells import common_look, look

__all__ = ["are_lines_quoted", "are_quotes_escaped", "find_quote"]

SINGLE = re.compile(r"(?:^|[,;\t|^~:\x01\x1f])\s*'[^']*'\s*(?=[,;\t|^~:\x01\x1f]|$)")
MIN_SHARE_OF_LINES = 0.6
WHOLE_LINE = re.compile(r'"(?:[^"]|"")*"')  # no quote inside but doubled ones
DOUBLE = re.compile(r"(?:^|[,;\t|^~:\x01\x1f])\s*\"")
# A quote behind a backslash, where no field can end.
INNER = re.compile(r'\\"(?!"|\s*(?:[,;\t|^~:\x01\x1f]|$))')


def find_quote(lines: Sequence[str]) -> str:
    """Character around fields: a single quote where the header and most rows, or all rows, do."""
    filled = [line.strip() for line in lines if line.strip()]
    single = sum(bool(SINGLE.search(line)) for line in filled)
    named = any(SINGLE.search(line) for line in filled[:1]) or 1 < single == len(filled) - 1
    doubled = any(DOUBLE.search(line) for line in filled)
    return "'" if named and not doubled and single > MIN_SHARE_OF_LINES * len(filled) else '"'


def are_lines_quoted(lines: Sequence[str]) -> bool:
    """Whether each line is one quoted field that holds several columns.

    A column of quoted sentences with commas is none: within such lines the first is a header, and
    some columns below it are numbers or dates.
    """
    filled = [line.strip() for line in lines if line.strip()]
    if len(filled) < 2 or not all(map(WHOLE_LINE.fullmatch, filled)):
        return False
    inner = [line[1:-1].replace('""', '"') for line in filled]
    return any(_is_table(inner, separator) for separator in ",;\t|")


def are_quotes_escaped(lines: Sequence[str]) -> bool:
    r"""Whether quotes within quoted fields have a backslash before them, and are not doubled.

    A backslash at the end of a field, as of a folder, escapes nothing.

    Examples
    --------
    >>> are_quotes_escaped([r'1,"say \"hi\""']), are_quotes_escaped([r'1,"C:\tmp\"'])
    (True, False)
    """
    there = [line for line in lines if '\\"' in line and DOUBLE.search(line)]
    return any(INNER.search(line) or _is_closed_without_escapes(line) for line in there)


def _is_closed_without_escapes(line: str) -> bool:
    escapes = line.count('\\"')
    return line.count('"') % 2 == 1 and (line.count('"') - escapes) % 2 == 0


def _is_table(lines: Sequence[str], separator: str) -> bool:
    try:
        header, *rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error:
        return False
    if len(header) < 2 or any(len(row) != len(header) for row in rows):
        return False
    columns = list(zip(*rows, strict=True))
    typed = [i for i, cells in enumerate(columns) if common_look(cells) in ("number", "date")]
    return bool(typed) and all(look(name) == "text" for name in header)
