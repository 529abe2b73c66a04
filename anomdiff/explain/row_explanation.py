"""Which columns to blame for a row's score, and what could be expected in their place.

The remembered rows that are nearest to a row in all columns but one show what that one is like
there: the nearest gives a value, the range of several an interval. The network gives another
value. A column is to blame as far as the better of the two lowers the score.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.explain.attribution import (
    expected_parts,
    nearest_without,
    scores_with_one_replaced,
    shares_of_score,
)

# A further draw of the kind of 19 others lies within their range with probability 18 / 20.
N_NEAR = 19
# Noise level, in standard deviations, at which a redrawn column says nothing of itself.
REDRAWN = 4.0
# Rows, and cells of their copies, worked on at once: each row is copied once per column.
ROWS_AT_ONCE, CELLS_AT_ONCE = 256, 2**24
# Digits kept of decoded numbers: what was equal before encoding has to be equal again.
DIGITS = 12
RANGED = ("number", "datetime")


class Cells(NamedTuple):
    """Encoded rows that stand for cells a table can hold; both of shape (row, coord)."""

    values: Tensor
    observed: Tensor


class Suggestions(NamedTuple):
    """What each column of some rows could be, given the others.

    Attributes
    ----------
    nearest : Cells
        Of the nearest remembered row; a gap only where most of the ``N_NEAR`` nearest have one.
    low, high : Cells
        The ends of the range of the ``N_NEAR`` nearest.
    """

    nearest: Cells
    low: Cells
    high: Cells


def explain_rows(detector, X, frame: pd.DataFrame, top: int | None) -> pd.DataFrame:
    """Name the columns to blame; see ``TabularDetector.explain``.

    Parameters
    ----------
    detector : TabularDetector
        Fitted.
    X : DataFrame or array-like of shape (row, column)
        Rows, whose cells are shown.
    frame : DataFrame
        The same rows, checked.
    top : int, optional
        Columns per row; all by default.
    """
    if top is not None and top < 1:
        raise ValueError(f"need top of at least 1, or None; got {top}.")
    found = X if isinstance(X, pd.DataFrame) else frame
    n = rows_at_once(detector)
    blocks = (slice(start, start + n) for start in range(0, len(frame), n))
    reasons = [_explain_block(detector, found.iloc[b], frame.iloc[b], top) for b in blocks]
    return pd.concat(reasons, ignore_index=True)


def suggest(detector, values: Tensor, observed: Tensor) -> Suggestions:
    """Let the remembered rows say what each column could be, given the others.

    Parameters
    ----------
    detector : TabularDetector
        Fitted.
    values, observed : Tensor of shape (row, coord)
        Encoded rows.
    """
    parts = column_parts(detector)
    near = neighbours(detector, values, observed, N_NEAR)[:-1]
    used, near = near.unique(return_inverse=True)
    known = as_cells(detector, remembered(detector)[used])
    leads = parts.int().argmax(1)[:, None, None]
    there, cells = known.observed[near, leads], known.values[near, leads]
    usual = there.double().mean(2, keepdim=True) >= 0.5
    wanted = (
        (there == usual).int().argmax(2),
        cells.where(there, torch.inf).argmin(2),
        cells.where(there, -torch.inf).argmax(2),
    )
    chosen = [near.gather(2, place[:, :, None])[:, :, 0] for place in wanted]
    return Suggestions(*(Cells(*(_joined(x, rows, parts) for x in known)) for rows in chosen))


def neighbours(detector, values: Tensor, observed: Tensor, k: int) -> Tensor:
    """Numbers of the nearest remembered rows without each column, and at last with all."""
    memory, factors = detector.memory_, detector._factors()
    parts = column_parts(detector)
    return nearest_without(memory["rows"], values * factors, observed, parts, k, memory["shy"])


def remembered(detector) -> Tensor:
    """Return the remembered rows, as encoded."""
    return detector.memory_["rows"] / detector._factors()


def column_parts(detector) -> Tensor:
    """Coords of each column, of shape (column, coord)."""
    return torch.from_numpy(np.stack([detector.encoder_.part(c) for c in detector.columns_]))


def as_cells(detector, values: Tensor) -> Cells:
    """Move rows to the nearest ones that stand for cells: one category, whole counts."""
    return Cells(*detector._encode(detector.schema_.check(decoded(detector, values))))


def decoded(detector, values: Tensor) -> pd.DataFrame:
    """Cells of encoded rows, without the rounding errors of decoding."""
    frame = detector.encoder_.decode(values.numpy())
    for place, name in enumerate(frame.columns):
        if frame[name].dtype == np.float64:
            frame.isetitem(place, _rounded(frame[name]))
    return frame


def rows_at_once(detector) -> int:
    """Return the number of rows whose copies fit into memory."""
    return max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // column_parts(detector).numel()))


def score_rows(detector, values: Tensor, observed: Tensor) -> Tensor:
    """Score encoded rows, however many."""
    return torch.cat(detector._map_rows(detector._score_encoded, values, observed))


def _explain_block(detector, found, frame, top) -> pd.DataFrame:
    """Explain a few rows."""
    values, observed = detector._encode(frame)
    parts = column_parts(detector)
    nearest, low, high = suggest(detector, values, observed)
    options = nearest, _network(detector, values, observed, low, high)

    def score(*cells):
        return score_rows(detector, *cells)

    after = [scores_with_one_replaced(score, values, observed, each, parts) for each in options]
    best = torch.stack(after).min(0)
    scores = score(values, observed)
    drops = scores[:, None] - best.values
    chosen = torch.stack([(best.indices == i)[:, parts.int().argmax(0)] for i in range(2)])
    expected = torch.where(chosen[0], options[0].values, options[1].values)
    contributions = shares_of_score(scores, drops).numpy()
    cells = [decoded(detector, each) for each in (expected, low.values, high.values)]
    return _laid_out(detector, found, cells, contributions, drops.numpy(), top)


def _network(detector, values, observed, low: Cells, high: Cells) -> Cells:
    """What the network expects of each column, numbers within the range of the neighbours."""
    view, parts = detector._views()[0], column_parts(detector)
    arguments = values[:, view], observed[:, view], parts[:, view], REDRAWN
    expected = values.clone()
    expected[:, view] = expected_parts(detector.denoiser_, *arguments)
    ranged = torch.tensor([column.kind in RANGED for column in detector.schema_.used])
    leads = parts.int().argmax(1)[ranged]
    expected[:, leads] = expected[:, leads].clamp(low.values[:, leads], high.values[:, leads])
    return as_cells(detector, expected)


def _laid_out(detector, found, cells, contributions, drops, top) -> pd.DataFrame:
    """One line per row and column, the largest contributions of each row first."""
    n_rows, n_columns = drops.shape
    expected, low, high = cells
    for column in detector.schema_.used:
        if column.kind not in RANGED:
            low[column.name], high[column.name] = None, None
    names = detector.columns_
    labels = np.array([*names, None], dtype=object)[:-1]  # one label each, even where all are pairs
    lines = pd.DataFrame(
        {
            "row": np.repeat(found.index.to_numpy(), n_columns),
            "column": np.tile(labels, n_rows),
            "value": _row_by_row(found[names]),
            "expected": _row_by_row(expected),
            "low": _row_by_row(low),
            "high": _row_by_row(high),
            "contribution": contributions.reshape(-1),
        }
    )
    place = np.repeat(np.arange(n_rows), n_columns)
    order = np.lexsort((-drops.reshape(-1), place))
    rank = np.tile(np.arange(n_columns), n_rows)
    return lines.iloc[order[rank < (top or n_columns)]].reset_index(drop=True)


def _row_by_row(frame: pd.DataFrame) -> np.ndarray:
    """Lay the cells of a frame out row by row, each as it is."""
    columns = [frame[name].astype(object).to_numpy() for name in frame]
    return np.stack(columns, axis=1).reshape(-1)


def _joined(rows: Tensor, chosen: Tensor, parts: Tensor) -> Tensor:
    """Put rows together part by part: ``chosen`` of shape (part, row) says from which."""
    joined = rows.new_zeros(chosen.shape[1], rows.shape[1])
    for part, which in zip(parts, chosen, strict=True):
        joined[:, part] = rows[which][:, part]
    return joined


def _rounded(cells: pd.Series) -> pd.Series:
    """Round to DIGITS digits of the largest cell."""
    size = cells.abs().max()
    if not size > 0:
        return cells
    places = DIGITS - int(np.ceil(np.log10(size)))
    return cells.round(min(places, 300))
