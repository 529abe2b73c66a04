"""Files without types of their own columns (text, JSON lines, workbooks), put together as a table.

What is text in one file is read as text in all; a column that a file lacks is missing there.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import pandas as pd

from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.tables.broken_lines import BrokenLines
from anomdiff.jobs.tables.files import (
    EmptyFileError,
    Part,
    TableFiles,
    are_whole_numbers,
    suffix_of,
)
from anomdiff.jobs.tables.json_lines import JsonLines
from anomdiff.jobs.tables.options import FileOptions, Name
from anomdiff.jobs.tables.text_files import TextFile
from anomdiff.jobs.tables.workbooks import Workbook

__all__ = ["PartsTable"]


class _File(Protocol):
    """A file whose columns are known, to be read whole or in batches."""

    path: FilePath
    names: list[Name]
    repeated: list[Name]
    has_header: bool
    guessed_header: bool
    infinite: Counter[Hashable]

    def describe(self) -> str:
        """What is not plain about it, in a few words."""

    def read(self, text: Collection[Name] = (), mixed: Collection[Name] = ()) -> pd.DataFrame:
        """Read all rows."""

    def batches(self, batch_size: int, text: Collection[Name] = ()) -> Iterator[pd.DataFrame]:
        """Yield the rows in batches."""


READERS: dict[str, Callable[[FilePath, FileOptions], _File]] = {
    "text": TextFile,
    "json": JsonLines,
    "excel": Workbook,
}


class PartsTable:
    """Text files, JSON lines or workbooks as one table.

    `names` are those of all columns of all files, and of the partitions.
    """

    def __init__(self, files: TableFiles, options: FileOptions):
        self._path = files.path
        self._files: list[tuple[_File, Part]] = []
        for part in files.parts:
            with _unless_alone(files.parts):
                self._files.append((READERS[files.kind](part.path, options), part))
        if not self._files:
            raise ValueError(f"need at least one row; all files of {files.path} are empty.")
        _join_split_files([each for each, _ in self._files], options)
        _require_same_columns([each for each, _ in self._files], files.path)
        keys = list(files.parts[0].keys)
        self._whole = {key for key in keys if are_whole_numbers(p.keys[key] for p in files.parts)}
        everywhere = [name for each, _ in self._files for name in each.names]
        self.names: list[Name] = list(dict.fromkeys([*everywhere, *keys]))

    @property
    def infinite(self) -> Counter[Hashable]:
        """Infinite numbers beside other text by column, as far as the files have been read."""
        return sum((each.infinite for each, _ in self._files), Counter())

    def describe(self) -> str:
        """What is not as in plain CSV, of the first file."""
        return self._files[0][0].describe()

    def header_notices(self) -> list[str]:
        """What a user has to know about the names of the columns."""
        return [sentence for each, _ in self._files for sentence in _notices(each)]

    def notices(self, columns: Sequence[Name]) -> list[str]:
        """What a user has to know about how some columns are read."""
        n_files = {name: sum(name in each.names for each, _ in self._files) for name in columns}
        partial = [name for name, n in n_files.items() if 0 < n < len(self._files)]
        if not partial:
            return []
        return [
            f"columns {partial} of {self._path} are not in all files; they are missing in the "
            "others."
        ]

    def read(self, text: Collection[Name] = ()) -> pd.DataFrame:
        """Read all rows; columns that are text in some files are text in all."""
        frames = []
        for each, part in self._files:
            with _unless_alone(self._files):
                frames.append((each, part, each.read(text)))
        if not frames:
            raise ValueError(f"need at least one row; all files of {self._path} are empty.")
        mixed = _mixed([frame for *_, frame in frames]) - set(text)
        again = [
            (each.read(text, mixed) if _has_numbers(frame, mixed) else frame, part)
            for each, part, frame in frames
        ]
        brought = [self._brought(frame, part, self.names) for frame, part in again]
        if len(brought) == 1:
            return brought[0]
        filled = [frame.dropna(axis=1, how="all") for frame in brought]
        return pd.concat(filled, ignore_index=True).reindex(columns=self.names)

    def cut_short(self) -> str:
        """Sentence on lines that are read although they are cut short; empty if there are none."""
        checks = [each.check for each, _ in self._files if isinstance(each, TextFile)]
        kept = [check for check in checks if check.n_kept]
        if not kept:
            return ""
        n_kept = sum(check.n_kept for check in kept)
        lines = "1 line is no whole row" if n_kept == 1 else f"{n_kept:,} lines are no whole rows"
        return (
            f"{lines}, and what is lacking counts as missing: {kept[0].first_kept}; mend or remove "
            "such lines, or set `quarantine` of `anomdiff score` to leave them out."
        )

    def batches(
        self,
        batch_size: int,
        columns: Sequence[Name],
        text: Collection[Name],
        broken: BrokenLines | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield some columns in batches; types of columns that are no text are inferred in each.

        Lines of text files that have not the fields of a row go to `broken`, if it is given.
        """
        for each, part in self._files:
            if broken is not None and isinstance(each, TextFile):
                each = each.leaving_out(broken)
            with _unless_alone(self._files):
                for frame in each.batches(batch_size, set(text) & set(columns)):
                    yield self._brought(frame, part, columns)

    def _brought(self, frame: pd.DataFrame, part: Part, columns: Sequence[Name]) -> pd.DataFrame:
        """Columns of the table, with those of the folders."""
        keys = {key: value for key, value in part.keys.items() if key not in frame.columns}
        if not keys and list(frame.columns) == list(columns):
            return frame
        there = frame[[name for name in columns if name in frame.columns]]
        given: dict[str, int | str | None] = {
            key: int(value) if key in self._whole and value is not None else value
            for key, value in keys.items()
            if key in columns
        }
        return there.assign(**given).reindex(columns=list(columns))


