"""How one text file is written, found from its first 100 kB and from what the user says."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables import layout as layouts
from anomdiff.jobs.tables.comments import (
    Comments,
    blank_comments,
    find_comments,
    without_comments,
)
from anomdiff.jobs.tables.drawings import Drawing, undrawn
from anomdiff.jobs.tables.files import EmptyFileError
from anomdiff.jobs.tables.footers import MAX_FOOTER_BYTES, Rows, last_text, rows_of, split_footer
from anomdiff.jobs.tables.options import FileOptions, Name
from anomdiff.jobs.tables.quotes import find_quote
from anomdiff.jobs.tables.samples import MAX_SAMPLE_LINES, Sample, find_sample
from anomdiff.jobs.tables.separators import (
    BLANK,
    find_decimal,
    find_separator,
    line_ends,
    perhaps_separator,
    split_lines,
)

__all__ = ["TextFormat", "find_format"]

COMMENT = re.compile(r"#|//|%(?![^\s%])")  # %cpu is a name
MAX_SHOWN = 40  # characters of a line that is told
SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # Excel's own
SAID = {BLANK: "blanks", "\t": "tab"}


@dataclass(frozen=True)
class TextFormat:
    """How a text file is written.

    Attributes
    ----------
    encoding, errors : str
        As `open` takes them.
    separator, decimal : str
        A blank as separator stands for any run of blanks and tabs.
    n_above : int
        Lines above the first row.
    names : tuple
        Names of the columns, distinct; 0, 1, 2, ... without a header.
    n_fields : int
        Fields of a row: more than there are names where rows end with separators.
    least : int
        Fewest fields of a line that is not cut short.
    left_out : tuple of str
        What lines begin with that are no rows: headers that are repeated.
    has_header : bool
        Whether a line of the file names the columns.
    repeated : tuple
        Names that occur more than once in the header.
    n_titles : int
        Lines above the header that are no part of it.
    n_header : int
        Lines of the header.
    n_unnamed : int
        Columns without a name in the header, which are called `column_0` and so on.
    quote : str
        Character around fields that hold separators.
    quoted_lines : bool
        Whether each line is quoted as a whole.
    escaped : bool
        Whether quotes within fields have a backslash before them.
    drawing : Drawing, optional
        Lines and borders drawn around the cells, if there are any.
    footer : tuple of str
        Lines at the end that are no rows, as far as they were looked for.
    comments : Comments, optional
        What tells comments from rows.
    has_comments : bool
        Whether there are any in the first lines.
    row_names : bool
        Whether the first column lacks a name and is taken for names of rows without being quoted.
    unsplit : str
        Character that may part the cells of a file of one column.
    rows : Rows, optional
        What the end has to be compared with while it is read; None if all lines are rows.
    """

    encoding: str
    errors: str
    separator: str
    decimal: str
    n_above: int
    names: tuple[Name, ...]
    n_fields: int
    least: int = 1
    left_out: tuple[str, ...] = ()
    has_header: bool = True
    repeated: tuple[Name, ...] = ()
    n_titles: int = 0
    n_header: int = 1
    n_unnamed: int = 0
    quote: str = '"'
    quoted_lines: bool = False
    escaped: bool = False
    drawing: Drawing | None = None
    footer: tuple[str, ...] = ()
    comments: Comments | None = None
    has_comments: bool = False
    row_names: bool = False
    unsplit: str = ""
    rows: Rows | None = None

    def describe(self) -> str:
        """What is not as in plain CSV, in a few words; empty if nothing is."""
        comma = self.separator == "," or len(self.names) < 2
        plain_encoding = self.encoding in ("utf-8", "utf-8-sig")
        said = [
            "" if comma else f"separator {SAID.get(self.separator, repr(self.separator))}",
            "" if self.decimal == "." else f"decimal {self.decimal!r}",
            "" if plain_encoding else f"encoding {self.encoding}",
            "" if not self.n_titles else f"{_lines(self.n_titles)} above the header",
            "" if self.has_header else "no header line",
            "" if self.n_header < 2 else f"a header of {self.n_header} lines",
            "" if not self.n_unnamed else f"{self.n_unnamed} names added (column_0, ...)",
            "comments left out" if self.has_comments else "",
            "repeated headers left out" if self.left_out else "",
            "" if self.quote == '"' else f"quotes {self.quote}",
            "" if not self.quoted_lines else "each line in quotes",
            "" if not self.escaped else "backslashes before quotes",
            "" if not self.drawing else "lines drawn around the cells",
            "" if not self.footer else _footer_said(self.footer),
        ]
        return ", ".join(filter(None, said))


def find_format(path: FilePath, options: FileOptions) -> TextFormat:
    """Find how a text file is written.

    Raises
    ------
    ValueError
        If the file is empty, is no text, or has more values in a row than names.
    """
    sample = find_sample(path, options)
    lines = sample.lines[:MAX_SAMPLE_LINES]
    quote = find_quote(lines)
    start, separator = _start(lines, options)
    if separator is None:
        separator = find_separator(lines[start:], quote)
    if separator.isspace() and separator != "\t":
        separator = BLANK
    comment = _comment_above(lines, start)
    records = _records(lines[start:], separator, quote, path)
    if not any(map(any, records)):
        raise EmptyFileError(f"need at least one row; {path} is an empty file.")
    above = [line for line in lines[:start] if COMMENT.match(line)]
    comments = find_comments(records, above, separator, quote)
    has_comments = False
    if comments:
        ends = line_ends(lines[start:], separator, quote)
        rest, has_comments = blank_comments(lines[start:], records, ends, comments)
        lines = [*lines[:start], *rest]
        records = _records(rest, separator, quote, path) if has_comments else records
    found = layouts.find_layout(records, header=options.header, titles=options.skip_lines is None)
    rows = records[found.n_above :]
    header = layouts.header_names(records, found)
    ends = line_ends(lines[start:], separator, quote)
    n_above = start + (ends[found.n_above - 1] if found.n_above else 0)
    in_comment = not found.header and options.header is None
    if in_comment and comment:
        header = _names_in_comment(comment, separator, found.n_fields, rows)
    unsure = found.short and separator != BLANK and not _are_quoted(lines[n_above:], quote)
    if unsure and not layouts.are_row_names([row[0] for row in rows if any(row)]):
        raise _too_many_values(path)
    names, repeated, n_fields = _columns(header, rows, path)
    first = start + (ends[found.header[0] - 1] if found.header and found.header[0] else 0)
    left_out = _left_out(lines, n_above, found)
    decimal = options.decimal or find_decimal(rows, separator)
    form = TextFormat(
        encoding=sample.encoding,
        errors=sample.errors,
        separator=separator,
        decimal=decimal,
        n_above=n_above,
        names=tuple(names),
        n_fields=n_fields,
        left_out=left_out,
        has_header=bool(header),
        repeated=tuple(repeated),
        n_unnamed=sum(not name for name in header[: len(names)]),
        n_header=max(len(found.header), 1),
        n_titles=first if found.header else n_above - bool(header),
        quote=quote,
        quoted_lines=sample.quoted_lines,
        escaped=sample.escaped,
        drawing=sample.drawing,
        comments=comments,
        has_comments=has_comments or bool(above),
        row_names=unsure,
        unsplit=perhaps_separator(lines[start:]) if n_fields == 1 and not options.separator else "",
    )
    return _with_footer(form, rows, sample, path)


def _with_footer(
    form: TextFormat, records: Sequence[Sequence[str]], sample: Sample, path: FilePath
) -> TextFormat:
    """Look for lines at the end that are no rows."""
    whole = sample.whole and len(sample.lines) <= MAX_SAMPLE_LINES
    form = replace(form, least=layouts.least_fields(records, len(form.names)))
    rows = rows_of(records, form.separator, form.decimal, form.quote, whole=whole)
    if sample.whole:
        end: str | None = "".join(sample.lines[form.n_above :])[-MAX_FOOTER_BYTES:]
    else:
        end = last_text(path, form.encoding)
    if end and form.drawing:
        end = "".join(undrawn(end.splitlines(keepends=True), form.drawing))
    if end and form.comments:
        end = "".join(without_comments([end], form.comments))
    if end is None:
        return replace(form, rows=rows)
    _, footer = split_footer(end, rows)
    if not footer:
        return form
    body = records[: len(records) - len(footer)] if whole else records
    least = layouts.least_fields(body, len(form.names))
    return replace(form, rows=rows, footer=tuple(footer), least=least)


def _footer_said(footer: Sequence[str]) -> str:
    shown = repr(footer[0] if len(footer[0]) <= MAX_SHOWN else footer[0][:MAX_SHOWN] + "...")
    return f"{_lines(len(footer))} at the end left out ({shown})"


def _lines(number: int) -> str:
    return f"{number} line" if number == 1 else f"{number} lines"


def _start(lines: Sequence[str], options: FileOptions) -> tuple[int, str | None]:
    """Number of lines to leave out before records are looked at, and the separator if it is known.

    These are the lines that the user skips, blank lines, comments and Excel's `sep=;`.
    """
    separator = options.separator
    if options.skip_lines is not None:
        return options.skip_lines, separator
    commented = sum(bool(COMMENT.match(line)) for line in lines) < len(lines) / 2
    start = 0
    for line in lines:
        excel = SEPARATOR_LINE.fullmatch(line) if start == 0 else None
        if excel:
            separator = separator or excel[1]
        elif line.strip() and not (commented and COMMENT.match(line)):
            break
        start += 1
    return start, separator


def _comment_above(lines: Sequence[str], start: int) -> str | None:
    """Comment in the line above the first record, which may hold the names."""
    above = lines[start - 1] if start else ""
    mark = COMMENT.match(above)
    return above[mark.end() :].strip() if mark else None


def _records(lines: Sequence[str], separator: str, quote: str, path: FilePath) -> list[list[str]]:
    try:
        return split_lines(lines, separator, quote)
    except (csv.Error, TypeError) as error:
        raise ValueError(
            f"cannot split {path} at {separator!r}: {error}; set another `separator`."
        ) from None


def _names_in_comment(
    comment: str, separator: str, n_fields: int, rows: Sequence[Sequence[str]]
) -> list[str]:
    names = split_lines([comment], separator)[0] if comment else []
    fits = len(names) == n_fields and layouts.looks_like_header(names, rows)
    return [names[0] or "#", *names[1:]] if fits else []


def _columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], path: FilePath
) -> tuple[list[Name], list[Name], int]:
    """Names of the columns, those that are repeated, and the number of fields of a row.

    Fields at the end that have neither a name nor a value are no columns.
    """
    filled = [max((i + 1 for i, field in enumerate(row) if field), default=0) for row in rows]
    if not header:
        n_columns = max(filled, default=0) or max(map(len, rows), default=0)
        return list(range(n_columns)), [], max([n_columns, *map(len, rows)])
    named = max((i + 1 for i, name in enumerate(header) if name), default=0)
    n_columns = max(named, min(max(filled, default=0), len(header)), 1)
    if 2 * sum(n > n_columns for n in filled) > len(rows):
        raise _too_many_values(path)
    regular = [len(row) for row, n in zip(rows, filled, strict=True) if n <= n_columns]
    in_one_line = [" ".join(name.split()) for name in header[:n_columns]]
    names, repeated = layouts.distinct_names(layouts.blank_names(in_one_line))
    return names, repeated, max([n_columns, len(header), *regular])


def _too_many_values(path: FilePath) -> ValueError:
    return ValueError(
        f"{path} has more values in a row than names in its first line; set `separator`, "
        "`skip_lines` or `header` if that is no header of its columns."
    )


def _left_out(lines: Sequence[str], n_above: int, found: layouts.Layout) -> tuple[str, ...]:
    """What lines among the rows begin with that are no rows."""
    header = lines[n_above - 1] if found.header and len(found.header) == 1 else ""
    return (header,) if header.strip() and header in lines[n_above:] else ()


def _are_quoted(lines: Sequence[str], quote: str) -> bool:
    """Whether all lines begin with a quoted field."""
    return all(line.lstrip().startswith(quote) for line in lines if line.strip())
