"""Reading the parquet files of a table in the types of all of them.

The types come from the footers of all files, so that a batch never has others than the whole.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from anomdiff.jobs.stores.locations import FilePath, RemotePath, require_reachable
from anomdiff.jobs.tables.arrow_types import (
    Leaf,
    as_pandas,
    cast_cells,
    is_binary,
    is_nested,
    leaves,
    unified_type,
)
from anomdiff.jobs.tables.files import (
    Part,
    TableFiles,
    are_whole_numbers,
    damaged,
    first_line,
    open_bytes,
)
from anomdiff.jobs.tables.layout import distinct_names
from anomdiff.jobs.tables.options import Name

__all__ = ["ParquetTable"]

READ_BUFFER = 1 << 20  # bytes: column chunks are then streamed, not held whole
WHOLE = 1 << 20  # rows of a batch of a table that is read whole


class ParquetTable:
    """Parquet files as one table.

    Attributes
    ----------
    names : list
        Names of all columns of all files, and of the partitions.
    schema : Schema
        Their types.
    """

    def __init__(self, files: TableFiles):
        self._files = files
        self._leaves = [_distinct_leaves(_open(part.path).schema_arrow) for part in files.parts]
        found: dict[str, list[pa.DataType]] = {}
        for each in self._leaves:
            for name, (_, kind) in each.items():
                found.setdefault(name, []).append(kind)
        self._found = found
        columns = {
            name: unified_type(kinds)
            for name, kinds in found.items()
            if not _is_missing_struct(name, kinds, found)
        }
        for key in files.parts[0].keys:
            whole = are_whole_numbers(part.keys[key] for part in files.parts)
            columns.setdefault(key, pa.int64() if whole else pa.string())
        self.schema = pa.schema(list(columns.items()))
        self.names: list[Name] = list(columns)

    def count_rows(self) -> int:
        """Number of rows, from the footers."""
        return sum(_open(part.path).metadata.num_rows for part in self._files.parts)

    def notices(self, columns: Sequence[Name]) -> list[str]:
        """What a user has to know about how some columns are read."""
        nested, texts, partial = [], [], []
        for name in columns:
            kinds = self._found.get(str(name), [])
            several = len({str(kind) for kind in kinds if not pa.types.is_null(kind)}) > 1
            target = self.schema.field(name).type
            as_text = pa.types.is_string(target) or pa.types.is_large_string(target)
            nested += [name] if any(map(is_nested, kinds)) else []
            texts += [name] if several and as_text and not all(map(_is_text, kinds)) else []
            partial += [name] if 0 < len(kinds) < len(self._files.parts) else []
        said = {
            "hold lists or maps, which are read as text; leave them out with `drop`": nested,
            "hold text in some files and other cells in others; all are read as text": texts,
            "are not in all files; they are missing in the others": partial,
        }
        return [f"columns {names} of {self._files.path} {s}." for s, names in said.items() if names]

    def read(self, columns: Sequence[Name]) -> pd.DataFrame:
        """Read all rows of some columns."""
        batches = list(self._record_batches(WHOLE, columns))
        if not batches:
            raise ValueError(f"need at least one row; {self._files.path} is an empty table.")
        return as_pandas(pa.Table.from_batches(batches))

    def batches(self, batch_size: int, columns: Sequence[Name]) -> Iterator[pd.DataFrame]:
        """Yield some columns in batches."""
        return map(as_pandas, self._record_batches(batch_size, columns))

    def _record_batches(self, size: int, columns: Sequence[Name]) -> Iterator[pa.RecordBatch]:
        target = pa.schema([self.schema.field(name) for name in columns])
        for part, there in zip(self._files.parts, self._leaves, strict=True):
            roots = list(dict.fromkeys(path[0] for n, (path, _) in there.items() if n in columns))
            roots = roots or [path[0] for path, _ in there.values()][:1]
            with _open(part.path) as parquet, _damage(part.path):
                for batch in parquet.iter_batches(size, columns=_unless_repeated(parquet, roots)):
                    yield _brought_to(target, batch, part, there)


def _brought_to(
    target: pa.Schema, batch: pa.RecordBatch, part: Part, there: dict[str, tuple]
) -> pa.RecordBatch:
    """Columns of a batch in the types of the table; what a file lacks is missing."""
    arrays = []
    for field in target:
        if field.name in there:
            path, _ = there[field.name]
            cells = batch.column(_place(batch.schema, path[0]))
            for name in path[1:]:
                cells = pc.struct_field(cells, name)
            arrays.append(cast_cells(cells, field.type))
        elif field.name in part.keys:
            value = pa.scalar(part.keys[field.name], pa.string()).cast(field.type)
            arrays.append(pa.repeat(value, batch.num_rows))
        else:
            arrays.append(pa.nulls(batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=target)


def _is_missing_struct(name: str, kinds: list[pa.DataType], names: Iterable[str]) -> bool:
    """Whether a column without a type in some files is a struct in others."""
    missing = all(map(pa.types.is_null, kinds))
    return missing and any(other.startswith(f"{name}.") for other in names)


def _distinct_leaves(schema: pa.Schema) -> dict[str, tuple[tuple, pa.DataType]]:
    """Path and type of each column by its name; columns of one name are told apart (`a.1`)."""
    repeated = len(set(schema.names)) < len(schema.names)
    found: list[Leaf] = leaves(schema)
    names, _ = distinct_names([name for name, _, _ in found])
    if not repeated:
        return {str(n): (path, kind) for n, (_, path, kind) in zip(names, found, strict=True)}
    places = [i for i, field in enumerate(schema) for _ in leaves(pa.schema([field]))]
    return {
        str(name): ((place, *path[1:]), kind)
        for name, place, (_, path, kind) in zip(names, places, found, strict=True)
    }


def _place(schema: pa.Schema, root: str | int) -> int:
    return root if isinstance(root, int) else schema.get_field_index(root)


def _unless_repeated(parquet: pq.ParquetFile, roots: list) -> list | None:
    """Columns to read; all, if only their places tell them apart."""
    return None if any(isinstance(root, int) for root in roots) else roots


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    return text or kind == pa.string_view() or is_binary(kind) or is_nested(kind)


@contextmanager
def _damage(path: FilePath) -> Iterator[None]:
    """Report a damaged file in one sentence, unless the store of the file is away."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        require_reachable(path)
        raise ValueError(f"{path} is damaged: {first_line(error)}.") from None


def _open(path: FilePath) -> pq.ParquetFile:
    source: FilePath | pa.BufferReader | pa.NativeFile = path
    if path.name.lower().endswith((".gz", ".zip")):
        with damaged(path), open_bytes(path) as handle:
            source = pa.BufferReader(io.BytesIO(handle.read()).getvalue())
    elif isinstance(path, RemotePath):
        source = path.open_arrow()
    try:
        return pq.ParquetFile(source, pre_buffer=False, buffer_size=READ_BUFFER)
    except pa.ArrowInvalid:
        require_reachable(path)
        raise ValueError(f"need a parquet file; {path} is not one.") from None
