"""The fitted model of a table: frozen, from a frame of rows to their scores."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.diffusion.noise import geometric_levels, noise_bank
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from anomdiff.models.encoded_rows import category_codes, encode
from anomdiff.models.parallel import map_blocks
from anomdiff.models.training_rows import TrainingRows, split_rows
from anomdiff.models.training_run import StepHook, restore_denoiser, train_denoiser
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.scoring.calibration import MIN_SPREAD, ScoreCalibration
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.thresholds.conformal import needed_rows

__all__ = ["TabularModel"]

# Rows scored at once: bounds memory without slowing the matrix products.
SCORED_AT_ONCE = 2048
# Share of the rows left out where there is no clean training data.
SUSPECTED = 0.3
# Where categories hardly ever disagree, one disagreement must not count as many deviations.
LEAST_COOCCURRENCE_SPREAD = 1.0


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
    ) -> "TabularModel":
        """Learn normal rows; ``parameters`` are those of ``TabularDetector``.

        For ``screening``, these very rows are to be scored: all of them exclude themselves, and
        the least central ones are not learned from.
        """
        rng = check_random_state(parameters["random_state"])
        seed = int(rng.randint(2**31 - 1))
        training, held_out = split_rows(
            len(frame),
            parameters["validation_fraction"],
            needed_rows(parameters["alpha"]),
            parameters["max_validation"],
            rng,
        )
        encoder = TableEncoder(max_categories=parameters["max_categories"])
        rows = TrainingRows(encoder.fit(frame.iloc[training], schema), frame, seed)
        central = rows.central(parameters["trim_fraction"] or (SUSPECTED if screening else 0.0))
        fitted, typical = training[central[training]], held_out[central[held_out]]
        denoiser, history = _denoiser(rows, fitted, typical, parameters, on_step)

        exclude_self = np.arange(len(frame)) if screening else held_out
        most = parameters["max_reference"]
        reference = rows.reference(np.flatnonzero(central), exclude_self, most, rng)
        cooccurrence, weight = rows.cooccurrence(fitted, typical)
        levels, noise = _noise(denoiser, parameters, seed)
        ensemble = Ensemble.build(
            denoiser, levels, noise, rows.views, rows.distance_weights, reference, cooccurrence
        )
        # Held-out rows are reference rows too but exclude themselves: a new row has one row more
        # to be near to, so that p-values err on the safe side. So they do where anomalies are
        # among the held-out rows, which count here even if they are not central.
        held = rows.values[held_out], rows.observed[held_out]
        components = _components(encoder, ensemble, *held)
        calibration = _calibration([each[central[held_out]] for each in components], weight)
        return cls(
            schema=schema,
            encoder=encoder,
            reference=reference,
            ensemble=ensemble,
            calibration=calibration,
            calibration_scores=np.sort(calibration.score(components).numpy()),
            history=history,
            seed=seed,
            n_training_rows=len(training),
            n_validation_rows=len(held_out),
        )

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

    # -- scoring -------------------------------------------------------------------------

    def encode(self, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Encode a checked frame to float64 values and the observed mask, (row, coord)."""
        return encode(self.encoder, frame)

    def components(self, values: Tensor, observed: Tensor) -> list[Tensor]:
        """Errors of each component on encoded rows, (row, level) each; see ``Ensemble``."""
        return _components(self.encoder, self.ensemble, values, observed)

    def score(self, values: Tensor, observed: Tensor) -> Tensor:
        """Score encoded rows, however many; larger is more anomalous."""
        return self.calibration.score(self.components(values, observed))

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
        return torch.from_numpy(np.stack([self.encoder.part(name) for name in self.columns]))

    @property
    def denoiser(self) -> Denoiser:
        """The trained network, which works on the coords of ``network_view``."""
        return cast(Denoiser, self.ensemble.denoiser)

    @property
    def network_view(self) -> Tensor:
        """Coords that the network works on, bool of shape (coord,)."""
        return self.ensemble.views[0]

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
            "levels": ensemble.levels,
            "noise": ensemble.noise,
            "reference": vars(self.reference),
            "cooccurrence": None if related is None else vars(related),
            "calibration": {name: list(part) for name, part in vars(self.calibration).items()},
            "calibration_scores": torch.from_numpy(self.calibration_scores),
            "history": self.history.to_dict("list"),
            "seed": self.seed,
            "n_training_rows": self.n_training_rows,
            "n_validation_rows": self.n_validation_rows,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "TabularModel":
        """Rebuild a model from `to_dict`."""
        encoder = TableEncoder.from_dict(state["encoder"])
        reference, related = ReferenceSet(**state["reference"]), state["cooccurrence"]
        ensemble = Ensemble.build(
            restore_denoiser(lambda: ResidualMLP(**state["network"]), state["weights"]),
            state["levels"],
            state["noise"],
            torch.from_numpy(encoder.views()),
            torch.from_numpy(encoder.rarity()),
            reference,
            None if related is None else Cooccurrence(**related),
        )
        return cls(
            schema=Schema.from_dict(state["schema"]),
            encoder=encoder,
            reference=reference,
            ensemble=ensemble,
            calibration=ScoreCalibration(**state["calibration"]),
            calibration_scores=state["calibration_scores"].numpy(),
            history=pd.DataFrame(state["history"]),
            seed=state["seed"],
            n_training_rows=state["n_training_rows"],
            n_validation_rows=state["n_validation_rows"],
        )


