"""Taking further normal rows into the model of a table, without training."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.models.encoded_rows import category_codes, missing_columns
from anomdiff.models.tabular_fit import calibrated, searching
from anomdiff.models.training_rows import MOST_HELD_OUT, TrainingRows, split_rows
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.thresholds.conformal import least_alpha, needed_rows

__all__ = ["update_table"]


def update_table(model: Any, frame: pd.DataFrame, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Take in normal rows and return the fields of a fitted ``TabularModel`` that change.

    The rows are split as in a fit. Most become reference rows beside those there are, of which
    some are drawn where all are more than ``max_reference``. What components of normal rows are
    like is learned from these too, each without itself as a neighbour. The score does then not
    depend on the other rows, which calibrate it: normal rows to come are exchangeable with them,
    but with the rows that calibrated before only where nothing has drifted. The network and the
    encoding stay.

    Raises
    ------
    ValueError
        If the rows are too few to calibrate ``alpha``, or have a category, or a missing cell,
        where training showed none.
    """
    model.encoder.require_shown(frame)
    _require_enough(len(frame), parameters)
    rows = TrainingRows(model.encoder, frame, model.seed)
    rng = check_random_state(model.seed)
    fraction, most = parameters["validation_fraction"], parameters["max_validation"]
    least = needed_rows(parameters["alpha"])
    new, held_out = split_rows(len(frame), fraction, least, most, rng)
    reference, added = _joined(model, rows, new, parameters["max_reference"], rng)
    observed = torch.from_numpy(model.encoder.observed(reference.values.numpy()))
    cooccurrence = _cooccurrence(model, rows, new, reference.values, observed)
    network = model.denoiser, model.ensemble.reconstructions
    apart = replace(reference, exclude_self=reference.exclude_self | added)
    without_self = searching(rows, *network, apart, cooccurrence, new)
    shown = missing_columns(observed, rows.columns)
    everything = np.ones(len(new), dtype=bool)
    learned = calibrated(rows, without_self, frame, new, new, everything, shown)
    changed = {
        **learned,
        "reference": reference,
        "ensemble": _among(without_self, reference),
        "n_training_rows": model.n_training_rows + len(new),
        "n_validation_rows": len(held_out),
    }
    scores = replace(model, **changed).score(rows.values[held_out], rows.observed[held_out])
    return changed | {"calibration_scores": np.sort(scores.numpy())}


def _require_enough(n: int, parameters: Mapping[str, Any]) -> None:
    """Refuse so few rows that none could be flagged afterwards."""
    alpha = parameters["alpha"]
    needed = math.ceil(needed_rows(alpha) / MOST_HELD_OUT)
    if n < max(needed, 4):
        raise ValueError(
            f"an update needs at least {max(needed, 4)} rows for alpha={alpha}; got {n}: collect "
            f"more, or set an alpha of {least_alpha(int(MOST_HELD_OUT * n)):g} or more."
        )


def _joined(
    model: Any,
    rows: TrainingRows,
    new: np.ndarray,
    most: int,
    rng: np.random.RandomState,
) -> tuple[ReferenceSet, Tensor]:
    """Reference rows of before and new ones, and which are new; of too many, fewer former ones."""
    added = rows.values[np.sort(new)[:most]]
    before = model.reference
    kept = np.sort(rng.permutation(len(before.values))[: max(0, most - len(added))])
    values = torch.cat([before.values[kept], added])
    is_new = torch.arange(len(values)) >= len(kept)
    excluding = torch.cat([before.exclude_self[kept], torch.zeros(len(added), dtype=torch.bool)])
    return ReferenceSet.build(values, excluding, rows.views, rows.distance_weights), is_new


def _among(ensemble: Ensemble, reference: ReferenceSet) -> Ensemble:
    """Return the same components with other rows that are no neighbours of themselves."""
    return Ensemble.build(
        ensemble.denoiser,
        ensemble.network_view,
        ensemble.reconstructions,
        ensemble.views,
        ensemble.distance_weights,
        reference,
        [each.subsets for each in ensemble.subset_searches],
        ensemble.cooccurrence,
    )


def _cooccurrence(
    model: Any,
    rows: TrainingRows,
    new: np.ndarray,
    values: Tensor,
    observed: Tensor,
) -> Cooccurrence | None:
    """Count anew which categories go together, if that is a component."""
    if model.ensemble.cooccurrence is None:
        return None
    codes = category_codes(model.encoder, values, observed)
    own = category_codes(model.encoder, rows.values[new], rows.observed[new])
    return Cooccurrence.fit(codes, own, torch.tensor(model.encoder.category_sizes()))
