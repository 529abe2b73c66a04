"""What a request and an answer look like to MLflow, worked out from what a detector has learnt."""

from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.encoding.parsing import read_cells, storage
from anomdiff.encoding.spelling import PLAIN, Spelling
from anomdiff.encoding.times import clock
from anomdiff.models.segmented_model import SEGMENT, SegmentedModel
from anomdiff.models.tabular_model import TabularModel
from anomdiff.models.window_model import WindowModel

__all__ = [
    "TOP_COLUMNS",
    "InputColumn",
    "as_input",
    "infer_signature",
    "input_columns",
    "label_text",
]

STYLES = ("columns", "tensor")
TOP_COLUMNS = 3
DATA_TYPES = {
    "number": DataType.double,
    "category": DataType.string,
    "boolean": DataType.boolean,
    "datetime": DataType.datetime,
}
SCORES = (
    ColSpec(DataType.double, "anomaly_score"),
    ColSpec(DataType.double, "p_value"),
    ColSpec(DataType.boolean, "is_anomaly"),
)
PARAMETERS = (
    ParamSpec("alpha", DataType.double, None),
    ParamSpec("explain", DataType.boolean, False),
    ParamSpec("top_columns", DataType.long, TOP_COLUMNS),
    ParamSpec("include_expected", DataType.boolean, False),
)


class InputColumn(NamedTuple):
    """One column of a request, by its name in training; MLflow knows it as text."""

    name: Any
    kind: str  # how its cells are read
    type: DataType
    optional: bool = False
    returned: bool = False  # the answer has it too: the columns of series and time
    spelling: Spelling = PLAIN  # how its cells are written as text
    max_unreadable: float = 0.0  # share of them that may be unreadable


def infer_signature(
    detector: DiffusionDetector, style: str = "columns", example: pd.DataFrame | None = None
) -> ModelSignature:
    """Types of requests and answers, and the parameters that a request may have.

    Numbers are doubles, also those that came as integers or text; columns with missing cells in
    training, and covariates of series that do not say what is normal, may be left out. The column
    `reasons` that ``explain`` adds is no part of the outputs: these are what every answer has.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    style : {"columns", "tensor"}, default="columns"
        Named columns, or a matrix whose columns are those of training by position: checked
        and read many times faster, for numbers only.
    example : DataFrame, optional
        Rows as ``fit`` took them; they tell whether a time column holds dates or numbers, which
        is otherwise guessed by the size of its steps.

    Raises
    ------
    ValueError
        If there is no such style, or a column of a tensor is not a number.
    """
    if style not in STYLES:
        raise ValueError(f"need a style of {list(STYLES)}; got {style!r}.")
    columns = input_columns(detector, example)
    inputs = [ColSpec(c.type, str(c.name), required=not c.optional) for c in columns]
    channel = [ColSpec(DataType.string, "channel")] if detector.unit == "step" else []
    if isinstance(detector.model_, SegmentedModel):
        channel = [ColSpec(DataType.string, SEGMENT, required=False)]
    returned = [spec for c, spec in zip(columns, inputs, strict=True) if c.returned]
    return ModelSignature(
        inputs=Schema([*inputs]) if style == "columns" else _tensor(inputs),
        outputs=Schema([*SCORES, *channel, *returned]),
        params=ParamSchema([*PARAMETERS]),
    )


def input_columns(
    detector: DiffusionDetector, example: pd.DataFrame | None = None
) -> list[InputColumn]:
    """Columns of a request, in their order; `example` as of `infer_signature`."""
    if detector.unit == "row":
        return _columns_of_table(detector.model_)
    return _columns_of_panel(detector.model_, example)


def as_input(
    detector: DiffusionDetector, frame: pd.DataFrame, style: str = "columns"
) -> pd.DataFrame | np.ndarray:
    """Rows with the types of the signature, as MLflow wants them before it calls ``predict``.

    Raises
    ------
    ValueError
        If a column is missing, or holds a cell that cannot be read.
    """
    columns = input_columns(detector, frame)
    missing = [column.name for column in columns if column.name not in frame.columns]
    if missing:
        raise ValueError(f"need the columns {missing}; the frame has {list(frame.columns)}.")
    if detector.unit == "step":
        detector.model_.scaler.require_clock(frame)
    cells = {str(column.name): _typed(frame[column.name], column) for column in columns}
    typed = pd.DataFrame(cells, index=frame.index)
    return typed if style == "columns" else typed.to_numpy(dtype=np.float64)


def _columns_of_table(model: TabularModel | SegmentedModel) -> list[InputColumn]:
    """Columns that are not ignored; flags with gaps are doubles: MLflow reads null as False."""
    columns = []
    for column in model.schema.used:
        missing_flags = column.kind == "boolean" and column.nullable
        type_ = DataType.double if missing_flags else DATA_TYPES[column.kind]
        found = InputColumn(column.name, column.kind, type_, optional=column.nullable)
        most = model.schema.max_unreadable
        columns.append(found._replace(spelling=column.spelling, max_unreadable=most))
    return columns


def _columns_of_panel(model: WindowModel, example: pd.DataFrame | None) -> list[InputColumn]:
    """Columns of series and time, where there are any, and the channels."""
    layout, labels = model.layout, []
    needed = [*model.names, *model.scaler.conditions]
    if layout.series is not None:
        known = [label for label in model.scaler.scales if label is not None]
        labels.append(InputColumn(layout.series, "label", _type_of_labels(known), returned=True))
    if layout.time is not None:
        dates = layout.has_dates
        if example is not None and not layout.durations:
            dates = storage(clock(example[layout.time])) != "number"
        kind = "datetime" if dates else "number"
        labels.append(InputColumn(layout.time, kind, DATA_TYPES[kind], returned=True))
    return labels + [
        InputColumn(name, "number", DataType.double, optional=name not in needed)
        for name in layout.channels
    ]


def label_text(label: Any) -> str:
    """Label of a series as a request has it where MLflow knows no type for it."""
    return label if isinstance(label, str) else str(label)


def _type_of_labels(known: list) -> DataType:
    """Whole numbers, or numbers, where all labels of series are such; else text."""
    numbers = [label for label in known if isinstance(label, Real) and not isinstance(label, bool)]
    if len(numbers) < len(known):
        return DataType.string
    whole = all(isinstance(label, Integral) for label in known)
    return DataType.long if whole else DataType.double


def _typed(cells: pd.Series, column: InputColumn) -> np.ndarray:
    """Cells of a column in the type of the signature."""
    if column.kind == "label":
        return _typed_labels(cells, column.type)
    cells = clock(cells) if column.returned else cells
    plain = read_cells(cells, column.kind, column.spelling, column.max_unreadable)
    # A flag that is missing here but never was in training cannot be a bool; MLflow then refuses.
    if column.type == DataType.boolean and not np.isnan(plain).any():
        return plain.astype(bool)
    return plain


def _typed_labels(cells: pd.Series, type_: DataType) -> np.ndarray:
    """Labels of series as whole numbers, numbers or text."""
    if type_ == DataType.string:
        texts = [None if pd.isna(label) else label_text(label) for label in cells.tolist()]
        return np.array([*texts, None], dtype=object)[:-1]
    numbers = read_cells(cells, "number")
    return numbers.astype(np.int64) if type_ == DataType.long else numbers


def _tensor(columns: list[ColSpec]) -> Schema:
    other = [c.name for c in columns if c.type not in (DataType.double, DataType.boolean)]
    if other:
        raise ValueError(f"need numbers in every column of a tensor; got {other}.")
    return Schema([TensorSpec(np.dtype(np.float64), (-1, len(columns)))])