@contextmanager
def _unless_alone(files: Sequence[object]) -> Iterator[None]:
    """Allow files without rows beside others: Spark writes them."""
    try:
        yield
    except EmptyFileError:
        if len(files) == 1:
            raise


def _join_split_files(files: Sequence[_File], options: FileOptions) -> None:
    """Give the names of the first file to those without a header, as `split` leaves them."""
    first = files[0]
    if not isinstance(first, TextFile) or not first.has_header or options.header is not None:
        return
    for each in files[1:]:
        alike = len(each.names) == len(first.names)
        if isinstance(each, TextFile) and alike and not each.has_header:
            each.format = replace(each.format, names=first.format.names)
            each.names, each.has_header = list(first.names), True


def _require_same_columns(files: Sequence[_File], path: FilePath) -> None:
    """Refuse files of several suffixes with other columns: one may be no part of the table."""
    suffixes = {suffix_of(each.path) for each in files}
    other = next((each for each in files if set(each.names) != set(files[0].names)), None)
    if len(suffixes) > 1 and other is not None:
        raise ValueError(
            f"need the same columns in {files[0].path.name} and {other.path.name} of {path}; got "
            f"{files[0].names[:5]} and {other.names[:5]}: give a pattern such as "
            f"{path / '**' / ('*' + files[0].path.suffix)}."
        )


def _notices(file: _File) -> list[str]:
    """What was decided about the names and the columns of a file."""
    said = []
    if isinstance(file, TextFile) and (mark := file.format.unsplit):
        said.append(
            f"{file.path} is read as one column, although all its lines have as many {mark!r}; set "
            f"`separator` to {mark!r} if it parts columns."
        )
    if isinstance(file, TextFile) and file.format.row_names:
        said.append(
            f"{file.path} has a name fewer than columns; the first column is taken for the names "
            f"of rows and called {file.names[0]!r}. Set `skip_lines` or `header` if it is not."
        )
    if file.repeated:
        said.append(
            f"{file.path} has the columns {list(file.repeated)} more than once; the later ones are "
            f"called '{file.repeated[0]}.1' and so on."
        )
    if not file.has_header and file.guessed_header:
        said.append(
            f"{file.path} has no header line: its first line looks like the rows below; the "
            "columns are called 0, 1, 2, ... Set `header` (--header or --no-header) to say so."
        )
    return said


def _looks(cells: pd.Series) -> str:
    if not cells.notna().any():
        return "missing"
    if pd.api.types.is_bool_dtype(cells):
        return "boolean"
    return "number" if pd.api.types.is_numeric_dtype(cells) else "text"


def _mixed(frames: Sequence[pd.DataFrame]) -> set[Name]:
    """Columns that are of several kinds in several files."""
    found: dict[Name, set[str]] = {}
    for frame in frames if len(frames) > 1 else ():
        for name in frame:
            found.setdefault(name, set()).add(_looks(frame[name]))
    return {name for name, looks in found.items() if len(looks - {"missing"}) > 1}


def _has_numbers(frame: pd.DataFrame, names: Collection[Name]) -> bool:
    return any(name in frame and _looks(frame[name]) in ("number", "boolean") for name in names)
