"""What stands around the fields of a text file, or around its lines."""

import csv
import re
from collections.abc import Sequence

from anomdiff.jobs.tables.cells import common_look, look

__all__ = ["are_lines_quoted", "find_quote"]

SINGLE = re.compile(r"(?:^|[,;\t|^~:\x01\x1f])\s*'[^']*'\s*(?=[,;\t|^~:\x01\x1f]|$)")
MIN_SHARE_OF_LINES = 0.6
WHOLE_LINE = re.compile(r'"(?:[^"]|"")*"')  # no quote inside but doubled ones
DOUBLE = re.compile(r"(?:^|[,;\t|^~:\x01\x1f])\s*\"")


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
