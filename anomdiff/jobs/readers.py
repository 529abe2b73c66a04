"""Tables in files, read whole or in batches of bounded memory.

A CSV file has no types, and a batch must not guess other types than the whole file would give:
what is text to the model is read as text ('08' stays '08'), only numbers are inferred.
"""

import gzip
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "Name",
    "column_names",
    "copy_types",
    "count_rows",
    "find_column",
    "is_csv",
    "iter_table",
    "match_columns",
    "read_table",
]

CSV_SUFFIXES = (".csv", ".csv.gz", ".data")
READ_BUFFER = 1 << 20  # bytes: column chunks are then streamed, not held whole

Name = str | int


def read_table(
    path: Path | str, *, header: bool = True, text: Collection[Name] = ()
) -> pd.DataFrame:
    """Read a whole table: a `.csv`, `.csv.gz`, `.data` or `.parquet` file, or a folder of parquet.

    Without a `header`, the columns of a CSV file are 0, 1, 2, ...; `text` are those to read as
    text even if all their values look like numbers.
    """
    path = Path(path)
    if is_csv(path):
        with _csv_errors(path):
            dtypes = dict.fromkeys(text, "str")
            return _checked(pd.read_csv(path, dtype=dtypes, **_csv_options(path, header)), path)
    batches = list(_record_batches(path, 1 << 20, column_names(path)))
    if not batches:
        raise ValueError(f"need at least one row; {path} is an empty table.")
    return _to_pandas(pa.Table.from_batches(batches))


def iter_table(
    path: Path | str,
    *,
    batch_size: int,
    header: bool = True,
    columns: Sequence[Name] | None = None,
    text: Collection[Name] = (),
) -> Iterator[pd.DataFrame]:
    """Yield a table in batches, in its order; the index counts the rows of the whole table.

    Memory holds about one batch, however large the file is. In CSV, the type of columns that are
    not read as `text` is inferred batch by batch.
    """
    path = Path(path)
    names = column_names(path, header=header)
    columns = names if columns is None else list(match_columns(columns, names).values())
    if is_csv(path):
        batches = _csv_batches(path, batch_size, header, columns, text)
    else:
        batches = map(_to_pandas, _record_batches(path, batch_size, columns))
    rows = 0
    for frame in batches:
        frame.index = pd.RangeIndex(rows, rows + len(frame))
        rows += len(frame)
        yield frame
    if not rows:
        raise ValueError(f"need at least one row; {path} is an empty table.")


def column_names(path: Path | str, *, header: bool = True) -> list[Name]:
    """Names of the columns of a table, without reading its rows."""
    path = Path(path)
    if not is_csv(path):
        return [*_parquet_schema(path).names]
    with _csv_errors(path):
        options = {"header": None, "dtype": "str", "na_filter": False, **_csv_format(path)}
        first = pd.read_csv(path, nrows=1, **options).iloc[0]
    return _distinct([name.strip() for name in first], path) if header else list(first.index)


def is_csv(path: Path) -> bool:
    """Whether a table is CSV and not parquet, by its name; raise if it is neither or not there."""
    if not path.exists():
        raise FileNotFoundError(f"need a table at {path}; there is no such file.")
    name = path.name.lower()
    if path.is_dir() or name.endswith(".parquet"):
        return False
    if not name.endswith(CSV_SUFFIXES):
        known = ", ".join([*CSV_SUFFIXES, ".parquet"])
        raise ValueError(f"need a file named {known}, or a folder of parquet files; got {path}.")
    return True


def count_rows(path: Path | str) -> int | None:
    """Number of rows of parquet files; None for CSV, which would have to be read for it."""
    path = Path(path)
    if is_csv(path):
        return None
    return sum(_open_parquet(file).metadata.num_rows for file in _parquet_files(path))


def match_columns(wanted: Sequence[Name], names: Sequence[Name]) -> dict[Name, Name]:
    """Map each wanted name to that of the table; "3" also stands for the column 3."""
    by_text = {str(name): name for name in names}
    missing = [name for name in wanted if str(name) not in by_text]
    if missing:
        more = ", ..." if len(names) > 12 else ""
        there = ", ".join(map(repr, names[:12]))
        raise ValueError(f"need columns {missing}; the table has {there}{more}.")
    return {name: by_text[str(name)] for name in wanted}


def find_column(names: Sequence[Name], wanted: Name | None) -> Name | None:
    """Column of a table as the table names it; None if there is none, or none is wanted."""
    if wanted is None:
        return None
    return next((name for name in names if str(name) == str(wanted)), None)


