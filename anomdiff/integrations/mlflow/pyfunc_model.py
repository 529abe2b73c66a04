"""What MLflow calls when a model is served: rows in, one record per row out."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.integrations.mlflow.signature import (
    TOP_COLUMNS,
    input_names,
    is_series,
    optional_names,
)
from anomdiff.thresholds.checks import check_share

SPAN = ("start", "end")
EXPECTED = ("expected", "low", "high")


class Wishes(NamedTuple):
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
        Tell also what could be expected in a column, and the interval it should lie in.

    The records of a step say also from when to when its channel is to blame.
    """

    alpha: float | None = None
    explain: bool = False
    top_columns: int = TOP_COLUMNS
    include_expected: bool = False

    @classmethod
    def read(cls, params: Mapping[str, Any] | None) -> "Wishes":
        """Read MLflow's parameters; what was given as null counts as not given."""
        wishes = cls(**{name: value for name, value in (params or {}).items() if value is not None})
        if wishes.alpha is not None:
            check_share("alpha", wishes.alpha)
        if wishes.top_columns < 1:
            raise ValueError(f"need top_columns of at least 1; got {wishes.top_columns}.")
        return wishes


class Answers:
    """A detector behind MLflow's `predict`.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    """

    def __init__(self, detector: TabularDetector | TimeSeriesDetector):
        self.detector = detector
        self.columns = input_names(detector)
        self.renamed = {str(n): n for n in self.columns if not isinstance(n, str)}
        self.optional = optional_names(detector)

    def predict(
        self, model_input: pd.DataFrame | np.ndarray, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score rows, or whole series.

        Parameters
        ----------
        model_input : DataFrame or ndarray
            Rows as the signature has them.
        params : mapping, optional
            As of `Wishes`.

        Raises
        ------
        MlflowException
            If the rows or a parameter cannot be used; a server answers 400 with the sentence.
        """
        try:
            return self._answer(self._rows(model_input), Wishes.read(params))
        except (TypeError, ValueError) as error:
            # Of any other exception the server would print the stack instead of the sentence.
            raise MlflowException.invalid_parameter_value(str(error)) from error

    def _rows(self, model_input: pd.DataFrame | np.ndarray) -> pd.DataFrame:
        """Give columns the names of training; what may be left out is missing."""
        if isinstance(model_input, np.ndarray):
            return pd.DataFrame(model_input, columns=self.columns)
        rows = model_input.rename(columns=self.renamed) if self.renamed else model_input
        absent = [name for name in self.optional if name not in rows.columns]
        return rows.reindex(columns=[*rows, *absent]) if absent else rows

    def _answer(self, rows: pd.DataFrame, wishes: Wishes) -> pd.DataFrame:
        scored = self.detector.score_frame(rows)
        if self.renamed:
            scored = scored.rename(columns=str)
        if wishes.alpha is not None:
            scored["is_anomaly"] = scored["p_value"] <= wishes.alpha
        if wishes.explain:
            flagged = np.flatnonzero(scored["is_anomaly"])
            scored["reasons"] = self._reasons(rows, flagged, wishes)
        return scored

    def _reasons(self, rows: pd.DataFrame, flagged: np.ndarray, wishes: Wishes) -> list[list[dict]]:
        """Records for the flagged rows."""
        reasons = [[] for _ in range(len(rows))]
        if not len(flagged):
            return reasons
        rows = rows.reset_index(drop=True)
        if is_series(self.detector):  # a step is judged by the steps around it
            lines = self.detector.explain(rows, top=wishes.top_columns, rows=flagged)
        else:
            lines = self.detector.explain(rows.iloc[flagged], top=wishes.top_columns)
        shown = ["column", "value", "contribution", *(name for name in SPAN if name in lines)]
        shown += [name for name in EXPECTED if wishes.include_expected and name in lines]
        for row, *cells in lines[["row", *shown]].itertuples(index=False, name=None):
            reasons[row].append(dict(zip(shown, map(_plain, cells), strict=True)))
        return reasons


def _plain(cell: Any) -> Any:
    """Value that JSON has: no NaN, no timestamps."""
    cell = cell.item() if isinstance(cell, np.generic) else cell
    if pd.api.types.is_scalar(cell) and pd.isna(cell):
        return None
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    if isinstance(cell, bool | int | float | str):
        return cell
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)
