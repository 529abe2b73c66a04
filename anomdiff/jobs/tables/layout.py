"""Where the rows of a file begin, and what its columns are called.

Above the rows there may be comments, a title, a line `sep=;`, a header of one or two lines, or
nothing. What a line is, is judged by the rows below it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from anomdiff.jobs.tables.cells import common_look, is_fraction, is_whole, look
from anomdiff.jobs.tables.options import Name

__all__ = [
    "Layout",
    "are_row_names",
    "blank_names",
    "distinct_names",
    "find_layout",
    "header_names",
    "least_fields",
    "looks_like_header",
]

MAX_HEADER = 4  # lines
N_TOP = 60  # records among which a header is looked for
YEARS = range(1900, 2101)
MAX_SHORT = 0.1, 0.5  # share of lines cut short; the latter where empty cells end other lines
Records = Sequence[Sequence[str]]


class Layout(NamedTuple):
    """How many records stand above the rows, which of them name the columns, and how many fields.

    `header` has the numbers of the records that name the columns; `short` says that the header
    lacks a name for the first column, of the names of rows, as R writes it.
    """

    n_above: int
    header: tuple[int, ...]
    n_fields: int
    short: bool = False


def find_layout(records: Records, *, header: bool | None = None, titles: bool = True) -> Layout:
    """Find the header and the first row.

    Parameters
    ----------
    records : sequence of sequences of str
        Fields of the first records of a file, without comments.
    header : bool, optional
        Whether there is a header; judged by the rows if not given.
    titles : bool, default=True
        Whether lines above the header are looked for.
    """
    n_fields = _width(records)
    top = _first_full(records, n_fields) if titles else _first_filled(records)
    body = [row for row in records[top + 1 :] if any(row)]
    looks = looks_like_header(records[top], body) if records else True
    if not looks and header is not False and top and _lacks_one_name(records[top - 1], n_fields):
        return Layout(top, (top - 1,), n_fields, short=True)
    if not (looks if header is None else header):
        return Layout(top, (), n_fields)
    lines = [top]
    while len(lines) < MAX_HEADER and (further := _further(records, lines[-1])) is not None:
        lines.append(further)
    n_above = lines[-1] + 1
    while n_above < len(records) - 1 and not any(records[n_above]):  # pandas' names of index levels
        n_above += 1
    return Layout(n_above, tuple(lines), n_fields)


def looks_like_header(first: Sequence[str], rows: Records) -> bool:
    """Whether a line names the columns of the rows below it, and is no row itself.

    A text above numbers or dates is a name. A number above numbers, a date above dates and a text
    that occurs below again are cells, unless the numbers count up as names do (0, 1, 2 or years).
    """
    others = [row for row in rows if list(row) != list(first)]  # some files repeat their header
    names = cells = 0
    numbers, recurring = [], []
    for i, name in enumerate(first):
        column = [row[i] for row in others if i < len(row)]
        above, below = look(name), common_look(column)
        if above == "text" and below == "text":
            recurring.append(name in column)
        elif above == "text":
            names += below in ("number", "date")
        elif above == "date":
            names += below == "number"
            cells += below in ("date", "missing")
        elif above == "number":
            numbers.append(name)
            whole = [cell for cell in column if cell]
            cells += not (is_whole(name) and whole and all(map(is_fraction, whole)))
    if len(numbers) > 1 and _count_up(numbers, rows):
        cells -= len(numbers)
    if 2 * sum(recurring) >= len(recurring):
        cells += sum(recurring)
    return names >= cells


def are_row_names(cells: Sequence[str]) -> bool:
    """Whether cells may be names of rows as R writes them: all differ, and numbers count up.

    Examples
    --------
    >>> are_row_names(["1", "2", "3"]), are_row_names(["1", "4", "7"]), are_row_names(["b", "a"])
    (True, False, True)
    """
    if len(set(cells)) < len(cells):
        return False
    if all(map(is_whole, cells)):
        values = list(map(int, cells))
        return len(values) > 2 and values == list(range(values[0], values[0] + len(values)))
    return common_look(cells) == "text"


def header_names(records: Records, found: Layout) -> list[str]:
    """Names in the header; those of several lines are joined, and an upper one fills gaps."""
    if not found.header:
        return []
    upper = [*([""] if found.short else []), *records[found.header[0]]]
    for line in found.header[1:]:
        upper = _joined(upper, records[line])
    return upper


def _joined(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    width = max(len(upper), len(lower))
    above, below = ([*names, *[""] * (width - len(names))] for names in (upper, lower))
    for i in range(1, width):
        above[i] = above[i] or (above[i - 1] if below[i] else "")
    return [" ".join(filter(None, pair)) for pair in zip(above, below, strict=True)]


def least_fields(rows: Records, n_names: int) -> int:
    """Fewest fields of a line that is not cut short; 1 where many lines lack those at the end.

    Some programs write no empty cells at the end of a line. Where some line ends with one, or where
    nearly all lines have the same number of fields, a shorter line is an exception.

    Examples
    --------
    >>> least_fields([["1", "2"]] * 9 + [["3"]], 2), least_fields([["1", "2"], ["3"]] * 9, 2)
    (2, 1)
    """
    widths = Counter(min(len(row), n_names) for row in rows if any(row))
    usual = max(widths, key=lambda n: (widths[n], n), default=1)
    others = widths.total() - widths[usual]
    written = usual == n_names and any(len(row) >= n_names and not row[n_names - 1] for row in rows)
    return usual if others <= max(MAX_SHORT[written] * widths.total(), 1) else 1


def distinct_names(names: Sequence[Name]) -> tuple[list[Name], list[Name]]:
    """Names of which none occurs twice (`a`, `a.1`), and those that did.

    Examples
    --------
    >>> distinct_names(["a", "b", "a", "a.1"])
    (['a', 'b', 'a.2', 'a.1'], ['a'])
    """
    taken, found, repeated = set(names), [], []
    seen: set[Name] = set()
    for name in names:
        if name in seen:
            repeated.append(name)
            number = 1
            while f"{name}.{number}" in taken:
                number += 1
            name = f"{name}.{number}"
            taken.add(name)
        seen.add(name)
        found.append(name)
    return found, list(dict.fromkeys(repeated))


def blank_names(names: Sequence[str]) -> list[str]:
    """Names with `column_3` for the fourth column where it has none."""
    return [name or f"column_{i}" for i, name in enumerate(names)]


def _width(records: Records) -> int:
    """Number of fields of most records."""
    counts = Counter(len(record) for record in records if any(record))
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _first_filled(records: Records) -> int:
    return next((i for i, record in enumerate(records) if any(record)), 0)


def _first_full(records: Records, n_fields: int) -> int:
    """First record that is no title."""
    used = _n_used(records, n_fields)
    for i, record in enumerate(records[:N_TOP]):
        below = next((other for other in records[i + 1 :] if any(other)), [])
        if not _is_title(record, below, used):
            return i
    return _first_filled(records)


def _is_title(record: Sequence[str], below: Sequence[str], used: int) -> bool:
    """Whether a record above the header is none itself: few of its fields are filled.

    The upper of two lines of a header may have gaps, a header without a name for the first column
    may have a single name; a title begins on the left, or stands above a line of names.
    """
    filled = [i for i, field in enumerate(record) if field]
    if len(record) < used or not filled:
        return True
    above_names = bool(below) and all(look(field) == "text" for field in below[:used])
    texts = all(look(record[i]) == "text" for i in filled)
    if len(filled) >= used / 2:
        return above_names and used > 1 and (filled == [0] or not texts)
    if len(filled) > 1 and all(right - left > 1 for left, right in pairwise(filled)):
        return not texts
    return filled[0] == 0 or above_names


def _n_used(records: Records, n_fields: int) -> int:
    """Number of fields without those at the end that are blank everywhere."""
    used = max(
        (_n_filled(record) for record in records if len(record) == n_fields), default=n_fields
    )
    return used or n_fields


def _n_filled(record: Sequence[str]) -> int:
    return max((i + 1 for i, field in enumerate(record) if field), default=0)


def _lacks_one_name(record: Sequence[str], n_fields: int) -> bool:
    return len(record) == n_fields - 1 > 0 and all(look(field) == "text" for field in record)


def _further(records: Records, top: int) -> int | None:
    """Number of a further line of the header (units, or the lower of two levels of names)."""
    following = [i for i in range(top + 1, len(records)) if any(records[i])][:1]
    if not following:
        return None
    second, rows = records[following[0]], records[following[0] + 1 :]
    numeric = [
        i
        for i in range(len(second))
        if common_look([row[i] for row in rows if i < len(row)]) in ("number", "date")
    ]
    above = [second[i] for i in numeric]
    looks = [look(field) for field in above]
    texts = {field for field, found in zip(above, looks, strict=True) if found == "text"}
    is_marker = len(texts) == 1 and len(looks) == looks.count("text") and _is_marker(*texts)
    if len(numeric) < 2 or not texts or not set(looks) <= {"text", "missing"} or is_marker:
        return None
    if looks.count("text") < len(looks) / 2:
        return None
    recurs = any(row[i] == second[i] for row in rows for i in numeric if i < len(row) and row[i])
    return None if recurs else following[0]


def _is_marker(text: str) -> bool:
    """Whether a text in all columns is that of a failure (ERR), and no unit."""
    return bool(re.fullmatch(r"[A-Z#!/ ]{3,}", text))


def _count_up(numbers: Sequence[str], rows: Records) -> bool:
    """Whether numbers are whole and evenly spaced, as names are, and the rows' are not."""
    if not all(map(is_whole, numbers)):
        return False
    values = list(map(int, numbers))
    steps = {right - left for left, right in pairwise(values)}
    if len(steps) != 1 or steps <= {0}:
        return False
    years = all(value in YEARS for value in values)
    counted = values[0] in (0, 1) and steps == {1} and len(values) > 2
    again = any([field for field in row if is_whole(field)] == list(numbers) for row in rows)
    return (years or counted or len(values) > 3) and not again
