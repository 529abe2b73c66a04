"""The separator and the decimal mark of a text file, found from its first lines.

Each separator that could be is tried, and judged by two things: in how many lines it gives the
same number of fields, and how many of these fields look like numbers, dates or plain text without
another separator in it. This is the idea of CleverCSV (van den Burg et al. 2019, "Wrangling messy
CSV files by detecting row and type patterns"), without its search over quotes and escapes, which
takes seconds on a file of 100 kB. Python's `csv.Sniffer` counts characters, so that it finds
letters, blanks of dates and decimal commas; neither of them looks for a decimal mark, which has to
be found together with the separator: in `20,1;50,2` both characters part each line alike.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from anomdiff.jobs.tables.cells import DECIMAL_COMMA, DECIMAL_POINT, common_look, look
from anomdiff.jobs.tables.lines import COLUMN_MARK, with_separator

__all__ = [
    "BLANK",
    "find_decimal",
    "find_separator",
    "line_ends",
    "perhaps_separator",
    "split_lines",
]

BLANK = " "  # stands for any run of blanks and tabs
SEPARATORS = (",", ";", "\t", "|", BLANK)
RARE = ("^", "~", "\x01", "::")  # \x01 is Hive's
DOUBLED = ("|", "^", "~")
UNUSUAL = ":!&#*\x02\x1e"  # never taken for separators, but named where they may be
MIN_UNUSUAL_LINES = 4
RARE_COUNTS = 0.9
MIN_SHARE_OF_LINES = 0.6
N_JUDGED = 100, 50  # records, and fields of each
PLAIN_TEXT = 0.5  # what such a field counts
SHORT_FIRST = 0.8  # the first line is the header, if there is no title
BLANK_COUNTS = 0.6  # blanks also stand within texts
GROUPS = re.compile(r"[-+]?[1-9]\d{0,2}(?:[.,]\d{3})+")
THREE_DECIMALS = re.compile(r"[-+]?\d+,\d{3}")


def split_lines(lines: Iterable[str], separator: str, quote: str = '"') -> list[list[str]]:
    """Fields of each record, stripped; quoted ones may hold separators and line ends.

    Examples
    --------
    >>> split_lines(['a; "b;c"', "1;2"], ";")
    [['a', 'b;c'], ['1', '2']]
    """
    return [record for record, _ in _numbered(lines, separator, quote)]


def line_ends(lines: Iterable[str], separator: str, quote: str = '"') -> list[int]:
    """Number of lines up to the end of each record: a quoted field may span several."""
    return [number for _, number in _numbered(lines, separator, quote)]


def _numbered(lines: Iterable[str], separator: str, quote: str) -> Iterator[tuple[list[str], int]]:
    if separator == BLANK:
        lines = (line.strip().replace("\t", " ") for line in lines)
    if len(separator) > 1:
        lines, separator = with_separator(lines, separator), COLUMN_MARK
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, quotechar=quote)
    for record in reader:
        yield [field.strip() for field in record], reader.line_num


def find_separator(lines: Sequence[str], quote: str = '"') -> str:
    """Separator of lines; one that does not occur if there is a single column."""
    there = [each for each in RARE if any(each in line for line in lines)]
    judged = {each: _judge(lines, each, quote) for each in (*SEPARATORS, *there)}
    best = max(judged, key=lambda each: judged[each])
    if best == "," and judged[BLANK] and _is_blank_with_commas(lines):
        return BLANK
    if best in DOUBLED and _is_doubled(lines, best):
        return 2 * best
    if judged[best] > 0 and not _is_decimal_column(lines, best):
        return best
    return next(each for each in ";\t|\x02\x03\x04" if not any(each in line for line in lines))


def perhaps_separator(lines: Sequence[str]) -> str:
    """Character that may part the cells of a single column: all lines have it, and alike.

    Examples
    --------
    >>> perhaps_separator(["a:b", "1:x", "2:y", "3:z"])
    ':'
    >>> perhaps_separator(["05:10", "05:20", "05:30", "05:40"])
    ''
    """
    filled = [line.strip() for line in lines if line.strip()]
    if len(filled) < MIN_UNUSUAL_LINES or common_look(filled[1:]) != "text":
        return ""
    alike = (each for each in UNUSUAL if len({line.count(each) for line in filled}) == 1)
    return next((each for each in alike if each in filled[0]), "")


def find_decimal(rows: Iterable[Sequence[str]], separator: str) -> str:
    """Decimal mark of the numbers in rows of fields.

    It is a comma where cells such as 2,6 say so and none says that it is a point. Three digits
    after the mark (1,234) may be thousands, unless all numbers of a column have them and commas
    part no cells.
    """
    columns = list(zip_longest(*rows, fillvalue=""))
    fields = [field for column in columns for field in column if not GROUPS.fullmatch(field)]
    points = any(DECIMAL_POINT.fullmatch(field) for field in fields)
    commas = any(DECIMAL_COMMA.fullmatch(field) for field in fields)
    if separator != ",":
        commas = commas or any(map(_has_three_decimals, columns))
    return "," if commas and not points else "."


def _has_three_decimals(column: Sequence[str]) -> bool:
    numbers = [field for field in column if look(field) == "number"]
    return len(numbers) > 1 and all(THREE_DECIMALS.fullmatch(field) for field in numbers)


def _judge(lines: Sequence[str], separator: str, quote: str) -> float:
    """How well a separator explains lines; 0 if it does not."""
    try:
        records = [record for record in split_lines(lines, separator, quote) if any(record)]
    except csv.Error:
        return 0.0
    counts = Counter(map(len, records))
    n_fields, n_records = max(counts.items(), key=lambda pair: (pair[1], pair[0]), default=(0, 0))
    share = n_records / max(len(records), 1)
    if n_fields < 2 or share < MIN_SHARE_OF_LINES:
        return 0.0
    one_name = len(records[0]) == 1 and not _has_row_names(records, lines, quote)
    if separator == BLANK and one_name:  # a column of sentences, or of dates with hours
        return 0.0
    regular = [record[: N_JUDGED[1]] for record in records if len(record) == n_fields]
    others = set(SEPARATORS) - {separator, BLANK}
    points = [_points(field, others) for record in regular[: N_JUDGED[0]] for field in record]
    if share < 1 and max(points) <= PLAIN_TEXT and one_name:  # a column of sentences
        return 0.0
    prior = BLANK_COUNTS if separator == BLANK else RARE_COUNTS if separator in RARE else 1.0
    prior *= 1.0 if len(records[0]) >= n_fields else SHORT_FIRST
    return prior * share**2 * (0.2 + sum(points) / len(points))


def _has_row_names(records: Sequence[Sequence[str]], lines: Sequence[str], quote: str) -> bool:
    """Whether one name stands above pairs of a row's name and a cell, as R writes them.

    The names of rows are quoted, or count up beside numbers: else they may be part of a sentence.
    """
    rows = records[1:]
    if len(rows) < 3 or any(len(row) != 2 for row in rows):
        return False
    counted = [row[0] for row in rows] == [str(i) for i in range(1, len(rows) + 1)]
    quoted = all(line.startswith(quote) for line in lines if line.strip())
    return quoted or (counted and all(look(row[1]) == "number" for row in rows))


def _points(field: str, others: set[str]) -> float:
    if look(field) != "text":
        return 1.0
    parts = field.split()
    numbers = len(parts) > 1 and all(look(part) == "number" for part in parts)
    return 0.0 if numbers or any(other in field for other in others) else PLAIN_TEXT


def _is_blank_with_commas(lines: Sequence[str]) -> bool:
    """Whether blanks part all lines alike, and all commas are decimal marks of their fields."""
    records = [record for record in split_lines(lines, BLANK) if any(record)]
    alike = len(records) > 1 and {len(record) for record in records} == {len(records[0])}
    if not alike or len(records[0]) < 2:
        return False
    commas = [field for record in records for field in record if "," in field]
    return all(map(DECIMAL_COMMA.fullmatch, commas)) and not any("," in f for f in records[0])


def _is_doubled(lines: Sequence[str], separator: str) -> bool:
    """Whether a separator comes in pairs only, in all lines."""
    filled = [line for line in lines if separator in line]
    return bool(filled) and all(separator not in line.replace(2 * separator, "") for line in filled)


def _is_decimal_column(lines: Sequence[str], separator: str) -> bool:
    """Whether the commas are decimal marks of a single column."""
    cells = [line.strip() for line in lines if line.strip()]
    numbers = [cell for cell in cells if DECIMAL_COMMA.fullmatch(cell)]
    whole = sum(cell.isdigit() for cell in cells)
    named = len(cells) > 1 and "," not in cells[0]
    return separator == "," and named and len(numbers) + whole >= len(cells) - 1
