"""The nearest normal row: change as few columns as bring the score down to the threshold.

Two ways lead from a row to a normal one. The first replaces the column that lowers the score most
by what the rows nearest in the other columns have there, then looks anew. The second copies from
the normal row that is nearest in most columns: it ends there for sure, where the first may be led
astray by what is still wrong. Changes that turn out not to be needed are taken back, and the way
with the fewest wins.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pandas.api import types
from torch import Tensor

from anomdiff.conditional.reference_rows import seeded
from anomdiff.explain.attribution import scores_with_one_replaced
from anomdiff.explain.row_explanation import (
    Cells,
    as_cells,
    column_parts,
    decoded,
    neighbours,
    remembered,
    rows_at_once,
    score_rows,
    suggest,
)
from anomdiff.thresholds.conformal import safely_below

# Nearest remembered rows among which to look for one that is itself normal; and how many, of all,
# where these are not, because rows repeat.
N_DONORS, N_FURTHER = 10, 1000
# Row labels that a warning names.
NAMED = 10

Propose = Callable[[Tensor, Cells], Cells]


class Path(NamedTuple):
    """How far the repair of some rows has come.

    Attributes
    ----------
    cells : Cells
        The rows by now.
    changed : bool Tensor of shape (row, column)
        What was changed.
    scores : Tensor of shape (row,)
        Their scores by now.
    """

    cells: Cells
    changed: Tensor
    scores: Tensor


def repair_rows(
    detector, X, frame: pd.DataFrame, max_columns: int | None, immutable: Iterable
) -> pd.DataFrame:
    """Repair anomalies; see ``TabularDetector.repair``.

    Parameters
    ----------
    detector : TabularDetector
        Fitted.
    X : DataFrame or array-like of shape (row, column)
        Rows, whose other cells are kept.
    frame : DataFrame
        The same rows, checked.
    max_columns : int, optional
        Most columns to change in a row.
    immutable : iterable of str
        Columns that are not to change.
    """
    mutable = _mutable(detector, max_columns, immutable)
    repaired = (X if isinstance(X, pd.DataFrame) else frame).copy()
    scores, _ = detector._score(frame)
    strange = np.flatnonzero(scores > detector.threshold_)
    n = rows_at_once(detector)
    for rows in (strange[start : start + n] for start in range(0, len(strange), n)):
        search = Search(detector, Cells(*detector._encode(frame.iloc[rows])), mutable, max_columns)
        _write(detector, repaired, rows, search.best())
    _warn_of_the_rest(detector, repaired, strange)
    return repaired


class Search:
    """Searches the fewest changes that make some rows normal.

    Parameters
    ----------
    detector : TabularDetector
        Fitted.
    rows : Cells
        Anomalies.
    mutable : bool Tensor of shape (column,)
        Columns that may change.
    max_columns : int, optional
        Most columns to change in a row.
    """

    def __init__(self, detector, rows: Cells, mutable: Tensor, max_columns: int | None):
        self.detector, self.rows, self.mutable = detector, rows, mutable
        self.most = min(max_columns or len(mutable), int(mutable.sum()))
        self.parts = column_parts(detector)
        self.goal = safely_below(detector.threshold_)
        self.donors = self._find_donors()

    def best(self) -> Path:
        """Of the two ways, the better one for each row."""
        first, second = (self._back(self._forth(way)) for way in (self._anew, self._donated))
        failed, costs = zip(*map(self._cost, (first, second)), strict=True)
        better = (failed[1] < failed[0]) | ((failed[1] == failed[0]) & (costs[1] < costs[0]))
        return _choose(better, second, first)

    def _find_donors(self) -> Cells:
        """For each row the nearest remembered one that is itself normal: some are not."""
        near = neighbours(self.detector, *self.rows, N_DONORS)[-1]
        donors = as_cells(self.detector, remembered(self.detector)[near.flatten()])
        normal = (self._score(*donors) <= self.goal).reshape(near.shape)
        first = normal.int().argmax(1) + torch.arange(len(near)) * near.shape[1]
        found, lost = Cells(*(each[first] for each in donors)), ~normal.any(1)
        if lost.any():
            self._look_further(found, lost)
        return found

    def _look_further(self, found: Cells, lost: Tensor) -> None:
        """Replace donors by the nearest normal row of many, if any is normal."""
        rows = remembered(self.detector)
        some = torch.randperm(len(rows), generator=seeded(0))[:N_FURTHER]
        further = as_cells(self.detector, rows[some])
        normal = self._score(*further) <= self.goal
        if normal.any():
            gaps = [(each.values * self.detector._factors()) for each in (self.rows, further)]
            nearest = torch.cdist(gaps[0][lost], gaps[1][normal]).argmin(1)
            for each, other in zip(found, further, strict=True):
                each[lost] = other[normal][nearest]

    def _anew(self, which: Tensor, now: Cells) -> Cells:
        return suggest(self.detector, *now).nearest

    def _donated(self, which: Tensor, now: Cells) -> Cells:
        return Cells(*(each[which] for each in self.donors))

    def _forth(self, propose: Propose) -> Path:
        """Replace column after column; where that is not enough, return the lowest score met."""
        nothing = torch.zeros(len(self.rows.values), len(self.parts), dtype=torch.bool)
        lowest = path = Path(self.rows, nothing, self._score(*self.rows))
        for _ in range(self.most):
            which = torch.nonzero(path.scores > self.goal)[:, 0]
            if not len(which):
                break
            now = Cells(*(each[which] for each in path.cells))
            allowed = self.mutable & ~path.changed[which]
            path = self._changed(path, which, now, propose(which, now), allowed)
            lowest = _choose(path.scores < lowest.scores, path, lowest)
        return lowest

    def _back(self, path: Path) -> Path:
        """Take back, one by one, the changes without which a row stays normal."""
        which = torch.nonzero(path.scores <= self.goal)[:, 0]
        while len(which):
            now, old = (Cells(*(x[which] for x in each)) for each in (path.cells, self.rows))
            tried = self._changed(path, which, now, old, path.changed[which])
            good = tried.scores <= self.goal
            good &= (tried.changed != path.changed).any(1)
            path = _choose(good, tried, path)
            which = which[good[which]]
        return path

    def _changed(self, path: Path, which, now: Cells, new: Cells, allowed) -> Path:
        """Replace, in some rows, the column whose replacement lowers the score most."""
        after = scores_with_one_replaced(self._score, *now, new, self.parts)
        scores, column = after.where(allowed, torch.inf).min(1)
        taken, cells = self.parts[column], [each.clone() for each in path.cells]
        for each, old, other in zip(cells, now, new, strict=True):
            each[which] = torch.where(taken, other, old)
        changed = path.changed.clone()
        changed[which, column] = ~changed[which, column]
        return Path(Cells(*cells), changed, path.scores.index_copy(0, which, scores))

    def _cost(self, path: Path) -> tuple[Tensor, Tensor]:
        """Whether it failed; then its score, or else the number of changes and their size."""
        failed = path.scores > self.goal
        size = (path.cells.values - self.rows.values).abs().sum(1)
        return failed, torch.where(failed, path.scores, path.changed.sum(1) + size / (1 + size))

    def _score(self, values: Tensor, observed: Tensor) -> Tensor:
        return score_rows(self.detector, values, observed)


def _choose(first_is_better: Tensor, first: Path, second: Path) -> Path:
    """Take each row from one of two paths."""

    def pick(one, other):
        return torch.where(first_is_better.reshape(-1, *[1] * (one.ndim - 1)), one, other)

    cells = Cells(*map(pick, first.cells, second.cells))
    return Path(cells, pick(first.changed, second.changed), pick(first.scores, second.scores))


def _mutable(detector, max_columns: int | None, immutable: Iterable) -> Tensor:
    """Tell the columns that may change, or say why that cannot be."""
    if max_columns is not None and max_columns < 1:
        raise ValueError(f"need max_columns of at least 1, or None; got {max_columns}.")
    fixed = {immutable} if isinstance(immutable, str) else set(immutable)
    names = [column.name for column in detector.schema_.columns]
    if unknown := sorted(fixed.difference(names), key=str):
        raise ValueError(f"need immutable columns among {names}; got {unknown}.")
    mutable = torch.tensor([name not in fixed for name in detector.columns_])
    if not mutable.any():
        raise ValueError("need a column that may change; got all as immutable.")
    return mutable


def _write(detector, repaired: pd.DataFrame, rows: np.ndarray, path: Path) -> None:
    """Write the changed cells into the frame."""
    new = decoded(detector, path.cells.values)
    for name, changed in zip(detector.columns_, path.changed.numpy().T, strict=True):
        if changed.any():
            place = repaired.columns.get_loc(name)
            cells = _written(repaired.iloc[:, place], rows[changed], new[name][changed])
            repaired.isetitem(place, cells)


def _written(cells: pd.Series, places: np.ndarray, new: pd.Series) -> pd.Series:
    """Cells with some replaced, in their old dtype if it holds the new ones."""
    dtype = cells.dtype
    if types.is_integer_dtype(dtype) and types.is_float_dtype(new.dtype):
        new = new.round()
    mixed = cells.astype(object).to_numpy(copy=True)
    mixed[places] = new.astype(object).to_numpy()
    if isinstance(dtype, pd.CategoricalDtype):
        unknown = pd.Index(new.dropna().unique()).difference(dtype.categories)
        dtype = pd.CategoricalDtype(dtype.categories.append(unknown), dtype.ordered)
    written = pd.Series(mixed, index=cells.index, dtype=object)
    try:
        return written.astype(dtype)
    except (TypeError, ValueError):  # a gap in a column of integers
        return written.infer_objects()


def _warn_of_the_rest(detector, repaired: pd.DataFrame, strange: np.ndarray) -> None:
    """Warn of rows that are still anomalies."""
    if not len(strange):
        return
    scores, _ = detector._score(detector.schema_.check(repaired[detector.columns_].iloc[strange]))
    rest = repaired.index[strange[scores > detector.threshold_]].tolist()
    if rest:
        labels = f"{rest[:NAMED]}{' and more' if len(rest) > NAMED else ''}"
        warnings.warn(
            f"{len(rest)} of {len(strange)} anomalies stay above the threshold, as near to it "
            f"as these columns allow: rows {labels}.",
            UserWarning,
            stacklevel=4,
        )
