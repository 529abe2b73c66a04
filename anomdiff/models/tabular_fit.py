"""Fitting the model of a table: split, encode, train, reference rows, calibration."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.diffusion.noise import geometric_levels, sign_bank
from anomdiff.diffusion.training import TrainingConfig
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from anomdiff.models.corruption import CORRUPTIONS, corrupted_copies
from anomdiff.models.encoded_rows import encode
from anomdiff.models.row_components import row_components
from anomdiff.models.training_rows import TrainingRows, split_rows
from anomdiff.models.training_run import StepHook, train_denoiser, warm_started
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.scoring.calibration import LEAST_TAIL, ScoreCalibration
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.scoring.missing_cells import MissingCells
from anomdiff.scoring.reconstruction_component import ReconstructionComponent, by_noise
from anomdiff.scoring.separation import separation_weights
from anomdiff.thresholds.conformal import needed_rows

__all__ = ["calibrated", "fit_table", "searching"]

# Share of the rows left out where there is no clean training data.
SUSPECTED = 0.3
# Training noise levels, as mean and standard deviation of their logarithm: wider than that of
# images, because levels from 0.05 to 4 are scored.
LEVELS = TrainingConfig(level_mean=-0.3, level_std=1.6)
# Where categories hardly ever disagree, one disagreement must not count as many.
LEAST_COOCCURRENCE_TAIL = 1.0
# What components weigh beforehand, 1 unless named here: where the network moves rows that are free
# of noise, it is near chance on some tables although it sees corrupted rows well.
PRIORS = {"middle noise": 0.7}
# How much of the score is the largest component.
MAXIMUM_SHARE = 0.35


def fit_table(
    frame: pd.DataFrame,
    schema: Schema,
    parameters: Mapping[str, Any],
    *,
    on_step: StepHook | None,
    screening: bool,
    fitted: tuple[Denoiser, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Learn normal rows and return the fields of a ``TabularModel``; see its ``fit``.

    ``fitted`` is the network to start from and the names of its entries.
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
    calibrating = central[held_out] if central[held_out].any() else np.full(len(held_out), True)
    learned, typical = training[central[training]], held_out[calibrating]
    denoiser, history = _denoiser(rows, learned, typical, parameters, on_step, fitted)

    exclude_self = np.arange(len(frame)) if screening else held_out
    most = parameters["max_reference"]
    reference = rows.reference(np.flatnonzero(central), exclude_self, most, rng)
    cooccurrence = rows.cooccurrence(learned, typical)
    reconstructions = _reconstructions(rows, parameters)
    ensemble = searching(rows, denoiser, reconstructions, reference, cooccurrence, typical)
    # Held-out rows are reference rows too but exclude themselves: a new row has one row more
    # to be near to, so that p-values err on the safe side. So they do where anomalies are
    # among the held-out rows, which count here even if they are not central. Calibration and
    # weights are learned from the same rows, which works against that where these are few;
    # calibrating each on the others instead would break ties, and quieten what is far out.
    shown = rows.missing_columns(learned)
    return {
        "schema": schema,
        "encoder": encoder,
        "reference": reference,
        "ensemble": ensemble,
        **calibrated(rows, ensemble, frame, learned, held_out, calibrating, shown),
        "history": history,
        "seed": seed,
        "n_training_rows": len(training),
        "n_validation_rows": len(held_out),
    }


def calibrated(
    rows: TrainingRows,
    ensemble: Ensemble,
    frame: pd.DataFrame,
    learned: np.ndarray,
    held_out: np.ndarray,
    calibrating: np.ndarray,
    shown: Tensor,
) -> dict[str, Any]:
    """Learn from held-out rows what components, missing cells and scores of normal rows are like.

    Parameters
    ----------
    rows : TrainingRows
        All rows of ``frame``, encoded.
    ensemble : Ensemble
        The components.
    frame : DataFrame
        Checked rows.
    learned, held_out : int ndarray
        Numbers of the rows that were learned from, and of those that calibrate.
    calibrating : bool ndarray
        Which of the latter components are calibrated on.
    shown : bool Tensor of shape (row, column)
        Cells that are missing in the rows that were learned from.

    Returns
    -------
    fields : dict
        ``calibration``, ``missing_cells`` and ``calibration_scores`` of a ``TabularModel``.
    """
    components = row_components(
        rows.encoder, ensemble, rows.values[held_out], rows.observed[held_out]
    )
    calibration = _calibration(
        rows,
        ensemble,
        [each[calibrating] for each in components],
        frame.iloc[held_out[calibrating]],
        frame.iloc[learned],
    )
    scores = calibration.score(components)
    missing = rows.missing_columns(held_out)
    missing_cells = MissingCells.fit(shown, missing, scores, torch.as_tensor(calibrating))
    scores = missing_cells.adjusted(scores, missing)
    return {
        "calibration": calibration,
        "missing_cells": missing_cells,
        "calibration_scores": np.sort(scores.numpy()),
    }


def _denoiser(
    rows: TrainingRows,
    training: np.ndarray,
    validation: np.ndarray,
    parameters: Mapping[str, Any],
    on_step: StepHook | None,
    fitted: tuple[Denoiser, Sequence[str]] | None,
) -> tuple[Denoiser, pd.DataFrame]:
    """Train the network on all coords; those of a column are given together."""
    shape = {name: int(parameters[name]) for name in ("width", "n_blocks")}
    make_network, parameters = warm_started(
        lambda: ResidualMLP(rows.values.shape[1], **shape),
        rows.encoder.features,
        parameters,
        fitted,
    )
    return train_denoiser(
        make_network,
        (rows.values[training], rows.observed[training]),
        (rows.values[validation], rows.observed[validation]),
        parameters,
        rows.seed,
        on_step,
        groups=rows.columns.int().argmax(0),
        base=LEVELS,
    )


def searching(
    rows: TrainingRows,
    denoiser: Denoiser,
    reconstructions: Sequence[ReconstructionComponent],
    reference: ReferenceSet,
    cooccurrence: Cooccurrence | None,
    typical: np.ndarray,
) -> Ensemble:
    """Put the components together; the held-out rows ``typical`` measure distances to subsets."""
    ensemble = Ensemble.build(
        denoiser,
        torch.ones_like(rows.views[0]),
        reconstructions,
        rows.views,
        rows.distance_weights,
        reference,
        rows.subsets(len(reference.values)),
        cooccurrence,
    )
    held = rows.values[typical] * rows.distance_weights, rows.observed[typical]
    measured = [search.measured(*held) for search in ensemble.subset_searches]
    return replace(ensemble, subset_searches=measured)


def _reconstructions(
    rows: TrainingRows, parameters: Mapping[str, Any]
) -> Sequence[ReconstructionComponent]:
    """Noise levels of the score, and the noise at each."""
    n_levels, n_draws = parameters["n_levels"], parameters["n_draws"]
    levels = geometric_levels(n_levels, parameters["sigma_min"], parameters["sigma_max"])
    noise = sign_bank(n_levels, n_draws, (rows.values.shape[1],), rows.seed)
    return by_noise(levels, noise, rows.views[0])


def _calibration(
    rows: TrainingRows,
    ensemble: Ensemble,
    components: list[Tensor],
    typical: pd.DataFrame,
    fitted: pd.DataFrame,
) -> ScoreCalibration:
    """Calibrate on held-out rows; components weigh what they see of corrupted copies of these."""
    least = [LEAST_TAIL] * len(components)
    if ensemble.cooccurrence is not None:
        least[-1] = LEAST_COOCCURRENCE_TAIL
    calibration = ScoreCalibration.fit(components, least)
    corrupted = []
    for kind in CORRUPTIONS:
        rng = np.random.RandomState(rows.seed)
        copies = corrupted_copies(typical, fitted, rows.encoder.schema, kind, rng)
        errors = row_components(rows.encoder, ensemble, *encode(rows.encoder, copies))
        corrupted.append(calibration.standardise(errors))
    priors = [PRIORS.get(name, 1.0) for name in ensemble.names]
    weights = separation_weights(calibration.standardise(components), corrupted, priors)
    return replace(calibration, weights=weights, maximum_share=MAXIMUM_SHARE)
