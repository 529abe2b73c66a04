"""Files without types of their own columns (text, JSON lines, workbooks), put together as a table.

What is text in one file is read as text in all; a column that a file lacks is missing there.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pandas as pd

from anomdiff.jobs.tables.files import Part, TableFiles, are_whole_numbers
from anomdiff.jobs.tables.json_lines import JsonLines
from anomdiff.jobs.tables.options import FileOptions, Name
from anomdiff.jobs.tables.text_files import TextFile
from anomdiff.jobs.tables.workbooks import Workbook

__all__ = ["PartsTable"]


class _File(Protocol):
    """A file whose columns are known, to be read whole or in batches."""

    path: Path
    names: list[Name]

    def describe(self) -> str:
        """What is not plain about it, in a few words."""

    def read(self, text: Collection[Name] = ()) -> pd.DataFrame:
        """Read all rows."""

    def batches(self, batch_size: int, text: Collection[Name] = ()) -> Iterator[pd.DataFrame]:
        """Yield the rows in batches."""


READERS: dict[str, type[_File]] = {"text": TextFile, "json": JsonLines, "excel": Workbook}


class PartsTable:
    """Text files, JSON lines or workbooks as one table.

    `names` are those of all columns of all files, and of the partitions.
    """

    def __init__(self, files: TableFiles, options: FileOptions):
        self._files = files
        self._read = [_opened(files.kind, part, options) for part in files.parts]
        self._join_split_file(options)
        keys = list(files.parts[0].keys)
        everywhere = [name for each in self._read for name in each.names]
        self.names: list[Name] = list(dict.fromkeys([*everywhere, *keys]))

    def describe(self) -> str:
        """What is not as in plain CSV, of the first file."""
        return self._read[0].describe()

    def notices(self, columns: Sequence[Name]) -> list[str]:
        """What a user has to know about how some columns are read."""
        said = [sentence for each in self._read for sentence in _notices(each)]
        partial = [
            name
            for name in columns
            if 0 < sum(name in each.names for each in self._read) < len(self._read)
        ]
        if partial:
            said.append(
                f"columns {partial} of {self._files.path} are not in all files; they are missing "
                "in the others."
            )
        return said

    def read(self, text: Collection[Name] = ()) -> pd.DataFrame:
        """Read all rows; columns that are text in some files are text in all."""
        frames = [each.read(text) for each in self._read]
        mixed = _mixed(frames) - set(text)
        if mixed:
            frames = [
                each.read({*text, *mixed}) if _has_numbers(frame, mixed) else frame
                for each, frame in zip(self._read, frames, strict=True)
            ]
        brought = [
            self._brought(frame, part, self.names)
            for frame, part in zip(frames, self._files.parts, strict=True)
        ]
        if len(brought) == 1:
            return brought[0]
        filled = [frame.dropna(axis=1, how="all") for frame in brought]
        return pd.concat(filled, ignore_index=True).reindex(columns=self.names)

    def batches(
        self, batch_size: int, columns: Sequence[Name], text: Collection[Name]
    ) -> Iterator[pd.DataFrame]:
        """Yield some columns in batches; types of columns that are no text are inferred in each."""
        for each, part in zip(self._read, self._files.parts, strict=True):
            for frame in each.batches(batch_size, set(text) & set(columns)):
                yield self._brought(frame, part, columns)

    def _brought(self, frame: pd.DataFrame, part: Part, columns: Sequence[Name]) -> pd.DataFrame:
        """Columns of the table, with those of the folders."""
        keys = {key: value for key, value in part.keys.items() if key not in frame.columns}
        if not keys and list(frame.columns) == list(columns):
            return frame
        there = frame[[name for name in columns if name in frame.columns]]
        given = {key: _typed(key, value, self._files) for key, value in keys.items()}
        return there.assign(**{k: v for k, v in given.items() if k in columns}).reindex(
            columns=list(columns)
        )

    def _join_split_file(self, options: FileOptions) -> None:
        """Give the names of the first part to parts without a header, as `split` leaves them."""
        first = self._read[0]
        if not isinstance(first, TextFile) or not first.format.has_header or options.header:
            return
        for each in self._read[1:]:
            if isinstance(each, TextFile) and not each.format.has_header:
                if len(each.names) == len(first.names):
                    each.format = replace(each.format, names=first.format.names)
                    each.names = list(first.names)


def _opened(kind: str, part: Part, options: FileOptions) -> _File:
    return READERS[kind](part.path, options)  # type: ignore[call-arg]


def _notices(file: _File) -> list[str]:
    """What was decided about the header of a file."""
    said = []
    repeated = list(getattr(file, "repeated", ()))
    if repeated:
        said.append(
            f"{file.path} has the columns {repeated} more than once; the later ones are called "
            f"'{repeated[0]}.1' and so on."
        )
    if not getattr(file, "has_header", True) and getattr(file, "guessed_header", False):
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


def _typed(key: str, value: str | None, files: TableFiles) -> int | str | None:
    """Value of a partition: a whole number if it is one in all folders, and is written plainly."""
    values = [part.keys[key] for part in files.parts]
    return int(value) if value is not None and are_whole_numbers(values) else value
