"""A parquet file into a table of a database, in one transaction: rows replace those of their key.

The rows go to a temporary table first; then those with a known key are updated, and the others
inserted. Columns of the table that the file has not keep what they hold.
"""

import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as types
import sqlalchemy as sa

from anomdiff.jobs.stores.databases import SqlTarget, column_names, connected, split_name

__all__ = ["upsert"]

ROWS_SENT = 10_000  # rows that are sent to the database together


def upsert(path: Path, target: SqlTarget) -> int:
    """Write the rows of a parquet file into a table; all of them, or none.

    Parameters
    ----------
    path : Path
        File with the columns to write.
    target : SqlTarget
        The table, made if there is none, and the columns that name a row.

    Returns
    -------
    n_rows : int
        Number of rows that were written.

    Raises
    ------
    StoreError
        If the database does not answer.
    ValueError
        If a column or a key is missing, a key is there twice, or the database refuses the rows.
    """
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        _require_key(schema, target)
        with connected(target) as connection:
            table = _table(connection, schema, target)
            staged = _staged(connection, file, target)
            _require_distinct(connection, staged, target)
            _merge(connection, table, staged, target.key)
            staged.drop(connection)
        return file.metadata.num_rows


def _require_key(schema: pa.Schema, target: SqlTarget) -> None:
    missing = [name for name in target.key if name not in schema.names]
    if missing:
        raise ValueError(
            f"need the key columns {missing} of {target}; the rows have {schema.names}: set `key` "
            "to columns of the input."
        )


def _table(connection: sa.Connection, schema: pa.Schema, target: SqlTarget) -> sa.TableClause:
    """The table to write, made if there is none; one without some columns is refused."""
    place, name = split_name(target.table)
    if not sa.inspect(connection).has_table(name, schema=place):
        made = sa.Table(name, sa.MetaData(), *_columns(schema, target.key), schema=place)
        made.create(connection)
    known = column_names(connection, sa.table(name, schema=place))
    missing = [each for each in schema.names if each not in known]
    if missing:
        raise ValueError(
            f"need columns {missing} in {target}; it has {known}: add them, or set another `table`."
        )
    return sa.table(name, *[sa.column(each) for each in known], schema=place)


def _columns(schema: pa.Schema, key: tuple[str, ...] = ()) -> list[sa.Column]:
    return [
        sa.Column(
            field.name,
            _sql_type(field.type),
            primary_key=field.name in key,
            autoincrement=False,  # a key that the rows bring is never counted
        )
        for field in schema
    ]


def _sql_type(kind: pa.DataType) -> sa.types.TypeEngine:
    """Type of a column that holds the cells of an Arrow type."""
    if types.is_boolean(kind):
        return sa.Boolean()
    if types.is_integer(kind):
        return sa.BigInteger()
    if types.is_floating(kind):
        return sa.Double()
    if types.is_date(kind):
        return sa.Date()
    if types.is_timestamp(kind):
        return sa.DateTime(timezone=kind.tz is not None)
    return sa.Text()


def _staged(connection: sa.Connection, file: pq.ParquetFile, target: SqlTarget) -> sa.Table:
    """Send the rows to a temporary table."""
    name = f"anomdiff_{uuid.uuid4().hex}"
    staged = sa.Table(name, sa.MetaData(), *_columns(file.schema_arrow), prefixes=["TEMPORARY"])
    staged.create(connection)
    texts = [column.name for column in staged.columns if isinstance(column.type, sa.Text)]
    for batch in file.iter_batches(ROWS_SENT):
        rows = batch.to_pylist()
        for row in rows:
            row |= {name: None if row[name] is None else str(row[name]) for name in texts}
        if connection.dialect.driver == "psycopg":
            _copy(connection, staged, rows)
        else:
            connection.execute(sa.insert(staged), rows)
    return staged


def _copy(connection: sa.Connection, staged: sa.Table, rows: list[dict]) -> None:
    """Send rows to PostgreSQL by COPY, ten times as fast as by INSERT."""
    quoted = connection.dialect.identifier_preparer
    names = ", ".join(quoted.quote(column.name) for column in staged.columns)
    statement = f"COPY {quoted.format_table(staged)} ({names}) FROM STDIN"
    cursor: Any = connection.connection.cursor()
    with closing(cursor), cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(list(row.values()))


def _require_distinct(connection: sa.Connection, staged: sa.Table, target: SqlTarget) -> None:
    """Refuse rows without a key, or with that of another row."""
    key = [staged.columns[name] for name in target.key]
    empty = sa.select(sa.func.count()).where(sa.or_(*[column.is_(None) for column in key]))
    if n_empty := connection.execute(empty).scalar_one():
        raise ValueError(
            f"need the key {list(target.key)} of {target} in each row; {n_empty:,} rows have none."
        )
    twice = sa.select(*key).group_by(*key).having(sa.func.count() > 1).limit(1)
    if (found := connection.execute(twice).first()) is not None:
        raise ValueError(
            f"need each key {list(target.key)} of {target} once; {tuple(found)} is there more than "
            "once: set `key` to columns that name a row."
        )


def _merge(
    connection: sa.Connection, table: sa.TableClause, staged: sa.Table, key: tuple[str, ...]
) -> None:
    """Update the rows whose key is there, and insert the others."""
    same = sa.and_(*[table.columns[name] == staged.columns[name] for name in key])
    names = staged.columns.keys()
    values = {name: staged.columns[name] for name in names if name not in key}
    if values:
        connection.execute(sa.update(table).values(values).where(same))
    new = sa.select(*staged.columns).where(~sa.exists().where(same).correlate(staged))
    connection.execute(sa.insert(table).from_select(names, new))