def copy_types(path: Path | str, *, numbers: Sequence[Name], header: bool = True) -> pa.Schema:
    """Arrow type in which each column of a file can be copied, whatever a batch holds.

    For CSV it is float64 for the columns in `numbers` and text for the others.
    """
    path = Path(path)
    if not is_csv(path):
        return pa.schema([(f.name, _plain_type(f.type)) for f in _parquet_schema(path)])
    names = column_names(path, header=header)
    return pa.schema([(str(n), pa.float64() if n in numbers else pa.string()) for n in names])


def _csv_batches(
    path: Path, batch_size: int, header: bool, columns: Sequence[Name], text: Collection[Name]
) -> Iterator[pd.DataFrame]:
    with _csv_errors(path):
        dtypes = dict.fromkeys(set(text) & set(columns), "str")
        options = _csv_options(path, header)
        with pd.read_csv(path, chunksize=batch_size, dtype=dtypes, **options) as chunks:
            start = 0
            for chunk in chunks:
                yield _checked(chunk, path, start)[columns]
                start += len(chunk)


def _record_batches(
    path: Path, batch_size: int, columns: Sequence[Name]
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of all files in the types of the first."""
    schema = _parquet_schema(path)
    target = pa.schema([(name, _without_decimal(schema.field(name).type)) for name in columns])
    for file in _parquet_files(path):
        with _open_parquet(file) as parquet:
            match_columns(columns, parquet.schema_arrow.names)
            try:
                for batch in parquet.iter_batches(batch_size, columns=columns):
                    yield batch.select(columns).cast(target)
            except (pa.ArrowException, OSError) as error:
                raise ValueError(f"{file} is damaged: {_first_line(error)}.") from None


def _to_pandas(table: pa.RecordBatch | pa.Table) -> pd.DataFrame:
    return table.to_pandas(date_as_object=False)


def _parquet_schema(path: Path) -> pa.Schema:
    """Read the schema of the first file, without the index columns that pandas adds."""
    schema = _open_parquet(_parquet_files(path)[0]).schema_arrow
    _distinct(schema.names, path)
    return pa.schema([field for field in schema if not field.name.startswith("__index_level_")])


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, pre_buffer=False, buffer_size=READ_BUFFER)
    except pa.ArrowInvalid:
        raise ValueError(f"need a parquet file; {path} is not one.") from None


def _parquet_files(path: Path) -> list[Path]:
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise FileNotFoundError(f"need .parquet files in the folder {path}; there are none.")
    return files


def _csv_options(path: Path, header: bool) -> dict[str, Any]:
    names = column_names(path) if header else None  # stripped and distinct
    return {
        "header": 0 if header else None,
        "names": names,
        "low_memory": False,  # else types are inferred in parts of a batch
        **_csv_format(path),
    }


def _csv_format(path: Path) -> dict[str, Any]:
    """Separator and encoding (with or without a byte order mark)."""
    open_text = gzip.open if path.name.lower().endswith(".gz") else open
    with open_text(path, "rt", encoding="utf-8-sig") as lines:
        separator = max(",;\t", key=lines.readline().count)
    return {"sep": separator, "skipinitialspace": True, "encoding": "utf-8-sig"}


def _checked(frame: pd.DataFrame, path: Path, start: int = 0) -> pd.DataFrame:
    """Refuse what pandas accepts silently: no rows, and rows longer than the header."""
    if frame.empty:
        raise ValueError(f"need at least one row; {path} is an empty table.")
    if not frame.index.equals(pd.RangeIndex(start, start + len(frame))):  # a column became index
        raise ValueError(f"{path} has more values in a row than names in its first line.")
    return frame


@contextmanager
def _csv_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except pd.errors.EmptyDataError:
        raise ValueError(f"need at least one row; {path} is an empty file.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}.") from None
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is no valid CSV: {_first_line(error)}.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is damaged: {_first_line(error)}.") from None


def _distinct(names: list[Name], path: Path) -> list[Name]:
    twice = sorted({name for name in names if names.count(name) > 1}, key=str)
    if twice:
        raise ValueError(f"need distinct column names; {path} has {twice} more than once.")
    return names


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """Replace types that can change from batch to batch or that pandas does not hold."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    return pa.string() if pa.types.is_null(kind) else _without_decimal(kind)


def _without_decimal(kind: pa.DataType) -> pa.DataType:
    return pa.float64() if pa.types.is_decimal(kind) else kind


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
