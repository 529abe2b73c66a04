"""Frames without their gaps: missing cells of rows, and missing steps of series."""

import numpy as np
import pandas as pd

from anomdiff.conditional.draws import check_count, generator_of
from anomdiff.conditional.row_imputer import RowImputer
from anomdiff.conditional.window_imputer import fill_segment
from anomdiff.encoding.casting import fill_missing
from anomdiff.encoding.parsing import read_cells
from anomdiff.models.progress import progressed
from anomdiff.models.tabular_model import TabularModel
from anomdiff.models.window_model import WindowModel

__all__ = ["impute_rows", "impute_steps"]


def impute_rows(
    model: TabularModel,
    X: pd.DataFrame,
    checked: pd.DataFrame,
    n_draws: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Fill the missing cells of ``X``, whose checked frame is given; see ``impute``."""
    check_count("n_draws", n_draws)
    imputer = RowImputer.of(model)
    reference, (values, given) = imputer.reference, imputer.reference.encode(checked)
    if n_draws is None:
        cells = reference.decode(imputer.means(values, given))
        return fill_missing(X, checked.isna(), cells)
    generator = generator_of(random_state)
    drawn = imputer.draws(values, given, n_draws, generator)
    cells = [reference.cells(events, generator) for events in drawn]
    return _one_below_the_other([fill_missing(X, checked.isna(), each) for each in cells])


def impute_steps(
    model: WindowModel,
    frame: pd.DataFrame,
    n_draws: int | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Fill missing cells of checked series; see ``TimeSeriesDetector.impute``."""
    check_count("n_draws", n_draws)
    generator = None if n_draws is None else generator_of(random_state, model.seed)
    cells = np.full((n_draws or 1, len(frame), len(model.names)), np.nan)
    observed = np.ones(cells.shape[1:], dtype=bool)
    # Cells that are there stay, also where a covariate that says what is normal is missing.
    read = np.column_stack([model.layout.numbers(frame[name], name) for name in model.names])
    for segment in progressed(model.encode(frame), "impute", unit="series"):
        observed[segment.rows] = segment.observed.numpy() | ~np.isnan(read[segment.rows])
        if not segment.observed.all():
            mean, std = model.scaler.scale_of(segment)
            paths = fill_segment(model, segment.values, segment.observed, n_draws or 1, generator)
            cells[:, segment.rows] = paths.numpy() * std + mean
    filled = [_filled(frame, model.names, each, observed) for each in cells]
    return filled[0] if n_draws is None else _one_below_the_other(filled)


def _one_below_the_other(draws: list[pd.DataFrame]) -> pd.DataFrame:
    """All draws, the number of each first in the index."""
    return pd.concat(draws, keys=range(len(draws)), names=["draw", *draws[0].index.names])


def _filled(
    frame: pd.DataFrame, names: list, cells: np.ndarray, observed: np.ndarray
) -> pd.DataFrame:
    """Write cells where they are missing; what is observed keeps its digits."""
    filled = frame.copy()
    for name, column, seen in zip(names, cells.T, observed.T, strict=True):
        if not seen.all():
            old = read_cells(frame[name], "number")
            filled[name] = np.where(seen, old, column)
    return filled
