"""What stands around the fields of a text file, or around its lines."""

import csv
import re
from collections.abc import Sequence

from anomdiff.jobs.tables.cells import common_look, look

__all__ = ["are_lines_quoted", "find_quote"]

SINGLE = re.compile(r"(?:^|[,;\t|^~:\x01\x1f])\s*'[^']*'\s*(?=[,;\t|^~:\x01\x1f]|$)")
MIN_SHARE_OF_LINES = 0.6
DOUBLE = re.compile(r"(?:^|[,;\t|^~:\x01\x1f])\s*\"")


def find_quote(lines: Sequence[str]) -> str:
    """Character around fields: a single quote where the header and most rows have them."""
    filled = [line.strip() for line in lines if line.strip()]
    single = sum(bool(SINGLE.search(line)) for line in filled)
    named = any(SINGLE.search(line) for line in filled[:1])
    doubled = any(DOUBLE.search(line) for line in filled)
    return "'" if named and not doubled and single > MIN_SHARE_OF_LINES * len(filled) else '"'


def are_lines_quoted(lines: Sequence[str]) -> bool:
    """Whether each line is one quoted field that holds several columns.

    A column of quoted sentences with commas is none: within such lines the first is a header, and
    some columns below it are numbers or dates.
    """
    filled = [line.strip() for line in lines if line.strip()]
    if len(filled) < 2 or not all(len(line) > 1 and line[0] == line[-1] == '"' for line in filled):
        return False
    try:
        outer = list(csv.reader(filled))
    except csv.Error:
        return False
    return all(len(record) == 1 for record in outer) and any(
        _is_table([record[0] for record in outer], separator) for separator in ",;\t|"
    )


def _is_table(lines: Sequence[str], separator: str) -> bool:
    header, *rows = list(csv.reader(lines, delimiter=separator))
    if len(header) < 2 or any(len(row) != len(header) for row in rows):
        return False
    columns = list(zip(*rows, strict=True))
    typed = [i for i, cells in enumerate(columns) if common_look(cells) in ("number", "date")]
    return bool(typed) and all(look(name) == "text" for name in header)
