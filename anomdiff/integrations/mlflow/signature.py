"""What a request and an answer look like to MLflow, worked out from what a detector has learnt."""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.encoding.parsing import read_cells, storage
from anomdiff.encoding.schema import Column

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


def infer_signature(
    detector: TabularDetector | TimeSeriesDetector,
    style: str = "columns",
    example: pd.DataFrame | None = None,
) -> ModelSignature:
    """Types of requests and answers, and the parameters that a request may have.

    Numbers are doubles, also those that came as integers or text; columns with missing cells in
    training, and channels that are not judged, may be left out of a request. The reasons that
    ``explain`` adds are no part of the outputs: these are what every answer has.

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
    columns = _input_columns(detector, example)
    inputs = Schema(columns) if style == "columns" else _tensor(columns)
    by_row = [c for c in columns if c.name in _labels(detector)]
    channel = [ColSpec(DataType.string, "channel")] if is_series(detector) else []
    return ModelSignature(
        inputs=inputs,
        outputs=Schema([*SCORES, *channel, *by_row]),
        params=ParamSchema([*PARAMETERS]),
    )


def as_input(
    detector: TabularDetector | TimeSeriesDetector, frame: pd.DataFrame, style: str = "columns"
) -> pd.DataFrame | np.ndarray:
    """Rows with the types of the signature, as MLflow wants them before it calls ``predict``."""
    typed = _typed_series(detector, frame) if is_series(detector) else _typed_table(detector, frame)
    return typed if style == "columns" else typed.to_numpy(dtype=np.float64)


def is_series(detector: Any) -> bool:
    """Tell a detector of series from one of tables."""
    return isinstance(detector, TimeSeriesDetector)


def input_names(detector: TabularDetector | TimeSeriesDetector) -> list:
    """Names of the columns of a request, in their order."""
    if is_series(detector):
        return [*_labels(detector, as_text=False), *detector.layout_.channels]
    return [column.name for column in detector.schema_.used]


def optional_names(detector: TabularDetector | TimeSeriesDetector) -> list:
    """Names of the columns that a request may leave out."""
    if is_series(detector):
        judged = detector.encoder_.names
        return [name for name in detector.layout_.channels if name not in judged]
    return [column.name for column in detector.schema_.used if column.nullable]


def _labels(detector, as_text: bool = True) -> list:
    """Columns of series and time, where there are any."""
    if not is_series(detector):
        return []
    layout = detector.layout_
    names = [name for name in (layout.series, layout.time) if name is not None]
    return [str(name) for name in names] if as_text else names


def _input_columns(detector, example) -> list[ColSpec]:
    optional = optional_names(detector)
    if is_series(detector):
        types = _series_types(detector, example)
    else:
        types = {column.name: _data_type(column) for column in detector.schema_.used}
    return [
        ColSpec(types[name], str(name), required=name not in optional)
        for name in input_names(detector)
    ]


def _series_types(detector, example) -> dict[Any, DataType]:
    """Types of the columns of a panel."""
    layout = detector.layout_
    types = {name: DataType.double for name in layout.channels}
    if layout.series is not None:
        whole = all(isinstance(label, int) for label in _series_names(detector))
        types[layout.series] = DataType.long if whole else DataType.string
    if layout.time is not None:
        types[layout.time] = DataType.datetime if _has_dates(layout, example) else DataType.double
    return types


def _series_names(detector) -> list:
    return [label for label in detector.encoder_.scales if label is not None]


def _has_dates(layout, example) -> bool:
    if example is not None:
        return storage(example[layout.time]) != "number"
    return layout.has_dates


def _data_type(column: Column) -> DataType:
    """Type in the signature: MLflow turns a missing boolean into False, so those travel as 0.0."""
    if column.kind == "boolean" and column.nullable:
        return DataType.double
    return DATA_TYPES[column.kind]


def _tensor(columns: list[ColSpec]) -> Schema:
    other = [c.name for c in columns if c.type not in (DataType.double, DataType.boolean)]
    if other:
        raise ValueError(f"need numbers in every column of a tensor; got {other}.")
    return Schema([TensorSpec(np.dtype(np.float64), (-1, len(columns)))])


def _typed_table(detector, frame: pd.DataFrame) -> pd.DataFrame:
    checked = detector.schema_.check(frame)
    flags = [c.name for c in detector.schema_.used if _data_type(c) == DataType.boolean]
    # A flag that is missing here but never was in training cannot be a bool; MLflow then refuses.
    flags = [name for name in flags if checked[name].notna().all()]
    return checked.astype(dict.fromkeys(flags, bool)).rename(columns=str)


def _typed_series(detector, frame: pd.DataFrame) -> pd.DataFrame:
    types = _series_types(detector, frame)
    kinds = {DataType.double: "number", DataType.long: "number", DataType.datetime: "datetime"}
    cells = {
        str(name): read_cells(frame[name], kinds.get(types[name], "category"))
        for name in input_names(detector)
    }
    typed = pd.DataFrame(cells, index=frame.index)
    whole = [str(name) for name, kind in types.items() if kind == DataType.long]
    return typed.astype(dict.fromkeys(whole, np.int64))
