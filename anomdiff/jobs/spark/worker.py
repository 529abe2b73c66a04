"""What a worker of Spark does: it reads cells as the local engine does, and scores the rows."""

import io
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from anomdiff.integrations.spark.scoring import Files, unpack
from anomdiff.jobs.batch.segment_status import SegmentStatus
from anomdiff.jobs.labels import Value, anomaly_labels
from anomdiff.jobs.model_columns import PanelColumns, TableColumns, model_columns
from anomdiff.jobs.spark.numbers import Part, RowNumbers
from anomdiff.jobs.tables.arrow_types import as_pandas, cast_cells, unified_type
from anomdiff.jobs.tables.numbers import plain_numbers, without_infinity
from anomdiff.jobs.tables.options import Name
from anomdiff.jobs.writers import as_arrow

__all__ = ["COUNTED", "SCORES", "Cells", "Model", "RowScorer", "StepScorer", "Work", "series_rows"]

SCORES = ["anomaly_score", "p_value", "is_anomaly", "channel"]
UNTYPED = ("text", "json")  # kinds of files that do not say what type a column has
# Columns beside the results: of each row, and of the first row of each batch alone.
COUNTED = pa.schema(
    [
        ("row_label", pa.int8()),
        ("row_known", pa.bool_()),
        ("row_failed", pa.string()),
        ("batch_missing", pa.list_(pa.int64())),
        ("batch_segments", pa.list_(pa.string())),
    ]
)


