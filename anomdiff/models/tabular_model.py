"""The fitted model of a table: frozen, from a frame of rows to their scores."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from anomdiff.models.encoded_rows import encode, missing_columns
from anomdiff.models.parallel import map_blocks
from anomdiff.models.row_components import SCORED_AT_ONCE, row_components
from anomdiff.models.stored_checks import (
    require_calibrated,
    require_finite,
    require_finite_scores,
    require_whole,
    restored_denoiser,
)
from anomdiff.models.tabular_fit import fit_table
from anomdiff.models.tabular_update import update_table
from anomdiff.models.training_run import HISTORY, StepHook
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.reference.subset_search import Subsets
from anomdiff.scoring.calibration import ScoreCalibration
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.scoring.missing_cells import MissingCells
from anomdiff.scoring.reconstruction_component import ReconstructionComponent

__all__ = ["TabularModel"]

# Share of the rows, in the order of time, that an earlier model learns to score the others.
EARLIER = 0.8
# Standard deviations by which rows are moved to see whether a stored model scores what is far out.
FAR = 30.0


@dataclass(frozen=True, eq=False)
class TabularModel:
    """Everything that ``fit`` learned about a table.

    Attributes
    ----------
    schema : Schema
        The columns, their kinds and dtypes.
    encoder : TableEncoder
        Frames to rows of coords and back.
    reference : ReferenceSet
        Normal rows, as encoded.
    ensemble : Ensemble
        Components of the score: denoiser, search of the reference rows, categories.
    calibration : ScoreCalibration
        From components to scores.
    missing_cells : MissingCells or None
        What missing cells add to scores; None in models of older formats.
    calibration_scores : ndarray of shape (n_validation_rows,)
        Scores of held-out rows, ascending.
    history : DataFrame
        The course of training.
    seed : int
        Seed of split, training and noise.
    n_training_rows, n_validation_rows : int
        Rows that were trained on, and held out.
    """

    schema: Schema
    encoder: TableEncoder
    reference: ReferenceSet
    ensemble: Ensemble
    calibration: ScoreCalibration
    missing_cells: MissingCells | None
    calibration_scores: np.ndarray
    history: pd.DataFrame
    seed: int
    n_training_rows: int
    n_validation_rows: int
    _derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

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
        start: "TabularModel | None" = None,
    ) -> "TabularModel":
        """Learn normal rows; ``parameters`` are those of ``TabularDetector``.

        ``drifting`` has the row numbers in the order of time, if the last rows differ from those
        before: how far later rows are from earlier ones is then part of what is normal. A model of
        the first four fifths scores the last fifth, and these scores calibrate. For ``screening``,
        these very rows are to be scored: all of them exclude themselves, and the least central
        ones are not learned from. Training goes on from the network of ``start``, if it is given.

        References
        ----------
        Calibration on later rows than those of training, "rolling origin": Tashman (2000),
        "Out-of-sample tests of forecasting accuracy".
        """
        fitted = None if start is None else (start.denoiser, start.encoder.features)
        model = cls(
            **fit_table(
                frame, schema, parameters, on_step=on_step, screening=screening, fitted=fitted
            )
        )
        if drifting is None:
            return model
        first, last = np.split(drifting, [int(EARLIER * len(drifting))])
        quiet = {**parameters, "checkpoint": None}
        earlier = cls.fit(frame.iloc[np.sort(first)], schema, quiet, start=start)
        scores = earlier.score_rows(frame.iloc[last])
        return replace(model, calibration_scores=np.sort(scores), n_validation_rows=len(last))

    @classmethod
    def screen(
        cls,
        frame: pd.DataFrame,
        schema: Schema,
        parameters: Mapping[str, Any],
        *,
        on_step: StepHook | None = None,
    ) -> tuple["TabularModel", np.ndarray, dict]:
        """Fit to rows that hold anomalies; return what ``score_frame`` does for these too."""
        model = cls.fit(frame, schema, parameters, on_step=on_step, screening=True)
        return model, *model.score_frame(frame)

    def updated(self, frame: pd.DataFrame, parameters: Mapping[str, Any]) -> "TabularModel":
        """Take in further normal rows of a checked frame; see ``update_table``."""
        return replace(self, **update_table(self, frame, parameters))

    # -- scoring -------------------------------------------------------------------------

    def encode(self, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Encode a checked frame to float64 values and the observed mask, (row, coord)."""
        return encode(self.encoder, frame)

    def components(self, values: Tensor, observed: Tensor) -> list[Tensor]:
        """Errors of each component on encoded rows, (row, level) each; see ``Ensemble``."""
        return row_components(self.encoder, self.ensemble, values, observed)

    def score(self, values: Tensor, observed: Tensor) -> Tensor:
        """Score encoded rows, however many; larger is more anomalous."""
        scores = self.calibration.score(self.components(values, observed))
        if self.missing_cells is None:
            return scores
        return self.missing_cells.adjusted(scores, missing_columns(observed, self.column_masks))

    def score_rows(self, frame: pd.DataFrame) -> np.ndarray:
        """Score a checked frame, encoded and scored block by block."""
        starts = range(0, len(frame), SCORED_AT_ONCE)
        blocks = [frame.iloc[start : start + SCORED_AT_ONCE] for start in starts]
        scored = map_blocks(lambda block: self.score(*self.encode(block)), blocks)
        return torch.cat(scored).numpy()

    def score_frame(self, frame: pd.DataFrame) -> tuple[np.ndarray, dict]:
        """Scores of the rows of a checked frame, and further columns beside them: none."""
        return self.score_rows(frame), {}

    # -- what the answers need ------------------------------------------------------------

    @property
    def columns(self) -> list:
        """Names of the columns that take part in the score."""
        return [column.name for column in self.schema.used]

    @property
    def columns_in(self) -> list:
        """Input columns that scoring needs: those that take part in the score."""
        return self.columns

    def describe(self) -> dict[str, Any]:
        """Return the schema as JSON values."""
        return self.schema.to_dict()

    @cached_property
    def column_masks(self) -> Tensor:
        """Coords of each column, bool of shape (column, coord)."""
        return torch.from_numpy(self.encoder.column_masks())

    @property
    def denoiser(self) -> Denoiser:
        """The trained network, which works on the coords of ``network_view``."""
        return cast(Denoiser, self.ensemble.denoiser)

    @property
    def network_view(self) -> Tensor:
        """Coords that the network works on, bool of shape (coord,)."""
        return self.ensemble.network_view

    @property
    def distance_weights(self) -> Tensor:
        """What coords are multiplied by where rows are compared, of shape (coord,)."""
        return self.ensemble.distance_weights

    def network_events(self, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Values and observed of a checked frame as the network sees them."""
        values, observed = self.encode(frame)
        return values[:, self.network_view], observed[:, self.network_view]

    def reference_events(self) -> Tensor:
        """Reference rows as the network sees them."""
        return self.reference.values[:, self.network_view]

    def derived(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returns, called once per key: helpers that take long to set up."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    # -- storage -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the model as JSON values and tensors, nested."""
        ensemble, related = self.ensemble, self.ensemble.cooccurrence
        return {
            "schema": self.schema.to_dict(),
            "encoder": self.encoder.to_dict(),
            "network": self.denoiser.shape,
            "weights": self.denoiser.network.state_dict(),
            "network_view": ensemble.network_view,
            "reconstructions": [vars(each) for each in ensemble.reconstructions],
            "reference": vars(self.reference),
            "subsets": [vars(each.subsets) for each in ensemble.subset_searches],
            "cooccurrence": None if related is None else vars(related),
            "calibration": self.calibration.to_dict(),
            "missing_cells": None if self.missing_cells is None else self.missing_cells.to_dict(),
            "calibration_scores": torch.from_numpy(self.calibration_scores),
            "history": self.history.to_dict("list"),
            "seed": self.seed,
            "n_training_rows": self.n_training_rows,
            "n_validation_rows": self.n_validation_rows,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TabularModel":
        """Rebuild a model from `to_dict`."""
        require_finite(state)
        require_whole(state, {"seed": 0, "n_training_rows": 1, "n_validation_rows": 1})
        encoder = TableEncoder.from_dict(state["encoder"])
        reference, related = ReferenceSet(**state["reference"]), state["cooccurrence"]
        missing = state.get("missing_cells")
        ensemble = Ensemble.build(
            restored_denoiser(ResidualMLP, state["network"], state["weights"]),
            state["network_view"],
            [ReconstructionComponent(**each) for each in state["reconstructions"]],
            torch.from_numpy(encoder.views()),
            torch.from_numpy(encoder.rarity()),
            reference,
            [Subsets(**each) for each in state["subsets"]],
            None if related is None else Cooccurrence(**related),
        )
        schema = Schema.from_dict(state["schema"])
        if schema != encoder.schema:
            raise ValueError("need one schema in a stored model; that of the encoder is another.")
        model = cls(
            schema=schema,
            encoder=encoder,
            reference=reference,
            ensemble=ensemble,
            calibration=ScoreCalibration.from_dict(state["calibration"]),
            missing_cells=None if missing is None else MissingCells.from_dict(missing),
            calibration_scores=require_calibrated(state["calibration_scores"]),
            history=pd.DataFrame(state["history"])[HISTORY],
            seed=state["seed"],
            n_training_rows=state["n_training_rows"],
            n_validation_rows=state["n_validation_rows"],
        )
        some = reference.values[:2]
        tried = torch.cat([some, some + FAR])  # within the calibration rows, and in the tails
        require_finite_scores(model.score(tried, torch.ones_like(tried, dtype=torch.bool)))
        return model
