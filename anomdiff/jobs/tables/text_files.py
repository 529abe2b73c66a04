"""Reading one text file: whole, or in batches.

A batch must not guess other types than the whole file would give: what is text to the model is read
as text ('08' stays '08'), only numbers are inferred.
"""

import io
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import Any

import pandas as pd

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables.broken_lines import BrokenLines
from anomdiff.jobs.tables.comments import without_comments
from anomdiff.jobs.tables.drawings import undrawn
from anomdiff.jobs.tables.encodings import register_mixed_errors
from anomdiff.jobs.tables.field_check import FieldCheck
from anomdiff.jobs.tables.files import EmptyFileError, damaged, first_line, open_bytes
from anomdiff.jobs.tables.footers import MAX_FOOTER_BYTES, split_footer
from anomdiff.jobs.tables.lines import (
    COLUMN_MARK,
    Lines,
    chunks_of,
    unescaped,
    unwrapped,
    with_separator,
    without_end,
    without_lines,
)
from anomdiff.jobs.tables.numbers import MIN_NUMBERS, plain_numbers
from anomdiff.jobs.tables.options import FileOptions, Name
from anomdiff.jobs.tables.separators import BLANK
from anomdiff.jobs.tables.text_format import TextFormat, find_format

__all__ = ["TextFile"]


