"""Scoring on Spark: the same model and the same numbers, as columns beside the input.

Rows travel as Arrow batches (`mapInArrow`, `applyInArrow`). The columns that the model reads become
pandas; every other column comes back unchanged, where `mapInPandas` would turn an integer key with
nulls into floats, and `spark_udf` would take the columns one by one and return a struct. The model
travels inside the function that Spark sends out, so that workers need this package but no MLflow
server, and an alias that moves meanwhile changes nothing; each Python worker loads it once.
Timestamps are read in UTC, whatever the session's time zone is.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.storage import load, save

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

__all__ = ["score_panel", "score_table", "serialize", "unpack"]

Files = tuple[tuple[str, bytes], ...]

RESULTS = {"anomaly_score": pa.float64(), "p_value": pa.float64(), "is_anomaly": pa.bool_()}
SERIES_RESULTS = {**RESULTS, "channel": pa.string()}
SPARK_TYPES = {pa.float64(): "double", pa.bool_(): "boolean", pa.string(): "string"}
FUNCTIONS = {"row": "score_table", "step": "score_panel"}


def score_table(frame: "DataFrame", model: str | DiffusionDetector) -> "DataFrame":
    """Score the rows of a Spark frame.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Rows with the columns of the model, found by name; further columns come along.
    model : str or TabularDetector
        MLflow URI, such as `models:/NAME@champion`, or a fitted detector. It is fetched now, by
        this process, and only once.

    Returns
    -------
    scored : pyspark.sql.DataFrame
        All rows and columns of `frame`, in their partitions and order, and `anomaly_score`
        (larger is more anomalous), `p_value` and `is_anomaly`. Computed when Spark needs it.

    Raises
    ------
    ImportError
        If pyspark is not installed.
    TypeError
        If the model is one for series.
    ValueError
        If the frame lacks a column of the model, or has one with the name of a result.
    """
    detector = _fetch(model, "row")
    names = {str(name): name for name in detector.columns_in_}
    schema = _schema(frame, names, RESULTS)
    files = serialize(detector)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _score_batches(files, names, batches)

    return frame.mapInArrow(score, schema)


def score_panel(
    frame: "DataFrame",
    model: str | DiffusionDetector,
    *,
    series: str | None = None,
    time: str | None = None,
) -> "DataFrame":
    """Score a panel of series, each by one worker, which holds all steps of the series at once.

    Parameters
    ----------
    frame : pyspark.sql.DataFrame
        Steps in any order, whole series; further columns come along.
    model : str or TimeSeriesDetector
        MLflow URI, or a fitted detector.
    series : str, optional
        Column that tells the series apart; by default the one the model was fitted with. A model
        of a single series scores every series by itself.
    time : str, optional
        Column of the time, by default the one the model was fitted with. Spark keeps no order of
        rows, so that there has to be one.

    Returns
    -------
    scored : pyspark.sql.DataFrame
        All rows and columns of `frame`, series by series, and `anomaly_score`, `p_value`,
        `is_anomaly` and `channel`, the one with the largest contribution.

    Raises
    ------
    ImportError
        If pyspark is not installed.
    TypeError
        If the model is one for tables.
    ValueError
        If there is no column of series or time, the frame lacks a column of the model, or has
        one with the name of a result.
    """
    detector = _fetch(model, "step")
    layout = detector.layout_
    series, time = series or layout.series, time or layout.time
    for role, name in (("series", series), ("time", time)):
        if name is None:
            raise ValueError(
                f"need {role}=, a column of the Spark frame; got None, and the model has none."
            )
    names = {str(name): name for name in layout.channels}
    names |= {time: layout.time or time, series: layout.series or series}
    schema = _schema(frame, names, SERIES_RESULTS)
    files = serialize(detector)

    def score(steps: pa.Table) -> pa.Table:
        return _score_series(files, names, time, steps)

    return frame.groupBy(series).applyInArrow(score, schema)


def serialize(detector: DiffusionDetector) -> Files:
    """Names and contents of the files that `anomdiff.save` writes, to be sent to the workers."""
    with TemporaryDirectory() as folder:
        paths = sorted(save(detector, folder).iterdir())
        return tuple((path.name, path.read_bytes()) for path in paths)


@lru_cache(maxsize=2)
def unpack(files: Files) -> DiffusionDetector:
    """Load the detector, once in every Python worker; torch has one thread from now on."""
    torch.set_num_threads(1)  # Spark runs as many workers as there are cores
    with TemporaryDirectory() as folder:
        for name, content in files:
            (Path(folder) / name).write_bytes(content)
        return load(folder)


def _score_batches(
    files: Files, names: Mapping[str, Any], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    detector = unpack(files)
    for batch in batches:
        if batch.num_rows:
            scored = detector.score_frame(_to_pandas(batch, names))
            yield _beside(batch, scored, RESULTS, pa.RecordBatch.from_arrays)


def _score_series(files: Files, names: Mapping[str, Any], time: str, steps: pa.Table) -> pa.Table:
    detector = unpack(files)
    frame = _to_pandas(steps, names)
    layout = detector.layout_
    order = np.arange(len(frame))
    if layout.time is None:
        order = np.argsort(frame[time].to_numpy(), kind="stable")
        # A model with a usual step was fitted with a DatetimeIndex, and looks for gaps.
        frame = frame.set_index(time) if layout.step else frame.drop(columns=time)
    scored = detector.score_frame(frame[list(detector.columns_in_)].iloc[order])
    return _beside(steps, scored.iloc[np.argsort(order)], SERIES_RESULTS, pa.Table.from_arrays)


def _fetch(model: str | DiffusionDetector, unit: str) -> DiffusionDetector:
    """Load a model by its address, and check what it scores."""
    if isinstance(model, str):
        from anomdiff.integrations.mlflow import flavor  # takes seconds, and workers do without

        model = flavor.load_model(model)
    if model.unit != unit:
        raise TypeError(
            f"need a model that scores {unit}s; got one that scores {model.unit}s: "
            f"use {FUNCTIONS[model.unit]}."
        )
    return model


def _schema(
    frame: "DataFrame", names: Mapping[str, Any], results: Mapping[str, pa.DataType]
) -> "StructType":
    """Spark's types of the scored frame; raise if it cannot be made."""
    try:
        from pyspark.sql.types import StructType
    except ImportError:
        raise ImportError("need pyspark; pip install 'anomdiff[spark]'.") from None

    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"need columns {missing}; the Spark frame has {frame.columns}.")
    taken = [name for name in results if name in frame.columns]
    if taken:
        raise ValueError(f"need other names for the columns {taken}; the results have them.")
    schema = StructType(list(frame.schema.fields))
    for name, kind in results.items():
        schema = schema.add(name, SPARK_TYPES[kind])
    return schema


def _to_pandas(rows: pa.RecordBatch | pa.Table, names: Mapping[str, Any]) -> pd.DataFrame:
    """Columns of the model, by their names in training."""
    return rows.select(list(names)).to_pandas(date_as_object=False).rename(columns=names)


def _beside(
    rows: pa.RecordBatch | pa.Table,
    scored: pd.DataFrame,
    results: Mapping[str, pa.DataType],
    build: Callable,
) -> Any:
    """Put the results beside the columns as they came; Spark's NaN is above all, null is not."""
    arrays = [
        pa.array(scored[name].to_numpy(), kind, from_pandas=True) for name, kind in results.items()
    ]
    return build([*rows.columns, *arrays], names=[*rows.schema.names, *results])
