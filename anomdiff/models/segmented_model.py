"""The fitted model of a table by segments: one model per value of a column, and a shared one."""

import math
import warnings
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.encoding.json_values import as_label, to_json
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from anomdiff.models.common_scale import CommonScale
from anomdiff.models.tabular_model import TabularModel
from anomdiff.models.training_run import StepHook
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.thresholds.conformal import needed_rows

__all__ = ["SEGMENT", "SegmentRows", "SegmentedModel", "least_rows"]

# Column of a scored frame that names the model of a row; missing where it is the shared one.
SEGMENT = "segment"
# Rows that a model of its own needs: of these, and in times of 1 / alpha.
FEWEST_ROWS, FEWEST_ALARMS = 500, 10


class SegmentRows(NamedTuple):
    """Rows of a frame that belong to one model: it, their numbers, and they as it reads them."""

    segment: str | None  # None for the shared model
    model: TabularModel
    scale: CommonScale
    rows: np.ndarray
    frame: pd.DataFrame


@dataclass(frozen=True, eq=False)
class SegmentedModel:
    """Everything that ``fit`` learned about a table by segments.

    What is asked of a table as a whole is answered by the shared model: the columns, the network,
    the encoder, the reference rows and the course of training.

    Attributes
    ----------
    by : label
        Column that tells the segments apart.
    shared : TabularModel
        Model of all rows, with the column ``by``: for values without a model of their own.
    own : dict of str to TabularModel
        Models of the rows of one value, without the column ``by``.
    rows_of_value : dict of str to int
        Training rows of every value.
    """

    by: Any
    shared: TabularModel
    own: dict[str, TabularModel]
    rows_of_value: dict[str, int]
    _scales: dict[str | None, CommonScale] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        schema: Schema,
        parameters: Mapping[str, Any],
        *,
        on_step: StepHook | None = None,
        screening: bool = False,
        drifting: np.ndarray | None = None,
        start: "SegmentedModel | None" = None,
    ) -> "SegmentedModel":
        """Learn normal rows; ``parameters`` are those of ``SegmentedDetector``.

        The others are as of ``TabularModel.fit``; ``on_step`` sees the shared model only.
        """
        by = parameters["by"]
        counts = frame[by].value_counts()
        least = least_rows(parameters["min_rows"], parameters["alpha"])
        values = sorted(counts.index[counts >= least])
        shared = TabularModel.fit(
            frame,
            schema,
            parameters,
            on_step=on_step,
            screening=screening,
            drifting=drifting,
            start=None if start is None else start.shared,
        )
        own = {}
        for number, value in enumerate(values, start=1):
            rows = (frame[by] == value).to_numpy()
            part = frame[rows].drop(columns=by)
            narrow = _narrow_schema(schema, by, value, part)
            own[value] = TabularModel.fit(
                part[[column.name for column in narrow.used]],
                narrow,
                {**parameters, "checkpoint": _numbered(parameters["checkpoint"], number)},
                screening=screening,
                drifting=None if drifting is None else _order_within(drifting, rows),
                start=None if start is None else start.own.get(value),
            )
        if not screening and drifting is None:
            shared = _calibrated_on_others(shared, by, own, needed_rows(parameters["alpha"]))
        return cls(by, shared, own, {str(value): int(n) for value, n in counts.items()})

    @classmethod
    def screen(
        cls,
        frame: pd.DataFrame,
        schema: Schema,
        parameters: Mapping[str, Any],
        *,
        on_step: StepHook | None = None,
    ) -> tuple["SegmentedModel", np.ndarray, dict]:
        """Fit to rows that hold anomalies; return what ``score_frame`` does for these too."""
        model = cls.fit(frame, schema, parameters, on_step=on_step, screening=True)
        return model, *model.score_frame(frame)

    # -- scoring -------------------------------------------------------------------------

    def segments(self, frame: pd.DataFrame) -> Iterator[SegmentRows]:
        """Rows of a checked frame by model; every row is in one of them."""
        codes, values = pd.factorize(frame[self.by])
        own = np.array([value in self.own for value in values] + [False])  # -1 picks the last
        codes = np.where(own[codes], codes, -1)
        order = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[order], prepend=-2))
        for rows in np.split(order, starts[1:]):
            code = codes[rows[0]]
            name = None if code < 0 else str(values[code])
            model = self.model_of(name)
            part = frame.iloc[rows][model.columns]
            yield SegmentRows(name, model, self.scale_of(name), rows, part)

    def score_frame(self, frame: pd.DataFrame) -> tuple[np.ndarray, dict]:
        """Scores of a checked frame on the common scale; beside them, which model gave them."""
        scores, _, segments = self.scored(frame)
        return scores, {SEGMENT: segments}

    def scored(self, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Scores on the common scale, p-values and segments of a checked frame, (row,) each."""
        scores, p_values = np.empty(len(frame)), np.empty(len(frame))
        segments = np.full(len(frame), None, dtype=object)
        for part in self.segments(frame):
            found = part.model.score_rows(part.frame)
            scores[part.rows], p_values[part.rows] = part.scale(found), part.scale.p_values(found)
            segments[part.rows] = part.segment
        return scores, p_values, segments

    def model_of(self, segment: str | None) -> TabularModel:
        """Model of a segment; the shared one for None."""
        return self.shared if segment is None else self.own[segment]

    def scale_of(self, segment: str | None) -> CommonScale:
        """From scores of the model of a segment to the common scale."""
        if segment not in self._scales:
            self._scales[segment] = CommonScale(self.model_of(segment).calibration_scores)
        return self._scales[segment]

    @cached_property
    def calibration_scores(self) -> np.ndarray:
        """Scores of all models' held-out rows on the common scale, ascending."""
        names = [None, *self.own]
        return np.sort(
            np.concatenate([self.scale_of(n)(self.model_of(n).calibration_scores) for n in names])
        )

    # -- of the shared model ---------------------------------------------------------------

    @property
    def schema(self) -> Schema:
        """The columns, their kinds and dtypes, the column ``by`` among them."""
        return self.shared.schema

    @property
    def columns(self) -> list:
        """Names of the columns that take part in the score."""
        return self.shared.columns

    @property
    def columns_in(self) -> list:
        """Input columns that scoring needs."""
        return self.shared.columns_in

    @property
    def encoder(self) -> TableEncoder:
        """Encoder of the shared model."""
        return self.shared.encoder

    @property
    def denoiser(self) -> Denoiser:
        """Network of the shared model."""
        return self.shared.denoiser

    @property
    def reference(self) -> ReferenceSet:
        """Reference rows of the shared model."""
        return self.shared.reference

    @property
    def history(self) -> pd.DataFrame:
        """Course of training of the shared model."""
        return self.shared.history

    @property
    def seed(self) -> int:
        """Seed of the shared model."""
        return self.shared.seed

    @property
    def n_training_rows(self) -> int:
        """Rows that the shared model was trained on."""
        return self.shared.n_training_rows

    @property
    def n_validation_rows(self) -> int:
        """Rows that the shared model held out."""
        return self.shared.n_validation_rows

    def network_events(self, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Values and observed of a checked frame as the shared network sees them."""
        return self.shared.network_events(frame)

    def describe(self) -> dict[str, Any]:
        """Return the schema as JSON values, and the training rows of each segment."""
        segments = {value: self.rows_of_value[value] for value in self.own}
        return {**self.shared.describe(), "by": str(self.by), "segments": segments}

    # -- storage -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the model as JSON values and tensors, nested."""
        return {
            "by": to_json(self.by),
            "shared": self.shared.to_dict(),
            "own": [[value, model.to_dict()] for value, model in self.own.items()],
            "values": list(self.rows_of_value),
            "rows_of_value": torch.tensor(list(self.rows_of_value.values()), dtype=torch.int64),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "SegmentedModel":
        """Rebuild a model from `to_dict`."""
        by, shared = as_label(state["by"]), TabularModel.from_dict(state["shared"])
        own = {value: TabularModel.from_dict(each) for value, each in state["own"]}
        rows = dict(zip(state["values"], state["rows_of_value"].tolist(), strict=True))
        known = {column for column in shared.columns if column != by}
        others = {column for model in own.values() for column in model.columns} - known
        if by not in shared.columns or others or not own.keys() <= rows.keys():
            raise ValueError(
                f"need segments of the column {by!r} and columns of the table in a stored model; "
                f"got segments {list(own)[:5]} and columns {shared.columns}."
            )
        return cls(by, shared, own, rows)


def least_rows(min_rows: int | None, alpha: float) -> int:
    """Rows that a value needs for a model of its own."""
    return max(FEWEST_ROWS, math.ceil(FEWEST_ALARMS / alpha)) if min_rows is None else min_rows


def _calibrated_on_others(
    shared: TabularModel, by: Any, own: Container[str], least: int
) -> TabularModel:
    """Shared model calibrated on held-out rows without a model of their own, if there are enough.

    They are the rows that it is to score; to those of frequent values it knows more rows alike.
    """
    held_out = shared.reference.values[shared.reference.exclude_self]
    frame = shared.schema.check(shared.encoder.decode(held_out.numpy()))
    others = frame[[value not in own for value in frame[by]]]
    if len(others) < least and len(others):
        warnings.warn(
            f"need {least} held-out rows of rare values to calibrate the shared model on; of those "
            f"of {by!r} there are {len(others)}, so that all calibrate, and more of the rare ones "
            "may be flagged: give more rows of them, or set a larger alpha.",
            UserWarning,
            stacklevel=4,
        )
    if len(others) < least or len(others) == len(frame):
        return shared
    scores = np.sort(shared.score_rows(others))
    return replace(shared, calibration_scores=scores, n_validation_rows=len(scores))


def _narrow_schema(schema: Schema, by: Any, value: str, frame: pd.DataFrame) -> Schema:
    """Schema of a segment: without the column ``by``, and without columns that are empty there."""
    columns = tuple(
        replace(column, kind="ignored", reason="it is empty")
        if column.name in frame and frame[column.name].isna().all()
        else column
        for column in schema.columns
        if column.name != by
    )
    if all(column.kind == "ignored" for column in columns):
        raise ValueError(
            f"need a usable column beside {by!r} in every segment; {by!r} = {value!r} has none: "
            "set a larger min_rows, so that the shared model takes its rows."
        )
    return replace(schema, columns=columns)


def _order_within(drifting: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Order in time of some of the rows, by their own numbers."""
    return (np.cumsum(rows) - 1)[drifting[rows[drifting]]]


def _numbered(checkpoint: str | Path | None, number: int) -> str | None:
    """File for the training state of one of several models."""
    return None if checkpoint is None else f"{checkpoint}.{number}"