class TextFile:
    """A text file whose format was found.

    Attributes
    ----------
    path : Path
    format : TextFormat
    names : list
        Names of its columns.
    infinite : Counter
        Infinite numbers beside other text by column, as far as the file has been read.
    broken : BrokenLines, optional
        Is given the lines that have not the fields of a row.
    check : FieldCheck
        What was found of lines that are cut short, as far as the file has been read.
    """

    def __init__(self, path: FilePath, options: FileOptions):
        register_mixed_errors()
        self.path = path
        self.format = find_format(path, options)
        self.names: list[Name] = list(self.format.names)
        self.repeated = list(self.format.repeated)
        self.has_header = self.format.has_header
        self.guessed_header = options.header is None
        self.infinite: Counter[Hashable] = Counter()
        self.broken: BrokenLines | None = None
        self.check = FieldCheck(path, self.format, None)

    def leaving_out(self, broken: BrokenLines) -> "TextFile":
        """Return the same file without the lines that have not the fields of a row."""
        other = copy(self)
        other.broken = broken
        return other

    def describe(self) -> str:
        """What is not as in plain CSV."""
        return self.format.describe()

    def read(self, text: Collection[Name] = (), mixed: Collection[Name] = ()) -> pd.DataFrame:
        """Read all rows.

        `text` are the columns to read as text, `mixed` those that are text in another file of the
        table: numbers may be among them.
        """
        with self._errors(), _open_text(self.path, self.format) as pieces:
            lines = self._checked_lines(pieces)
            frame = pd.read_csv(lines, **self._options({*text, *mixed}))
        frame = self._without_blank_end(self._checked(frame, 0))
        return self._with_plain_numbers(frame, text, MIN_NUMBERS)

    def batches(self, batch_size: int, text: Collection[Name] = ()) -> Iterator[pd.DataFrame]:
        """Yield the rows in batches; types of columns that are no text are inferred in each."""
        with self._errors(), _open_text(self.path, self.format) as pieces:
            lines = self._checked_lines(pieces)
            with pd.read_csv(lines, chunksize=batch_size, **self._options(text)) as chunks:
                start = 0
                for chunk in chunks:
                    frame = self._without_blank_end(self._checked(chunk, start))
                    start += len(chunk)
                    if len(frame):
                        yield self._with_plain_numbers(frame, text, 0.0)

    def _checked_lines(self, pieces: Iterator[str]) -> Lines:
        self.check = FieldCheck(self.path, self.format, self.broken)
        return Lines(self.check.passed(pieces))

    def _options(self, text: Collection[Name]) -> dict[str, Any]:
        unnamed = [f"\0{i}" for i in range(len(self.names), self.format.n_fields)]
        return {
            "header": None,
            "names": [*self.names, *unnamed],
            "dtype": {name: "str" for name in self.names if name in text},
            "sep": _separator(self.format.separator),
            "quotechar": self.format.quote,
            "decimal": self.format.decimal,
            "skipinitialspace": True,
            "low_memory": False,  # else types are inferred in parts of a batch
        }

    def _checked(self, frame: pd.DataFrame, start: int) -> pd.DataFrame:
        """Refuse what pandas accepts silently: no rows, and rows longer than the header."""
        if frame.empty and self.broken is None:
            raise self._no_rows()
        unnamed = frame.columns[len(self.names) :]
        index = frame.index.equals(pd.RangeIndex(start, start + len(frame)))
        if not index or frame[unnamed].notna().to_numpy().any():  # a column became the index
            raise ValueError(
                f"{self.path} has more values in a row than names in its first line; set "
                "`skip_lines`, `header` or `separator`."
            )
        return frame[self.names] if len(unnamed) else frame

    def _without_blank_end(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Leave out rows of separators alone at the end, as spreadsheets write them."""
        if (
            self.format.n_fields == len(self.names)
            or frame.empty
            or not frame.iloc[-1].isna().all()
        ):
            return frame
        filled = frame.notna().any(axis=1).to_numpy().nonzero()[0]
        return frame.iloc[: filled[-1] + 1 if len(filled) else 0]

    def _with_plain_numbers(
        self, frame: pd.DataFrame, text: Collection[Name], share: float
    ) -> pd.DataFrame:
        """Numbers beside other text in plain spelling, in columns that are not asked for as text.

        Whether that is done may depend on the `share` of numbers where all rows are known, but not
        in a batch, whose columns are of numbers or not, as the model says.
        """
        for name in self.names:
            if name not in text and not pd.api.types.is_numeric_dtype(frame[name]):
                frame[name] = plain_numbers(frame[name], self.format.decimal, share, self.infinite)
        return frame

    def _no_rows(self) -> ValueError:
        return EmptyFileError(
            f"need at least one row; {self.path} is an empty table, with only the names "
            f"{self.names[:5]}; set `header = false` (--no-header) if they are values."
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            with damaged(self.path):
                yield
        except pd.errors.EmptyDataError:
            if self.broken is None:
                raise self._no_rows() from None
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.path} is not {self.format.encoding} text: {error}; set `encoding`."
            ) from None
        except pd.errors.ParserError as error:
            above = self.format.n_above
            said = re.sub(
                r"(?<=line )\d+", lambda found: str(int(found[0]) + above), first_line(error)
            )
            raise ValueError(
                f"{self.path} is no valid CSV: {said}; set `separator`, `skip_lines` or `header` "
                "if it has others than were found."
            ) from None


@contextmanager
def _open_text(path: FilePath, form: TextFormat) -> Iterator[Iterator[str]]:
    """Open a file at its first row, and read it in pieces."""
    with open_bytes(path) as handle:
        lines = io.TextIOWrapper(handle, form.encoding, form.errors, newline="")
        for _ in range(form.n_above):
            lines.readline()
        yield _rows_alone(lines, form)


def _separator(separator: str) -> str:
    """Separator as pandas takes it."""
    if separator == BLANK:
        return r"\s+"
    return separator if len(separator) == 1 else COLUMN_MARK


def _rows_alone(lines: io.TextIOBase, form: TextFormat) -> Iterator[str]:
    """Yield the rows of a file in the way that pandas can read them."""
    if form.quoted_lines:
        lines = Lines(unwrapped(lines))
    if form.drawing:
        lines = Lines(undrawn(lines, form.drawing))
    if form.escaped:
        lines = Lines(unescaped(lines))
    pieces = chunks_of(lines)
    if form.left_out:
        pieces = without_lines(pieces, form.left_out)
    if form.comments:
        pieces = without_comments(pieces, form.comments)
    if form.rows:
        pieces = without_end(pieces, partial(split_footer, rows=form.rows), MAX_FOOTER_BYTES)
    if len(form.separator) > 1:
        pieces = with_separator(pieces, form.separator)
    return pieces