@dataclass(frozen=True)
class Cells:
    """Columns as Spark gives them, and how they are read as the local engine reads them.

    ``names`` are those of the columns in the table; ``text`` those to read as text, and ``whole``
    those of partitions that are whole numbers; ``kind`` is that of the files.
    """

    names: tuple[Name, ...]
    text: tuple[Name, ...]
    kind: str
    whole: frozenset[Name] = frozenset()

    def read(self, batch: pa.RecordBatch | pa.Table, index: pd.Index) -> pd.DataFrame:
        """Cells under the names of the table."""
        arrays = [self._cast(batch.column(f"input_{i}"), n) for i, n in enumerate(self.names)]
        labels = [f"input_{i}" for i in range(len(arrays))]
        frame = as_pandas(pa.Table.from_arrays(arrays, names=labels))
        frame = frame.set_axis(list(self.names), axis=1)
        if self.kind == "text":
            frame = self._parsed(frame)
        return without_infinity(frame, Counter()).set_axis(index)

    def _cast(self, cells: pa.Array | pa.ChunkedArray, name: Name) -> pa.Array:
        if isinstance(cells, pa.ChunkedArray):
            cells = cells.combine_chunks()
        if name in self.whole:
            return cells.cast(pa.int64())
        return cast_cells(cells, unified_type([cells.type]))

    def _parsed(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Texts as pandas reads them in a file: what is missing, and what is a number."""
        given = [name for name in self.names if name not in self.whole]
        found = pd.read_csv(
            io.StringIO(frame[given].to_csv(index=False, header=False)),
            header=None,
            names=given,
            dtype={name: "str" for name in given if name in self.text},
            skipinitialspace=True,
            skip_blank_lines=False,
            low_memory=False,
        )
        for name in given:
            if name not in self.text and not pd.api.types.is_numeric_dtype(found[name]):
                found[name] = plain_numbers(found[name], ".", 0.0, Counter())
        return found.join(frame[list(self.whole)])[list(self.names)]


@dataclass(frozen=True)
class Work:
    """What workers are sent: the model, what is read, and what comes back.

    ``columns`` are all names of the table, ``copied`` those to copy, ``fixed`` cells that are the
    same for all rows; ``results`` are the types of what is written, and ``inputs`` those of the
    columns that are read, as Spark has them.
    """

    files: Files = field(repr=False)
    cells: Cells
    columns: tuple[Name, ...]
    copied: tuple[Name, ...]
    label: Name | None
    normal: tuple[Value, ...]
    fixed: dict[str, Any]
    results: pa.Schema
    inputs: pa.Schema

    @property
    def schema(self) -> pa.Schema:
        """Types of the scored rows, with what is counted, and the cells that were read."""
        return pa.schema([*self.results, *COUNTED, *self.inputs])

    def model(self) -> "Model":
        """The detector on this worker, and its columns."""
        detector = unpack(self.files)
        return Model(detector, model_columns(detector, list(self.columns)))

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Label of each row, as `ScoringInput.labels`."""
        if self.label is None:
            return np.full(len(frame), -1, dtype=np.int8)
        return anomaly_labels(frame[self.label], self.normal)

    def written(self, frame: pd.DataFrame, scored: pd.DataFrame) -> list[pa.Array]:
        """Rows as they are written: copied cells and results."""
        results = {name: scored[name] for name in scored if name in self.results.names}
        found = frame[list(self.copied)].rename(columns=str)
        found = found.assign(row=frame.index, **{**results, **self.fixed})
        return [as_arrow(found[each.name], each.type) for each in self.results]


class Model(NamedTuple):
    """A detector, and the columns of a table that it reads."""

    detector: Any
    columns: TableColumns | PanelColumns


@dataclass(frozen=True)
class RowScorer:
    """Scores the batches of a partition; cells that were read come along where a row is flagged."""

    work: Work
    parts: dict[tuple[str, int], Part]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield scored batches."""
        model, numbers = self.work.model(), RowNumbers(self.parts)
        for batch in batches:
            if batch.num_rows:
                yield self._scored(model, batch, pd.Index(numbers.of(batch)))

    def _scored(self, model: Model, batch: pa.RecordBatch, index: pd.Index) -> pa.RecordBatch:
        frame = self.work.cells.read(batch, index)
        rows = model.columns.rows(frame)
        scored = model.detector.score_frame(rows)
        segments = SegmentStatus(model.detector)
        segments.add(rows, scored)
        counted = _counted(self.work.labels(frame), model.columns.count_missing(rows))
        counted["batch_segments"] = _of_the_first(sorted(segments.values), len(frame))
        flagged = pa.array(scored["is_anomaly"].to_numpy(bool))
        inputs = [
            pc.if_else(flagged, batch.column(each.name), pa.scalar(None, each.type))
            for each in self.work.inputs
        ]
        arrays = [*self.work.written(frame, scored), *_arrays(counted), *inputs]
        return pa.RecordBatch.from_arrays(arrays, schema=self.work.schema)


@dataclass(frozen=True)
class StepScorer:
    """Scores a series; one that cannot be scored has the reason beside its rows."""

    work: Work

    def __call__(self, steps: pa.Table) -> pa.Table:
        """Scored steps in the order of their rows."""
        steps = steps.sort_by("row")
        model = self.work.model()
        frame = self.work.cells.read(steps, pd.Index(steps.column("row").to_numpy()))
        _require_series(frame, model.columns.series)
        failed, counted = None, _counted(self.work.labels(frame), None)
        try:
            rows = series_rows(model, frame, self.work.cells.kind)
            scored = model.detector.score_frame(rows)
            counted |= _counted(self.work.labels(frame), model.columns.count_missing(rows))
            own = rows[model.detector.layout_.series]
            known = own.isin(list(model.detector.model_.scaler.scales)).to_numpy()
            counted["row_known"] = pd.Series(known)
        except ValueError as error:
            failed = " ".join(str(error).split())
            scored = pd.DataFrame(None, index=frame.index, columns=SCORES, dtype=object)
            scored["is_anomaly"] = False
        counted["row_failed"] = pd.Series([failed] * len(frame), dtype=object)
        inputs = [steps.column(each.name).combine_chunks() for each in self.work.inputs]
        arrays = [*self.work.written(frame, scored), *_arrays(counted), *inputs]
        return pa.Table.from_arrays(arrays, schema=self.work.schema)


def series_rows(model: Model, frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Rows of a series as the model reads them."""
    assert isinstance(model.columns, PanelColumns)
    return model.columns.rows(model.columns.with_numbers(frame) if kind in UNTYPED else frame)


def _counted(labels: np.ndarray, missing: pd.Series | None) -> dict[str, pd.Series]:
    """Columns of ``COUNTED`` of a batch."""
    n = len(labels)
    told = None if missing is None else [int(each) for each in missing]
    blank = pd.Series([None] * n, dtype=object)
    return {
        "row_label": pd.Series(labels),
        "row_known": pd.Series(False, index=range(n)),
        "row_failed": blank,
        "batch_missing": _of_the_first(told, n),
        "batch_segments": blank,
    }


def _of_the_first(value: Any, n: int) -> pd.Series:
    return pd.Series([value, *[None] * (n - 1)], dtype=object)


def _arrays(counted: dict[str, pd.Series]) -> list[pa.Array]:
    return [pa.array(counted[each.name], each.type, from_pandas=True) for each in COUNTED]


def _require_series(frame: pd.DataFrame, series: Hashable | None) -> None:
    if frame[series].isna().any():
        row = frame.index[frame[series].isna()][0]
        raise ValueError(f"need a series in column {series!r}; row {row} has none.")