def _components(
    encoder: TableEncoder, ensemble: Ensemble, values: Tensor, observed: Tensor
) -> list[Tensor]:
    """Components of encoded rows, blocks of rows side by side."""

    def of_block(block: tuple[Tensor, Tensor]) -> list[Tensor]:
        codes = None if ensemble.cooccurrence is None else category_codes(encoder, *block)
        return ensemble.components(*block, _observed_share(encoder, block[1]), codes)

    blocks = zip(values.split(SCORED_AT_ONCE), observed.split(SCORED_AT_ONCE), strict=True)
    found = map_blocks(of_block, list(blocks))
    return [torch.cat(component) for component in zip(*found, strict=True)]


def _observed_share(encoder: TableEncoder, observed: Tensor) -> Tensor:
    """Share of each row's columns that is observed; at least one column's worth."""
    everything = torch.ones_like(observed[:1])
    seen, whole = (encoder.fold(mask.double().numpy()) for mask in (observed, everything))
    return torch.from_numpy((seen / whole).mean(1)).clamp(min=1 / seen.shape[1])


def _denoiser(
    rows: TrainingRows,
    training: np.ndarray,
    validation: np.ndarray,
    parameters: Mapping[str, Any],
    on_step: StepHook | None,
) -> tuple[Denoiser, pd.DataFrame]:
    """Train the network on its view."""
    shape = {name: int(parameters[name]) for name in ("width", "n_blocks")}
    return train_denoiser(
        lambda: ResidualMLP(int(rows.views[0].sum()), **shape),
        rows.seen_by_network(training),
        rows.seen_by_network(validation),
        parameters,
        rows.seed,
        on_step,
    )


def _noise(denoiser: Denoiser, parameters: Mapping[str, Any], seed: int) -> tuple[Tensor, Tensor]:
    """Noise levels of the score, and the noise at each."""
    n_levels, n_draws = parameters["n_levels"], parameters["n_draws"]
    levels = geometric_levels(n_levels, parameters["sigma_min"], parameters["sigma_max"])
    return levels, noise_bank(n_levels, n_draws, (denoiser.shape["n_coords"],), seed)


def _calibration(components: Sequence[Tensor], weight: float) -> ScoreCalibration:
    """Calibrate; the last component has the weight, if it has any, the others share the rest."""
    if not weight:
        return ScoreCalibration.fit(components)
    n_others = len(components) - 1
    weights = [(1 - weight) / n_others] * n_others + [weight]
    floors = [MIN_SPREAD] * n_others + [LEAST_COOCCURRENCE_SPREAD]
    return ScoreCalibration.fit(components, weights, floors)
