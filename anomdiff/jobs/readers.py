"""Tables in files or databases, read whole or in batches of bounded memory.

How the files are written is found by looking at them (`anomdiff.jobs.tables`), or said in
`FileOptions`. A table that is read for the rows of a model takes its text columns as text.
"""

import logging
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from anomdiff.jobs.stores.databases import SqlSource
from anomdiff.jobs.stores.locations import FilePath, as_location
from anomdiff.jobs.tables.arrow_types import copied_type
from anomdiff.jobs.tables.broken_lines import BrokenLine, BrokenLines
from anomdiff.jobs.tables.files import find_files
from anomdiff.jobs.tables.numbers import without_infinity
from anomdiff.jobs.tables.options import FileOptions, Name
from anomdiff.jobs.tables.parquet_files import ParquetTable
from anomdiff.jobs.tables.parts import PartsTable
from anomdiff.jobs.tables.sql_table import SqlTable

__all__ = [
    "BrokenLine",
    "FileOptions",
    "Name",
    "Table",
    "find_column",
    "match_columns",
    "read_table",
]


logger = logging.getLogger(__name__)


class Table:
    """A table in files or in a database, whose columns are known before its rows are read.

    Parameters
    ----------
    path : path, address of an object store, or SqlSource
        A file named .csv, .tsv, .txt, .data, .json, .jsonl, .ndjson, .parquet or .xlsx, each also
        with .gz or (text) .zip; a folder of such files, or a glob. The folders of partitions
        (`region=north/`) are columns.
    options : FileOptions, optional
        How text files are written.

    Attributes
    ----------
    path : Path, RemotePath or SqlSource
    names : list
        Names of the columns.
    has_types : bool
        Whether the table says what type a column has, as parquet and databases do.
    version : None
        Files and databases have none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    StoreError
        If an object store or a database does not answer.
    ValueError
        If the file is none of these, or cannot be read.
    """

    def __init__(self, path: FilePath | SqlSource | str, options: FileOptions | None = None):
        self.path = path if isinstance(path, SqlSource) else as_location(path)
        self._files = _opened(self.path, options or FileOptions())
        if isinstance(self._files, PartsTable):
            for sentence in self._files.header_notices():
                warnings.warn(sentence, UserWarning, stacklevel=2)
        self.names = self._files.names
        self.has_types = not isinstance(self._files, PartsTable)
        self.version: str | None = None
        self._is_described = False

    def describe(self) -> str:
        """One line on how the files are written; empty if they are plain."""
        found = self._files.describe() if isinstance(self._files, PartsTable) else ""
        return f"{self.path.name}: {found}" if found else ""

    def read(
        self, text: Collection[Name] = (), *, columns: Sequence[Name] | None = None
    ) -> pd.DataFrame:
        """Read all rows; in files without types, `text` are the columns to read as text."""
        found = list(match_columns(self.names if columns is None else columns, self.names).values())
        self._tell(found)
        counts: Counter[Hashable] = Counter()
        if isinstance(self._files, PartsTable):
            frame = self._files.read(text)[found]
        else:
            frame = self._files.read(found)
        frame = without_infinity(frame, counts)
        self._warn_of_infinity(counts)
        self._warn_of_cut_lines()
        return frame

    def batches(
        self,
        batch_size: int,
        *,
        columns: Sequence[Name] | None = None,
        text: Collection[Name] = (),
        take: Callable[[BrokenLine], None] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows in their order; the index counts those of the whole table.

        Memory holds about one batch, however large the files are. In files without types, the type
        of columns that are not read as `text` is inferred batch by batch. `take` is given the
        lines of text files that have not the fields of a row, which count as rows; without it too
        many fields are an error, and a warning counts the lines with too few.
        """
        wanted = self.names if columns is None else columns
        found = list(match_columns(wanted, self.names).values())
        self._tell(found)
        if isinstance(self._files, PartsTable):
            broken = None if take is None else BrokenLines(take)
            frames = self._files.batches(batch_size, found, text, broken)
        else:
            broken, frames = None, self._files.batches(batch_size, found)
        counts: Counter[Hashable] = Counter()
        rows = 0
        for each in frames:
            frame = without_infinity(each, counts)
            plain = pd.RangeIndex(rows, rows + len(frame))
            frame.index = plain if broken is None else broken.numbers(len(frame))
            rows += len(frame)
            yield frame
        self._warn_of_infinity(counts)
        self._warn_of_cut_lines()
        if not rows and not (broken and broken.n_broken):
            raise ValueError(f"need at least one row; {self.path} is an empty table.")

    def snapshot(self, folder: Path, columns: Sequence[Name]) -> "Table":
        """Table that has the same rows in the same order each time that it is read.

        Of a database it is a copy of some columns in `folder`, as nothing else holds rows still.
        """
        if not isinstance(self._files, SqlTable):
            return self
        path = folder / "rows.parquet"
        self._files.copy(path, columns)
        return Table(path)

    def count_rows(self) -> int | None:
        """Number of rows if the files say it; else None."""
        return self._files.count_rows() if isinstance(self._files, ParquetTable) else None

    def copy_types(self, numbers: Collection[Name]) -> pa.Schema:
        """Arrow type in which each column can be copied, whatever a batch holds.

        In files without types it is float64 for the columns in `numbers` and text for the others.
        """
        if not isinstance(self._files, PartsTable):
            return pa.schema([(f.name, copied_type(f.type)) for f in self._files.schema])
        types = {name: pa.float64() if name in numbers else pa.string() for name in self.names}
        return pa.schema([(str(name), kind) for name, kind in types.items()])

    def _tell(self, columns: Sequence[Name]) -> None:
        """Log how the files are written, and warn of what is read otherwise than it is written."""
        if self.describe() and not self._is_described:
            logger.info("read %s", self.describe())
            self._is_described = True
        for sentence in self._files.notices(columns):
            warnings.warn(sentence, UserWarning, stacklevel=3)

    def _warn_of_cut_lines(self) -> None:
        if isinstance(self._files, PartsTable) and (sentence := self._files.cut_short()):
            warnings.warn(sentence, UserWarning, stacklevel=3)

    def _warn_of_infinity(self, counts: Counter[Hashable]) -> None:
        if isinstance(self._files, PartsTable):
            counts += self._files.infinite
        if counts:
            shown = ", ".join(f"{n:,} in column {name!r}" for name, n in counts.items())
            warnings.warn(f"infinite numbers count as missing: {shown}.", UserWarning, stacklevel=3)


def _opened(
    path: FilePath | SqlSource, options: FileOptions
) -> ParquetTable | PartsTable | SqlTable:
    """Table of a kind of files, or of a database."""
    if isinstance(path, SqlSource):
        return SqlTable(path)
    files = find_files(path)
    return ParquetTable(files) if files.kind == "parquet" else PartsTable(files, options)


def read_table(
    path: FilePath | SqlSource | str,
    *,
    text: Collection[Name] = (),
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    skip_lines: int | None = None,
    header: bool | None = None,
) -> pd.DataFrame:
    """Read a whole table.

    Parameters
    ----------
    path : path, address of an object store, or SqlSource
        As `Table` takes it.
    text : collection of names
        Columns to read as text even if all their values look like numbers.
    separator, decimal, encoding, skip_lines, header : optional
        As in `FileOptions`; found by looking at the file if not given.
    """
    return Table(path, FileOptions(separator, decimal, encoding, skip_lines, header)).read(text)


def match_columns(wanted: Sequence[Name], names: Sequence[Name]) -> dict[Name, Name]:
    """Map each wanted name to that of the table; "3" also stands for the column 3."""
    by_text = {str(name): name for name in names}
    missing = [name for name in wanted if str(name) not in by_text]
    if missing:
        more = ", ..." if len(names) > 12 else ""
        there = ", ".join(map(repr, names[:12]))
        raise ValueError(
            f"need columns {missing}; the table has {there}{more}{_header_hint(missing, names)}."
        )
    return {name: by_text[str(name)] for name in wanted}


def _header_hint(missing: Sequence[Name], names: Sequence[Name]) -> str:
    if any(isinstance(name, int) for name in missing):
        return "; set `header = false` (--no-header) if its first line is a row"
    numbered = len(names) > 0 and all(isinstance(name, int) for name in names)
    return "; set `header = true` (--header) if its first line has the names" if numbered else ""


def find_column(names: Sequence[Name], wanted: Name | None) -> Name | None:
    """Column of a table as the table names it; None if there is none, or none is wanted."""
    if wanted is None:
        return None
    return next((name for name in names if str(name) == str(wanted)), None)
