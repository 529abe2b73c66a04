"""Whether the lines of a text file have the fields of a row.

A line with too many fields, as an unquoted separator leaves it, is no row. Nor is one with too few,
such as the last line of a file that is still being written, unless the file lacks empty fields at
the end of many lines: then short lines are how it is written. A quote that is not closed in its
row would take in the lines below it.

Blocks of lines that are all as they should be are counted by numpy; others are split line by line.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables.broken_lines import BrokenLines
from anomdiff.jobs.tables.lines import COLUMN_MARK
from anomdiff.jobs.tables.separators import BLANK
from anomdiff.jobs.tables.text_format import TextFormat

__all__ = ["FieldCheck", "TooManyFieldsError"]

MAX_RECORD = 1_000_000  # characters in which a quote has to be closed
LINE_FEED, RETURN = b"\n\r"
BLANK_LINE = re.compile(r"(?:^|\n)[ \t]*\r?\n")


class TooManyFieldsError(ValueError):
    """A line that has more fields than a row, where none may be left out."""


class FieldCheck:
    """Passes the lines of one file whose fields are those of a row.

    Parameters
    ----------
    path : path
    form : TextFormat
    broken : BrokenLines, optional
        Is given the others. Without it, those with too many fields are an error, and those with too
        few, or a quote that is not closed, are passed and counted.

    Attributes
    ----------
    n_kept : int
        Lines with too few fields, or a quote that is not closed, that were passed.
    first_kept : str
        What is wrong with the first of them.
    """

    def __init__(self, path: FilePath, form: TextFormat, broken: BrokenLines | None):
        self.path, self.form, self.broken = path, form, broken
        self.n_kept, self.first_kept = 0, ""
        self._separator = form.separator if len(form.separator) == 1 else COLUMN_MARK
        self._n_rows, self._n_lines = 0, form.n_above
        if broken is not None:
            broken.begin_file()

    def passed(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield the lines that are rows, in blocks.

        Raises
        ------
        TooManyFieldsError
            If a line has more fields than a row, and is not to be handed over.
        """
        rest = ""
        for piece in pieces:
            text = rest + piece
            end = _end_of_lines(text)
            passed, unread = self._block(text[:end], last=False)
            rest = unread + text[end:]
            if passed:
                yield passed
        passed, _ = self._block(rest, last=True)
        if passed:
            yield passed

    def _block(self, text: str, *, last: bool) -> tuple[str, str]:
        """Rows among whole lines, and what belongs to a row that is not complete yet."""
        n_rows = self._n_regular(text)
        if n_rows is None:
            return self._line_by_line(list(io.StringIO(text, newline="")), len(text), last=last)
        self._n_rows += n_rows
        self._n_lines += text.count("\n")
        return text, ""

    def _n_regular(self, text: str) -> int | None:
        """Number of rows if all are as they should be; None if lines have to be looked at."""
        form, separator = self.form, self._separator
        if (
            not (separator + form.quote).isascii()
            or not text.endswith("\n")
            or text.count("\r") != text.count("\r\n")
        ):
            return None
        if form.n_fields == 1 or separator == BLANK:
            return self._n_simple(text)
        return self._n_counted(text)

    def _n_counted(self, text: str) -> int | None:
        """Number of rows of several columns, by counting separators outside of quotes."""
        form = self.form
        data = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        ends = np.flatnonzero(data == LINE_FEED)
        separators = np.flatnonzero(data == ord(self._separator))
        if form.quote in text:
            quotes = np.flatnonzero(data == ord(form.quote))
            if not _are_paired(data, quotes, ord(self._separator)):
                return None
            ends, separators = _outside(ends, quotes), _outside(separators, quotes)
        n_fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
        least = max(form.least, 2)  # a single field may be a blank line
        if n_unnamed := form.n_fields - len(form.names):
            least = form.n_fields
            stops = ends - (data[ends - 1] == RETURN)
            last = data[stops[:, None] - np.arange(n_unnamed) - 1]
            if (last != ord(self._separator)).any():
                return None
        return len(ends) if ((n_fields >= least) & (n_fields <= form.n_fields)).all() else None

    def _n_simple(self, text: str) -> int | None:
        """Number of rows of one column, or of columns that blanks part, if there are no quotes."""
        if self.form.quote in text or BLANK_LINE.search(text):
            return None
        if self._separator == BLANK:
            lines = text.split("\n")[:-1]
            regular = {len(line.split()) for line in lines} == {self.form.n_fields}
            return len(lines) if regular else None
        return None if self._separator in text else text.count("\n")

    def _line_by_line(self, lines: list[str], size: int, *, last: bool) -> tuple[str, str]:
        """Rows among lines of which some may be none."""
        passed, i = [], 0
        while i < len(lines):
            fields, n_lines, is_open = self._record(lines, i)
            if is_open and not last and (i > 0 or size <= MAX_RECORD):
                break
            fault = self._fault(lines[i], fields)
            if fault and self.broken is not None:
                text = lines[i].rstrip("\r\n").replace(COLUMN_MARK, self.form.separator)
                self.broken.add(self._n_rows, text, fault)
                n_lines = 1  # those below may be rows
            else:
                self._keep(fault, fields)
                passed += lines[i : i + n_lines]
            i += n_lines
            self._n_lines += n_lines
        return "".join(passed), "".join(lines[i:])

    def _keep(self, fault: str, fields: Sequence[str] | None) -> None:
        """Count a record that is passed; one of too many fields cannot be."""
        if fault and fields is not None and self._is_long(fields):
            raise TooManyFieldsError(
                f"{self.path} is no valid CSV: {fault}; set `separator`, `skip_lines` or `header` "
                "if it has others than were found, or `quarantine` of `anomdiff score` to score "
                "the other lines."
            )
        if fault:
            self.n_kept += 1
            self.first_kept = self.first_kept or fault
        self._n_rows += fields is None or not self._is_blank(fields)

    def _record(self, lines: list[str], i: int) -> tuple[list[str] | None, int, bool]:
        """Fields of the record that begins in a line, its lines, and whether it may go on.

        There are no fields where a quote is not closed, or closed amid a field of several lines.
        """
        line, quote = lines[i], self.form.quote
        if quote not in line:
            body = line.rstrip("\r\n")
            return (
                body.split() if self._separator == BLANK else body.split(self._separator),
                1,
                False,
            )
        try:
            return *self._split(lines, i, strict=True), False
        except csv.Error as error:
            is_open = "unexpected end" in str(error)
        try:
            fields, n_lines = self._split(lines, i, strict=False)
        except csv.Error:  # a field too long to split
            return None, 1, False
        if n_lines == 1 and not is_open and not fields[-1].endswith("\n"):
            return fields, 1, False
        return None, n_lines, is_open or i + n_lines == len(lines)

    def _split(self, lines: list[str], i: int, *, strict: bool) -> tuple[list[str], int]:
        rest = (lines[j] for j in range(i, len(lines)))
        if self._separator == BLANK:
            rest = (line.strip().replace("\t", " ") + "\n" for line in rest)
        reader = csv.reader(
            rest,
            delimiter=self._separator,
            quotechar=self.form.quote,
            skipinitialspace=True,
            strict=strict,
        )
        return next(reader), reader.line_num

    def _fault(self, line: str, fields: Sequence[str] | None) -> str:
        """What is wrong with a record; empty if nothing is."""
        where, form = f"line {self._n_lines + 1} of {self.path.name}", self.form
        if fields is None:
            return f"need each quote closed in its row; {where} has one that is not"
        if self._is_blank(fields):
            return ""
        if self._is_long(fields):
            return f"need {len(form.names)} fields in {where}; got {len(fields)}"
        if len(fields) >= form.least:
            return ""
        cut = "" if line.endswith(("\n", "\r")) else ": the file ends within it"
        return f"need {form.least} fields in {where}; got {len(fields)}{cut}"

    def _is_long(self, fields: Sequence[str]) -> bool:
        form = self.form
        unnamed = fields[len(form.names) :]
        return len(fields) > form.n_fields or any(map(str.strip, unnamed))

    def _is_blank(self, fields: Sequence[str]) -> bool:
        return len(fields) < 2 and not "".join(fields).strip()


def _end_of_lines(text: str) -> int:
    """Where the last whole line of a text ends."""
    return max(text.rfind("\n"), text.rfind("\r", 0, max(len(text) - 1, 0))) + 1


def _are_paired(data: np.ndarray, quotes: np.ndarray, separator: int) -> bool:
    """Whether all quotes open or close a field, or are doubled within one."""
    if len(quotes) % 2:
        return False
    padded = np.concatenate([[LINE_FEED], data, [LINE_FEED]])
    before, after = padded[quotes[::2]], padded[quotes[1::2] + 2]
    quote = data[quotes[0]]
    opened = np.isin(before, [separator, LINE_FEED, quote])
    return bool(opened.all() and np.isin(after, [separator, LINE_FEED, RETURN, quote]).all())


def _outside(places: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Places that no pair of quotes encloses."""
    return places[np.searchsorted(quotes, places) % 2 == 0]
