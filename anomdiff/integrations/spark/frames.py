"""Functions of Arrow batches on the workers of Spark, and small tables that come back from it."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["collected", "grouped", "in_batches", "kept", "quoted", "series_by_series", "write"]

Batches = Iterator[pa.RecordBatch]


def in_batches(
    frame: "DataFrame", function: Callable[[Batches], Batches], schema: pa.Schema
) -> "DataFrame":
    """Frame that a function makes of the Arrow batches of each partition, in their order."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return frame.mapInArrow(lambda batches: function(batches), from_arrow_schema(schema))


def series_by_series(
    frame: "DataFrame", series: str, function: Callable[[pa.Table], pa.Table], schema: pa.Schema
) -> "DataFrame":
    """Frame that a function makes of the rows of each series, all of which one worker holds."""
    from pyspark.sql.pandas.types import from_arrow_schema

    return frame.groupBy(quoted(series)).applyInArrow(
        lambda steps: function(steps), from_arrow_schema(schema)
    )


def kept(frame: "DataFrame") -> "DataFrame":
    """Frame whose rows are computed once, when they are first needed, and kept by the workers."""
    from pyspark import StorageLevel

    return frame.persist(StorageLevel.MEMORY_AND_DISK)


def grouped(frame: "DataFrame", by: Sequence[str], **expressions: str) -> pa.Table:
    """Aggregates of a frame by the values of some columns, as one table on the driver.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Any.
    by : sequence of str
        Columns; none for one line.
    expressions : str
        Aggregates in SQL, by the name of their column.
    """
    from pyspark.sql import functions as f

    found = [f.expr(text).alias(name) for name, text in expressions.items()]
    return frame.groupBy(*map(quoted, by)).agg(*found).toArrow()


def collected(
    frame: "DataFrame",
    expressions: Sequence[str],
    *,
    where: str = "true",
    worst: int | None = None,
    share: float = 1.0,
) -> pa.Table:
    """Some rows of a frame on the driver.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Scored rows.
    expressions : sequence of str
        Columns in SQL.
    where : str, optional
        Which rows.
    worst : int, optional
        Only so many rows, of the highest ``anomaly_score``; of equal ones the first.
    share : float, default=1
        Share of the rows to draw, always the same ones.
    """
    found = frame.where(where)
    if share < 1:
        found = found.sample(fraction=share, seed=0)
    if worst is not None:
        found = found.orderBy(["anomaly_score", "row"], ascending=[False, True]).limit(worst)
    return found.selectExpr(*expressions).toArrow()


def write(frame: "DataFrame", columns: Sequence[str], place: str) -> None:
    """Write some columns as a folder of parquet files, in place of what is there."""
    scored = frame.select(*map(quoted, columns))
    scored.write.mode("overwrite").option("compression", "zstd").parquet(place)


def quoted(name: str) -> str:
    """Name of a column in SQL."""
    return "`" + name.replace("`", "``") + "`"
