"""A table as Spark reads it, which says of its columns what a local table says."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pyarrow as pa

from anomdiff.integrations.spark import tables
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.readers import Name, Table
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.spark.numbers import Part, parts_in_order
from anomdiff.jobs.spark_settings import SparkSettings
from anomdiff.jobs.stores.locations import FilePath, glob_root
from anomdiff.jobs.tables.arrow_types import copied_type
from anomdiff.jobs.tables.files import TableFiles, are_whole_numbers, find_files, open_bytes
from anomdiff.jobs.tables.options import FileOptions
from anomdiff.jobs.tables.text_format import TextFormat, find_format

__all__ = ["SparkTable", "as_spark_takes_it"]

KINDS = {"parquet": "parquet", "text": "csv", "json": "json"}
CODEPAGES = {"utf-8-sig": "utf-8"}  # that Java calls otherwise
GLOB = re.compile(r"([\[\]{}*?\\])")


class SparkTable:
    """Files, or a table of Delta or Iceberg, through Spark's readers.

    Attributes
    ----------
    path : path
        What the settings name.
    names : list
        Names of the columns, those within structs as `address.city`.
    has_types : bool
        Whether the table says what type a column has.
    kind : str
        Of files `parquet`, `text` or `json`; else the format.
    version : str or None
        Of a table that has versions: the one that is read.

    Raises
    ------
    FileNotFoundError
        If there is no such table.
    SettingsError
        If the files are such that only the local engine reads them.
    """

    def __init__(self, settings: ScoreSettings, session: Any):
        self.path, self.version = settings.source, None
        kind = (settings.spark or SparkSettings()).format
        self._files: TableFiles | None = None
        names: list[Name] | None = None
        if kind == "files":
            self._files = find_files(self.path)
            self.kind, self._whole = self._files.kind, _whole_keys(self._files)
            self._frame, names = _opened(session, self._files, settings.file_options)
        else:
            self.kind, self._whole = kind, set()
            place = str(self.path.resolve() if _is_local_path(self.path) else self.path)
            self._frame, self.version = tables.read_snapshot(session, kind, place)
        fields = tables.fields(self._frame)
        fields = [each for each in fields if not each.name.startswith("__index_level_")]
        self.names: list[Name] = [each.name for each in fields]
        if names is not None:  # of text files, 0, 1, 2, ... without a header
            self.names = [*names, *self.names[len(names) :]]
        self._fields = dict(zip(self.names, fields, strict=True))
        self.has_types = self.kind not in ("text", "json")

    def copy_types(self, numbers: Collection[Name]) -> pa.Schema:
        """Arrow type in which each column can be copied."""
        if self.has_types:
            types = {str(n): copied_type(self._type(n)) for n in self.names}
        else:
            types = {str(n): pa.float64() if n in numbers else pa.string() for n in self.names}
        return pa.schema(list(types.items()))

    def frame(self, wanted: Sequence[Name]) -> tuple[Any, pa.Schema]:
        """Columns as `input_0`, `input_1`, ..., with the parts that rows are of, and their types.

        The types are those of the columns alone.
        """
        paths = {f"input_{i}": self._fields[name].path for i, name in enumerate(wanted)}
        types = {f"input_{i}": self._fields[name].type for i, name in enumerate(wanted)}
        selected = tables.selected(self._frame, paths, self._files is not None)
        return selected, pa.schema(list(types.items()))

    def whole(self, wanted: Sequence[Name]) -> frozenset[Name]:
        """Columns of partitions that are whole numbers, although Spark has them as text."""
        return frozenset(name for name in wanted if name in self._whole)

    def parts(self, frame: Any) -> dict[tuple[str, int], Part]:
        """Parts of a frame of this table, in the order of the files.

        Raises
        ------
        ValueError
            If it has no rows.
        """
        sizes = tables.part_sizes(frame)
        if not sum(sizes.values()):
            raise ValueError(f"need at least one row; {self.path} is an empty table.")
        if self._files is None:
            return parts_in_order(sizes, str)
        files = self._files.parts
        ranks = {_slashed_once(as_spark_takes_it(p.path)): i for i, p in enumerate(files)}
        return parts_in_order(sizes, lambda file: ranks[_slashed_once(unquote(file))])

    def batches(
        self,
        batch_size: int,
        *,
        columns: Sequence[Name],
        text: Collection[Name] = (),
        take: object = None,
    ) -> Iterator[pd.DataFrame]:
        """Yield one batch of first rows, as workers read them: what is looked at before a run."""
        from anomdiff.jobs.spark.worker import Cells

        frame, _ = self.frame(columns)
        rows = frame.limit(batch_size).toArrow()
        if not rows.num_rows:
            raise ValueError(f"need at least one row; {self.path} is an empty table.")
        cells = Cells(tuple(columns), tuple(text), self.kind, self.whole(columns))
        yield cells.read(rows, pd.RangeIndex(rows.num_rows))

    def _type(self, name: Name) -> pa.DataType:
        return pa.int64() if name in self._whole else self._fields[name].type


def as_spark_takes_it(path: FilePath) -> str:
    """Address of a file for Spark, whose default may be another file system than this one."""
    return f"file://{path.absolute()}" if isinstance(path, Path) else str(path)


def _slashed_once(address: str) -> str:
    """Address with one slash behind its scheme, as Hadoop writes `file:/tmp`."""
    return re.sub(r"^(\w+):/+", r"\1:/", address)


def _is_local_path(path: FilePath) -> bool:
    return isinstance(path, Path) and "/" in str(path)


def _opened(session: Any, files: TableFiles, options: FileOptions) -> tuple[Any, list[Name] | None]:
    """Files as a Spark frame, and the names of their columns where Spark does not find them."""
    packed = [part.path.name for part in files.parts if _is_packed(part.path.name, files.kind)]
    if files.kind not in KINDS or packed:
        raise SettingsError(
            f"need `engine = 'local'` for {packed[0] if packed else files.path}; Spark reads "
            "parquet, and CSV and JSON, these with .gz too."
        )
    paths = [GLOB.sub(r"\\\1", as_spark_takes_it(part.path)) for part in files.parts]
    given: Mapping[str, str] = {"mergeSchema": "true"}
    names: list[Name] | None = None
    if files.kind == "text":
        form = _plain_format(files.parts[0].path, options)
        given, names = _csv_options(form), list(form.names)
        Table(files.parts[0].path, options)  # tells what was found of the header
    elif files.kind == "json":
        given = {"mode": "FAILFAST", "multiLine": str(_is_array(files.parts[0].path))}
        given |= {} if options.encoding is None else {"encoding": options.encoding}
    if files.parts[0].keys:
        root = files.path if files.path.is_dir() else glob_root(files.path)
        given = {**given, "basePath": as_spark_takes_it(root)}
    schema = None
    if names is not None:
        schema = [*map(str, names), *files.parts[0].keys]
    return tables.read_files(session, KINDS[files.kind], paths, given, schema), names


def _is_packed(name: str, kind: str) -> bool:
    """Whether a file is compressed in a way that Spark does not read."""
    name = name.lower()
    return name.endswith(".zip") or (name.endswith(".gz") and kind == "parquet")


def _plain_format(path: FilePath, options: FileOptions) -> TextFormat:
    """How a text file is written, if Spark can read it.

    Raises
    ------
    SettingsError
        If it cannot.
    """
    form = find_format(path, options)
    odd = (
        *(form.decimal != ".", form.n_titles, form.n_header > 1, form.n_unnamed, form.repeated),
        *(form.has_comments, form.left_out, form.footer, form.quote != '"', form.quoted_lines),
        *(form.escaped, form.drawing, form.row_names, len(form.separator.strip(" ")) != 1),
        form.n_fields != len(form.names),
        form.n_above != form.n_header * form.has_header,
    )
    if any(odd):
        raise SettingsError(
            f"need `engine = 'local'` for {path}; Spark reads plain CSV, and this has "
            f"{form.describe() or 'lines that are no rows'}."
        )
    return form


def _csv_options(form: TextFormat) -> dict[str, str]:
    """Options by which Spark reads what pandas reads; a broken line is an error."""
    return {
        "sep": form.separator,
        "header": str(form.has_header),
        "encoding": CODEPAGES.get(form.encoding, form.encoding),
        "escape": '"',
        "enforceSchema": "false",
        "ignoreLeadingWhiteSpace": "true",
        "columnPruning": "false",
        "mode": "FAILFAST",
    }


def _is_array(path: FilePath) -> bool:
    """Whether a file of JSON is one array, rather than an object a line."""
    with open_bytes(path) as handle:
        return handle.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _whole_keys(files: TableFiles) -> set[Name]:
    """Partitions whose values are whole numbers."""
    keys = files.parts[0].keys
    return {key for key in keys if are_whole_numbers(part.keys[key] for part in files.parts)}
