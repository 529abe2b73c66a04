"""What MLflow calls when a model is served: rows in, one record per row out."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.types.schema import DataType

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.integrations.mlflow.signature import (
    TOP_COLUMNS,
    InputColumn,
    input_columns,
    label_text,
)
from anomdiff.models.segmented_model import SEGMENT
from anomdiff.thresholds.checks import check_share

__all__ = ["PredictParams", "PyfuncModel"]

REASON = ("column", "value", "contribution")
SPAN = ("start", "end")
EXPECTED = ("expected", "low", "high")


class PredictParams(NamedTuple):
    """Inference parameters of one request.

    Attributes
    ----------
    alpha : float or None
        Flag rows with a p-value of at most this one; by default as the model does.
    explain : bool
        Add the column `reasons`: for each flagged row a list of records, for others an empty one.
    top_columns : int
        Records per row.
    include_expected : bool
        Add to a record the value expected in its column, and the interval it should lie in.

    The records of a step have also the first and the last time at which its channel is anomalous.
    """

    alpha: float | None = None
    explain: bool = False
    top_columns: int = TOP_COLUMNS
    include_expected: bool = False

    @classmethod
    def read(cls, params: Mapping[str, Any] | None) -> "PredictParams":
        """Read MLflow's parameters; what was given as null counts as not given."""
        read = cls(**{name: value for name, value in (params or {}).items() if value is not None})
        if read.alpha is not None:
            check_share("alpha", read.alpha)
        if read.top_columns < 1:
            raise ValueError(f"need top_columns of at least 1; got {read.top_columns}.")
        return read


class PyfuncModel:
    """A fitted detector behind MLflow's `predict`."""

    def __init__(self, detector: DiffusionDetector):
        columns = input_columns(detector)
        self.detector = detector
        self.columns = [column.name for column in columns]
        self.optional = [column.name for column in columns if column.optional]
        self.renamed = {str(n): n for n in self.columns if not isinstance(n, str)}
        self.series = None if detector.unit == "row" else detector.model_.layout.series
        self.labels = _labels_by_text(detector, columns)
        self.zoned = _time_with_zone(detector)

    def predict(
        self, model_input: pd.DataFrame | np.ndarray, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score rows, or whole series: a frame as of `score_frame`, with `reasons` if asked for.

        If rows or a parameter cannot be used, a server answers 400 with the sentence.
        """
        try:
            return self._predict(self._rows(model_input), PredictParams.read(params))
        except (TypeError, ValueError) as error:
            # Of any other exception the server would print the stack instead of the sentence.
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _rows(self, model_input: pd.DataFrame | np.ndarray) -> pd.DataFrame:
        """Give columns the names of training; optional ones that are absent are missing."""
        if isinstance(model_input, np.ndarray):
            return pd.DataFrame(model_input, columns=self.columns)
        rows = model_input.rename(columns=self.renamed) if self.renamed else model_input
        if self.labels and self.series in rows.columns:
            rows = rows.copy()
            rows[self.series] = rows[self.series].astype(object).map(self._label)
        absent = [name for name in self.optional if name not in rows.columns]
        rows = rows.reindex(columns=[*rows, *absent]) if absent else rows
        return _with_zone(rows, self.zoned, zoned=True)

    def _label(self, text: Any) -> Any:
        """Label of a series that a text stands for; one that training did not show stays."""
        return self.labels.get(text, text)

    def _predict(self, rows: pd.DataFrame, params: PredictParams) -> pd.DataFrame:
        scored = _with_zone(self.detector.score_frame(rows), self.zoned, zoned=False)
        if self.labels:
            scored[self.series] = scored[self.series].map(label_text)
        if self.renamed:
            scored = scored.rename(columns=str)
        if params.alpha is not None:
            scored["is_anomaly"] = scored["p_value"] <= params.alpha
        missing = scored["anomaly_score"].isna()
        if missing.any():  # JSON has no NaN
            for name in ("anomaly_score", "p_value", "channel"):
                scored[name] = scored[name].astype(object).mask(missing, None)
        if SEGMENT in scored and self.detector.unit == "row":
            scored[SEGMENT] = scored[SEGMENT].astype(object).mask(scored[SEGMENT].isna(), None)
        if params.explain:
            flagged = np.flatnonzero(scored["is_anomaly"])
            scored["reasons"] = self._reasons(rows, flagged, params)
        return scored

    def _reasons(
        self, rows: pd.DataFrame, flagged: np.ndarray, params: PredictParams
    ) -> list[list[dict]]:
        """Records for the flagged rows."""
        reasons: list[list[dict]] = [[] for _ in range(len(rows))]
        if not len(flagged):
            return reasons
        explained = self._explain(rows.reset_index(drop=True), flagged, params.top_columns)
        optional = [*SPAN, *(EXPECTED if params.include_expected else ())]
        shown = [*REASON, *(name for name in optional if name in explained)]
        for row, *cells in explained[["row", *shown]].itertuples(index=False, name=None):
            reasons[row].append(dict(zip(shown, map(_json_value, cells), strict=True)))
        return reasons

    def _explain(self, rows: pd.DataFrame, flagged: np.ndarray, top: int) -> pd.DataFrame:
        if self.detector.unit == "step":  # a step is scored by the steps around it
            return self.detector.explain(rows, top=top, rows=flagged)
        return self.detector.explain(rows.iloc[flagged], top=top)


def _labels_by_text(detector: DiffusionDetector, columns: list[InputColumn]) -> dict[str, Any]:
    """Labels of series that are no text, where a request has them as text; else nothing."""
    if not any(each.kind == "label" and each.type == DataType.string for each in columns):
        return {}
    labels = [label for label in detector.model_.scaler.scales if label is not None]
    return {label_text(label): label for label in labels if not isinstance(label, str)}


def _time_with_zone(detector: DiffusionDetector) -> Any:
    """Column of times whose zone a calendar needs, or None; in requests these are in UTC."""
    expected = None if detector.unit == "row" else detector.model_.scaler.expected
    return detector.model_.layout.time if expected and expected.calendar.zone else None


def _with_zone(rows: pd.DataFrame, time: Any, *, zoned: bool) -> pd.DataFrame:
    """Rows whose times, if they are timestamps, are in UTC, with that zone or without one."""
    if (
        time is None
        or time not in rows.columns
        or not pd.api.types.is_datetime64_any_dtype(rows[time])
    ):
        return rows
    moved = rows.copy()
    in_utc = pd.to_datetime(rows[time], utc=True)
    moved[time] = in_utc if zoned else in_utc.dt.tz_convert(None)
    return moved


def _json_value(cell: Any) -> Any:
    """Value that JSON has: no NaN, no timestamps; these are in UTC."""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if isinstance(cell, pd.Timestamp) and cell.tz is not None:
        cell = cell.tz_convert(None)
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    if isinstance(cell, bool | int | float | str):
        return cell
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)
