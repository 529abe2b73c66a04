"""Reading a table, a view or a query of a database in batches.

Only the columns that are asked for are read, through a cursor of the server, so that memory holds
about one batch. The types are those that the table declares; of a query, and of a table of a
database that SQLAlchemy itself does not know, those of the first rows.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from anomdiff.jobs.stores.databases import (
    SqlSource,
    column_names,
    connected,
    has_reflection,
    split_name,
)
from anomdiff.jobs.tables.arrow_types import as_pandas
from anomdiff.jobs.tables.options import Name

__all__ = ["SqlTable"]

SAMPLE_ROWS = 10_000  # whose cells say of which type the columns of a query are
BATCH_READ = 50_000  # rows of a batch of a table that is read whole
TIME = pa.timestamp("us")
TYPES: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    Decimal: pa.float64(),
    date: pa.date32(),
    datetime: TIME,
}


class SqlTable:
    """Rows of a database as one table.

    Attributes
    ----------
    names : list
        Names of the columns.
    schema : Schema
        Their types.
    """

    def __init__(self, source: SqlSource):
        source.require_times()
        self._source = source
        with connected(source) as connection:
            self._from, self._columns = _described(connection, source)
            if isinstance(self._from, sa.Table):
                kinds = {name: _declared(column.type) for name, column in self._columns.items()}
            else:
                kinds = self._sampled(connection)
        self.schema = pa.schema(list(kinds.items()))
        self.names: list[Name] = list(kinds)

    def notices(self, columns: Sequence[Name]) -> list[str]:
        """What a user has to know about how columns are read: nothing."""
        return []

    def read(self, columns: Sequence[Name]) -> pd.DataFrame:
        """Read all rows of some columns."""
        batches = list(self._record_batches(BATCH_READ, columns))
        if not batches:
            raise ValueError(f"need at least one row; {self._source} has none.")
        return as_pandas(pa.Table.from_batches(batches))

    def batches(self, batch_size: int, columns: Sequence[Name]) -> Iterator[pd.DataFrame]:
        """Yield some columns in batches."""
        return map(as_pandas, self._record_batches(batch_size, columns))

    def copy(self, path: Path, columns: Sequence[Name]) -> None:
        """Write some columns of all rows to a parquet file."""
        schema = pa.schema([self.schema.field(name) for name in columns])
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in self._record_batches(BATCH_READ, columns):
                writer.write_batch(batch)

    def _record_batches(self, size: int, columns: Sequence[Name]) -> Iterator[pa.RecordBatch]:
        schema = pa.schema([self.schema.field(name) for name in columns])
        with connected(self._source) as connection:
            streamed = connection.execution_options(yield_per=size)
            for rows in streamed.execute(self._select(columns)).partitions(size):
                cells = zip(*rows, strict=True) if columns else ()
                arrays = [
                    self._array(each, field) for each, field in zip(cells, schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _select(self, columns: Sequence[Name]) -> sa.Select:
        """Statement for some columns of the rows between `since` and `until`, in their order."""
        found = self._columns
        query = sa.select(*[found[str(name)] for name in columns]).select_from(self._from)
        for column, time, is_after in self._limits():
            query = query.where(column >= time if is_after else column < time)
        return query.order_by(*[self._known(name) for name in self._source.order])

    def _limits(self) -> Iterator[tuple[sa.ColumnElement, Any, bool]]:
        source = self._source
        if source.date is None:
            return
        column = self._known(source.date)
        for time, is_after in ((source.since, True), (source.until, False)):
            if time is not None:
                yield column, _comparable(time, column.type), is_after

    def _known(self, name: str) -> sa.ColumnElement:
        if name not in self._columns:
            raise ValueError(
                f"need the column {name!r} in {self._source}; it has {list(self._columns)}."
            )
        return self._columns[name]

    def _sampled(self, connection: sa.Connection) -> dict[str, pa.DataType]:
        """Types of columns that declare none, by the first rows."""
        rows = connection.execute(self._select(list(self._columns)).limit(SAMPLE_ROWS)).all()
        cells = zip(*rows, strict=True) if rows else ([] for _ in self._columns)
        return {name: _common(each) for name, each in zip(self._columns, cells, strict=True)}

    def _array(self, cells: Sequence[Any], field: pa.Field) -> pa.Array:
        """Cells of a column in its type."""
        prepare = _PREPARED.get(field.type, _as_it_is)
        try:
            return pa.array([None if cell is None else prepare(cell) for cell in cells], field.type)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            other = next(islice(_unlike(cells, field.type, prepare), 1), None)
            raise ValueError(
                f"need cells of type {field.type} in column {field.name!r} of {self._source}; got "
                f"{other!r}: CAST it to one type in a `query`."
            ) from None


def _described(
    connection: sa.Connection, source: SqlSource
) -> tuple[sa.FromClause | sa.TextClause, dict[str, sa.ColumnElement]]:
    """What to select from, and its columns: with their types only if SQLAlchemy can tell them."""
    start: sa.FromClause | sa.TextClause
    if source.table is None:
        start = _bound(connection, source)
    else:
        schema, name = split_name(source.table)
        if has_reflection(connection):
            table = sa.Table(name, sa.MetaData(), schema=schema, autoload_with=connection)
            return table, {column.name: column for column in table.columns}
        start = sa.table(name, schema=schema)
    return start, {name: sa.column(name) for name in column_names(connection, start)}


def _bound(connection: sa.Connection, source: SqlSource) -> sa.TextClause:
    """Query of a source with the times that it asks for."""
    query = sa.text(f"({(source.query or '').strip().rstrip(';')}) AS rows_of_query")
    kind = sa.Text() if connection.dialect.name == "sqlite" else sa.DateTime()
    times = {"since": source.since, "until": source.until}
    given = {name: _comparable(time, kind) for name, time in times.items() if time is not None}
    return query.bindparams(**given)


def _declared(kind: sa.types.TypeEngine) -> pa.DataType:
    """Type of a column that a table declares; what has no other is text."""
    try:
        found = kind.python_type
    except NotImplementedError:
        return pa.string()
    if found is datetime and getattr(kind, "timezone", False):
        return pa.timestamp("us", "UTC")
    return TYPES.get(found, pa.string())


def _common(cells: Sequence[Any]) -> pa.DataType:
    """Type that holds all cells; text if there is none but missing ones."""
    found = {type(cell) for cell in cells if cell is not None}
    zoned = any(isinstance(cell, datetime) and cell.tzinfo is not None for cell in cells)
    if found == {datetime} and zoned:
        return pa.timestamp("us", "UTC")
    kinds = {TYPES.get(each, pa.string()) for each in found}
    if len(kinds) == 1:
        return kinds.pop()
    return pa.float64() if kinds and kinds <= {pa.int64(), pa.float64()} else pa.string()


def _comparable(time: datetime, kind: sa.types.TypeEngine) -> date | str:
    """Time as a column of a type is compared with; of a text, as ISO writes it."""
    try:
        found = kind.python_type
    except NotImplementedError:
        return time
    if found is str:
        return str(time.date()) if time.time() == time.min.time() else str(time)
    return time.date() if found is date else time


def _as_text(cell: Any) -> str:
    if isinstance(cell, dict | list):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return (
        bytes(cell).decode(errors="replace") if isinstance(cell, bytes | memoryview) else str(cell)
    )


def _as_it_is(cell: Any) -> Any:
    return cell


def _unlike(
    cells: Sequence[Any], kind: pa.DataType, prepare: Callable[[Any], Any]
) -> Iterator[Any]:
    """Cells that are not of a type."""
    for cell in cells:
        try:
            pa.array([None if cell is None else prepare(cell)], kind)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            yield cell


_PREPARED: dict[pa.DataType, Callable[[Any], Any]] = {pa.string(): _as_text, pa.float64(): float}
