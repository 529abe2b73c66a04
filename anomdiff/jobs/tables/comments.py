"""Comment lines among the rows of a text file.

A line that begins with a mark of comments is one where it has not the fields of a row: names and
paths begin with such marks too. Rows that were commented out are left out where other lines with
the mark are comments, and few rows have it.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from anomdiff.jobs.tables.cells import common_look, look
from anomdiff.jobs.tables.separators import split_lines

__all__ = ["MARKS", "Comments", "blank_comments", "find_comments", "without_comments"]

MARKS = ("#", "%", "//")
MAX_COMMENTED_OUT = 0.1  # share of the lines; marks of more are part of the cells
MIN_PLAIN_ROWS = 3
N_TOLD = 100  # rows by which a column is told


class Comments(NamedTuple):
    """What tells a comment from a row.

    `widths` are the numbers of fields that rows have, the most frequent first, `typed` the columns
    of numbers or dates, and `marks` those whose lines are left out whatever follows.
    """

    separator: str
    quote: str
    widths: tuple[int, ...]
    typed: tuple[int, ...]
    marks: tuple[str, ...] = ()

    def is_comment(self, line: str) -> bool:
        """Whether a line that may be a row is a comment."""
        if not line.startswith(MARKS):
            return False
        try:
            fields = split_lines([line], self.separator, self.quote)[0]
        except csv.Error:  # a field too long to split
            return False
        if line.startswith(self.marks):
            return look(fields[0]) != "missing"  # such as #DIV/0!
        return not self.fits(fields)

    def fits(self, fields: Sequence[str]) -> bool:
        """Whether fields of which the first begins with a mark are those of a row."""
        if not self.typed:
            return len(fields) == self.widths[0]
        if 0 in self.typed and look(fields[0]) != "missing":
            return False
        cells = [fields[i] for i in self.typed if 0 < i < len(fields) and fields[i]]
        typed = sum(look(cell) in ("number", "date") for cell in cells)
        return len(fields) in self.widths and bool(cells) and 2 * typed >= len(cells)


def find_comments(
    records: Sequence[Sequence[str]], above: Iterable[str], separator: str, quote: str
) -> Comments | None:
    """Find what tells comments from rows; None if there are no rows.

    Parameters
    ----------
    records : sequence of sequences of str
        Fields of the first records of a file.
    above : iterable of str
        Comment lines above them.
    separator, quote : str
        As they were found.
    """
    filled = [list(record) for record in records if any(record)]
    plain = [record for record in filled if not record[0].startswith(MARKS)]
    rows = plain[1:] if len(plain) > MIN_PLAIN_ROWS else filled
    if not rows:
        return None
    widths = [width for width, _ in Counter(map(len, rows)).most_common()]
    columns = [[row[i] for row in rows[:N_TOLD] if i < len(row)] for i in range(widths[0])]
    typed = [i for i, cells in enumerate(columns) if common_look(cells) in ("number", "date")]
    found = Comments(separator, quote, tuple(widths), tuple(typed))
    first = _first_full(filled, found)
    marked = [record for record in filled[first + 1 :] if record[0].startswith(MARKS)]
    fitting = Counter(_mark(record[0]) for record in marked if found.fits(record))
    others = {_mark(record[0]) for record in marked if not found.fits(record)}
    known = others | {_mark(line) for line in above}
    few = [mark for mark in known if fitting[mark] < MAX_COMMENTED_OUT * len(filled)]
    return found._replace(marks=tuple(sorted(few)))


def blank_comments(
    lines: Sequence[str], records: Sequence[Sequence[str]], ends: Sequence[int], found: Comments
) -> tuple[list[str], bool]:
    """Lines with blank ones in place of comments below the first full record, and whether any."""
    kept = list(lines)
    first = _first_full(records, found)
    for i in range(first + 1, len(records)):
        if ends[i] - ends[i - 1] == 1 and found.is_comment(lines[ends[i] - 1]):
            kept[ends[i] - 1] = "\n"
    return kept, kept != list(lines)


def without_comments(pieces: Iterable[str], found: Comments) -> Iterator[str]:
    """Yield pieces of whole lines, blank ones in place of comments; none are within quotes."""
    quoted = False
    for piece in pieces:
        if not _may_hold_comments(piece):
            quoted ^= found.quote in piece and bool(piece.count(found.quote) % 2)
            yield piece
            continue
        kept = []
        for line in re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", piece):
            if not quoted and found.is_comment(line):
                kept.append("\n")  # lines keep their numbers
                continue
            quoted ^= bool(line.count(found.quote) % 2)
            kept.append(line)
        yield "".join(kept)


def _first_full(records: Sequence[Sequence[str]], found: Comments) -> int:
    """Number of the first record with as many fields as rows have, which may be the header."""
    full = (i for i, record in enumerate(records) if len(record) >= found.widths[0] and any(record))
    return next(full, 0)


def _may_hold_comments(piece: str) -> bool:
    """Whether any line begins with a mark: most pieces hold no such character at all."""
    there = [mark for mark in MARKS if mark[0] in piece and mark in piece]
    ends = [end for end in "\n\r" if there and end in piece]
    return piece.startswith(MARKS) or any(end + mark in piece for mark in there for end in ends)


def _mark(line: str) -> str:
    return next((mark for mark in MARKS if line.startswith(mark)), "")
