"""The nearest normal row: change as few columns as bring the score down to the threshold.

In each round a column takes another cell, the one that lowers the score most. The first way takes
it from the reference row that is nearest in the other columns. The second takes all cells from
one normal reference row, the donor: it becomes normal for sure, where the first may follow cells
that are wrong themselves.
"""

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from itertools import repeat
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.diffusion.noise import seeded
from anomdiff.encoding.casting import write_cells
from anomdiff.explain.changed_frame import mutable_columns, warn_of_rest
from anomdiff.explain.counterfactuals import above_goal, excess_over, search
from anomdiff.explain.row_explanation import (
    MANY_COLUMNS,
    Cells,
    as_cells,
    decoded,
    neighbours,
    replaced_scores,
    rows_at_once,
    suggest,
)
from anomdiff.models.progress import progressed
from anomdiff.models.tabular_model import TabularModel
from anomdiff.thresholds.conformal import safely_below

__all__ = ["repair_rows"]

# Nearest reference rows among which to look for a normal one; and how many, of all, where these
# are not, because rows repeat.
N_DONORS, N_FURTHER = 10, 1000
# Most columns of a row to change, where there are many and nothing else is asked for: each takes
# a scoring per column.
MOST_CHANGES = 32

# New cells for some rows, by their numbers and present cells.
Source = Callable[[Tensor, Cells], Cells]


class RowState(NamedTuple):
    """Rows by now; an item of the search is a row, a part is a column."""

    values: Float[Tensor, "row coord"]
    observed: Bool[Tensor, "row coord"]
    changed: Bool[Tensor, "row column"]
    excess: Float[Tensor, "row 2"]

    def cells(self, rows: Tensor) -> Cells:
        """Cells of some rows."""
        return Cells(self.values, self.observed).take(rows)


def repair_rows(
    model: TabularModel,
    threshold: float,
    X: pd.DataFrame,
    frame: pd.DataFrame,
    max_columns: int | None,
    immutable: str | Iterable[Hashable],
) -> pd.DataFrame:
    """Rows with as few cells changed as make them normal; see ``TabularDetector.repair``.

    ``frame`` holds the rows of ``X``, checked; the cells that stay are those of ``X``.
    """
    names = [column.name for column in model.schema.columns]
    mutable = mutable_columns("column", names, model.columns, max_columns, immutable)
    most = len(mutable) if len(mutable) < MANY_COLUMNS else MOST_CHANGES
    n_rounds = min(max_columns or most, int(mutable.sum()))
    repaired = X.copy()
    anomalies = np.flatnonzero(model.score_rows(frame) > threshold)
    n = rows_at_once(model)
    for start in progressed(range(0, len(anomalies), n), "repair", unit=f"{n} rows"):
        rows = anomalies[start : start + n]
        cells = Cells(*model.encode(frame.iloc[rows]))
        found = RowChanges(model, safely_below(threshold), cells, mutable).search(n_rounds)
        _write(model, repaired, rows, found)
    if len(anomalies):
        left = repaired[model.columns].iloc[anomalies]
        rest = model.score_rows(model.schema.check(left)) > threshold
        warn_of_rest("column", len(anomalies), left.index[rest].tolist())
    return repaired


class RowChanges:
    """Changes that anomalies may make: one cell of each row at a time."""

    def __init__(self, model: TabularModel, goal: float, rows: Cells, mutable: Tensor):
        self.model, self.goal, self.rows, self.mutable = model, goal, rows, mutable
        nothing = torch.zeros(len(rows.values), len(mutable), dtype=torch.bool)
        self.start = RowState(*rows, nothing, self._excess(model.score(*rows)))
        self.donors = _donors(model, goal, rows)

    def search(self, n_rounds: int) -> RowState:
        """Rows at the goal, or as near to it as so many changes allow."""
        ways = [
            partial(self._further, lambda rows, cells: suggest(self.model, cells)[0]),
            partial(self._further, lambda rows, cells: self.donors.take(rows)),
        ]
        return search(self.start, ways, lambda _: repeat(self._fewer), n_rounds)

    def _further(self, source: Source, state: RowState) -> RowState | None:
        """Change one more cell in each row above the goal."""
        rows = torch.nonzero(above_goal(state))[:, 0]
        if not len(rows):
            return None
        new = source(rows, state.cells(rows))
        return self._with_best(state, rows, new, self.mutable & ~state.changed[rows])

    def _fewer(self, state: RowState, accepted: Tensor) -> RowState | None:
        """Take one change back in each normal row."""
        rows = torch.nonzero(accepted & ~above_goal(state))[:, 0]
        if not len(rows):
            return None
        return self._with_best(state, rows, self.rows.take(rows), state.changed[rows])

    def _with_best(self, state: RowState, rows: Tensor, new: Cells, allowed: Tensor) -> RowState:
        """Replace, in some rows, the allowed cell whose replacement lowers the score most."""
        old, parts = state.cells(rows), self.model.column_masks
        now = self.model.score(*old)
        (after,) = replaced_scores(self.model, old, [new], now, allowed)
        scores, column = after.where(allowed, torch.inf).min(1)
        taken = parts[column]
        values, observed = (torch.where(taken, *pair) for pair in zip(new, old, strict=True))
        flipped = state.changed[rows] ^ torch.eye(len(parts), dtype=torch.bool)[column]
        some = RowState(values, observed, flipped, self._excess(scores))
        pairs = zip(state, some, strict=True)
        return RowState(*(whole.index_copy(0, rows, part) for whole, part in pairs))

    def _excess(self, scores: Tensor) -> Tensor:
        return excess_over(self.goal, scores[:, None])


def _donors(model: TabularModel, goal: float, rows: Cells) -> Cells:
    """For each row the nearest reference row that is itself normal: some are not."""
    near = neighbours(model, rows, N_DONORS)[-1]
    candidates = as_cells(model, model.reference.values[near.flatten()])
    normal = (model.score(*candidates) <= goal).reshape(near.shape)
    first = normal.int().argmax(1) + torch.arange(len(near)) * near.shape[1]
    donors, without = candidates.take(first), ~normal.any(1)
    return _further_donors(model, goal, rows, donors, without) if without.any() else donors


def _further_donors(model, goal: float, rows: Cells, donors: Cells, without: Tensor) -> Cells:
    """Replace donors that are not normal by the nearest normal row of many, if any is normal."""
    reference, weights = model.reference.values, model.distance_weights
    some = torch.randperm(len(reference), generator=seeded(0))[:N_FURTHER]
    candidates = as_cells(model, reference[some])
    candidates = candidates.take(model.score(*candidates) <= goal)
    if not len(candidates.values):
        return donors
    distances = torch.cdist(rows.values * weights, candidates.values * weights)
    nearest = candidates.take(distances.argmin(1))
    pairs = zip(nearest, donors, strict=True)
    return Cells(*(torch.where(without[:, None], *pair) for pair in pairs))


def _write(model, repaired: pd.DataFrame, rows: np.ndarray, found: RowState) -> None:
    """Write the changed cells into the frame."""
    new = decoded(model, found.values)
    for name, changed in zip(model.columns, found.changed.numpy().T, strict=True):
        if changed.any():
            write_cells(repaired, name, rows[changed], new[name][changed])
