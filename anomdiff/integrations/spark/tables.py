"""Files, and tables of Delta or Iceberg, as Spark frames whose rows can be numbered.

Spark has no order of rows between files, but keeps that within each part of a file that it reads at
once. So a row is numbered by the rows of the parts before its own, and by its place there.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from anomdiff.integrations.spark.frames import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["PART", "Field", "fields", "part_sizes", "read_files", "read_snapshot", "selected"]

PART = ("part_file", "part_start")  # columns that say which part of which file a row is of
VERSIONS = {
    "delta": "DESCRIBE HISTORY {table} LIMIT 1",
    "iceberg": "SELECT snapshot_id FROM {table}.history ORDER BY made_current_at DESC LIMIT 1",
}
AS_OF = {"delta": "versionAsOf", "iceberg": "snapshot-id"}


class Field(NamedTuple):
    """A column, those within structs too (`address.city`)."""

    name: str
    path: tuple[str, ...]
    type: pa.DataType


def read_files(
    session: "SparkSession",
    kind: str,
    paths: Sequence[str],
    options: Mapping[str, str],
    schema: Sequence[str] | None,
) -> "DataFrame":
    """Files as one frame.

    Parameters
    ----------
    session : SparkSession
        That reads.
    kind : {"parquet", "csv", "json"}
        What kind of files they are.
    paths : sequence of str
        All files.
    options : mapping
        Of Spark's reader.
    schema : sequence of str, optional
        Columns of text that all files have, in their order; else Spark looks at the files.
    """
    from pyspark.sql.types import StringType, StructType

    reader = session.read.format(kind).options(**options)
    if schema is not None:
        types = StructType()
        for name in schema:
            types = types.add(name, StringType())
        reader = reader.schema(types)
    return reader.load(list(paths))


def read_snapshot(session: "SparkSession", kind: str, place: str) -> "tuple[DataFrame, str]":
    """Present version of a table, and its name: what is written meanwhile is not read.

    Parameters
    ----------
    session : SparkSession
        That reads, with the packages and the catalog of the format.
    kind : {"delta", "iceberg"}
        Format.
    place : str
        Name of a table (`sales.payments`), or a path, which has a slash.
    """
    reader = session.read.format(kind)
    if "/" not in place:
        session.read.table(place)  # says if there is none
        row = session.sql(VERSIONS[kind].format(table=place)).first()
        version = "" if row is None else str(row[0])
        return session.read.option(AS_OF[kind], version).table(place), version
    reader.load(place)  # says if there is none, or no such format
    if kind == "delta":
        row = session.sql(VERSIONS[kind].format(table=f"delta.`{place}`")).first()
    else:
        history = session.read.format(kind).load(f"{place}#history")
        row = history.orderBy("made_current_at", ascending=False).select("snapshot_id").first()
    version = "" if row is None else str(row[0])
    return reader.option(AS_OF[kind], version).load(place), version


def fields(frame: "DataFrame") -> list[Field]:
    """Columns of a frame, with those within structs."""
    from pyspark.sql.pandas.types import to_arrow_type

    return [
        Field(".".join(path), path, to_arrow_type(kind, timezone="UTC"))
        for path, kind in _leaves(frame.schema, ())
    ]


def selected(
    frame: "DataFrame", columns: Mapping[str, tuple[str, ...]], of_files: bool
) -> "DataFrame":
    """Some columns under new names, by their paths, and those that say of which part a row is."""
    from pyspark.sql import functions as f

    part = [f.lit(""), f.spark_partition_id().cast("bigint")]
    if of_files:
        part = [f.col("_metadata.file_path"), f.col("_metadata.file_block_start")]
    taken = [f.col(".".join(map(quoted, path))) for path in columns.values()]
    named = zip([*taken, *part], [*columns, *PART], strict=True)
    return frame.select(*(column.alias(name) for column, name in named))


def part_sizes(frame: "DataFrame") -> dict[tuple[str, int], int]:
    """Rows of each part of each file."""
    counted = frame.groupBy(*PART).count().collect()
    return {(row[0], row[1]): row[2] for row in counted}


def _leaves(schema: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    from pyspark.sql.types import StructType

    for field in schema.fields:
        path = (*above, field.name)
        if isinstance(field.dataType, StructType) and field.dataType.fields:
            yield from _leaves(field.dataType, path)
        else:
            yield path, field.dataType
