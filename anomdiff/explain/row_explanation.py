"""Which columns contribute to a row's score, and what could be expected in their place.

The reference rows that are nearest to a row in all columns but one show what that one is like
there: the nearest gives a value, the range of several an interval. The network gives another
value. A column contributes as far as the better of the two lowers the score.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.conditional.draws import check_count
from anomdiff.encoding.json_values import label_array
from anomdiff.explain.attribution import (
    ATTRIBUTION_SIGMA,
    expected_parts,
    nearest_without,
    scores_with_one_replaced,
    shares_of_score,
)
from anomdiff.explain.near_copies import ensemble_of_copies
from anomdiff.models.progress import progressed
from anomdiff.models.tabular_model import TabularModel

__all__ = [
    "MANY_COLUMNS",
    "Cells",
    "as_cells",
    "decoded",
    "explain_rows",
    "neighbours",
    "replaced_scores",
    "rows_at_once",
    "suggest",
]

# A further draw of the kind of 19 others lies within their range with probability 18 / 20.
N_NEAR = 19
# Rows, and cells of their copies, worked on at once: each row is copied once per column.
EXPLAINED_AT_ONCE, CELLS_AT_ONCE = 256, 2**24
# From so many columns on, the copies of a row are scored by what differs.
MANY_COLUMNS = 64
# Cells nearer than this, in standard deviations, are the same.
SAME = 1e-9
# Digits kept of decoded numbers: what was equal before encoding has to be equal again.
DIGITS = 12


class Cells(NamedTuple):
    """Encoded rows that stand for cells a table can hold; both of shape (row, coord)."""

    values: Tensor
    observed: Tensor

    def take(self, rows: Tensor | slice | int) -> "Cells":
        """Some of the rows, by number or mask."""
        return Cells(self.values[rows], self.observed[rows])


def explain_rows(
    model: TabularModel, X: pd.DataFrame, frame: pd.DataFrame, top: int | None
) -> pd.DataFrame:
    """Contributions of the columns to each row's score; see ``TabularDetector.explain``.

    ``frame`` holds the rows of ``X``, checked; shown are the cells of ``X``.
    """
    check_count("top", top)
    n = rows_at_once(model)
    starts = progressed(range(0, len(frame), n), "explain", unit=f"{n} rows")
    blocks = (slice(start, start + n) for start in starts)
    explained = [_explain_block(model, X.iloc[b], frame.iloc[b], top) for b in blocks]
    return pd.concat(explained, ignore_index=True)


def suggest(model: TabularModel, rows: Cells) -> tuple[Cells, Cells, Cells]:
    """What each column could be by the reference rows that are nearest in the others.

    By the nearest one, with a gap only where most of the ``N_NEAR`` nearest have one, and the
    ends, low and high, of the range of the ``N_NEAR`` nearest.
    """
    parts = model.column_masks
    near = neighbours(model, rows, N_NEAR)[:-1]
    used, near = near.unique(return_inverse=True)
    known = as_cells(model, model.reference.values[used])
    leads = parts.int().argmax(1)[:, None, None]
    there, cells = known.observed[near, leads], known.values[near, leads]
    usual = there.double().mean(2, keepdim=True) >= 0.5
    wanted = (
        (there == usual).int().argmax(2),
        cells.where(there, torch.inf).argmin(2),
        cells.where(there, -torch.inf).argmax(2),
    )
    chosen = (near.gather(2, place[:, :, None])[:, :, 0] for place in wanted)
    column, coords = parts.int().argmax(0), torch.arange(parts.shape[1])
    nearest, low, high = (Cells(*(x[own[column].T, coords] for x in known)) for own in chosen)
    return nearest, low, high


def neighbours(model: TabularModel, rows: Cells, k: int) -> Tensor:
    """Numbers of the nearest reference rows without each column, and at last with all."""
    reference, weights = model.reference, model.distance_weights
    compared = reference.values * weights, rows.values * weights, rows.observed
    return nearest_without(*compared, model.column_masks, k, reference.exclude_self)


def as_cells(model: TabularModel, values: Tensor) -> Cells:
    """Move rows to the nearest ones that stand for cells: one category, whole counts."""
    return Cells(*model.encode(model.schema.check(decoded(model, values))))


def decoded(model: TabularModel, values: Tensor) -> pd.DataFrame:
    """Cells of encoded rows, without the rounding errors of decoding."""
    return model.encoder.decode(values.numpy(), digits=DIGITS)


def replaced_scores(
    model: TabularModel,
    rows: Cells,
    options: Sequence[Cells],
    scores: Tensor,
    allowed: Tensor | None = None,
) -> list[Tensor]:
    """Scores of rows with one column replaced by that of each option, (row, column) each.

    ``scores`` are those of the rows as they are. Columns that are not ``allowed``, a mask of shape
    (row, column), may keep theirs. Where a row has so many columns that most of it
    stays the same, its copies are scored together, and what rounding makes of it is taken off.
    """
    parts = model.column_masks
    if len(parts) < MANY_COLUMNS:
        return [scores_with_one_replaced(model.score, *rows, each, parts) for each in options]
    wanted = torch.ones(len(scores), len(parts), dtype=torch.bool) if allowed is None else allowed
    each_row = enumerate(zip(scores, wanted, strict=True))
    after = [_scores_of_copies(model, rows, options, i, *each) for i, each in each_row]
    return list(torch.stack(after, dim=1))


def rows_at_once(model: TabularModel) -> int:
    """Return the number of rows whose copies fit into memory."""
    return max(1, min(EXPLAINED_AT_ONCE, CELLS_AT_ONCE // model.column_masks.numel()))


def _explain_block(model, shown, frame, top) -> pd.DataFrame:
    """Explain a few rows."""
    rows, parts = Cells(*model.encode(frame)), model.column_masks
    nearest, low, high = suggest(model, rows)
    options = nearest, _by_network(model, rows, low, high)
    scores = model.score(*rows)
    after = replaced_scores(model, rows, options, scores)
    best = torch.stack(after).min(0)
    drops = scores[:, None] - best.values
    by_network = best.indices[:, parts.int().argmax(0)] == 1
    expected = torch.where(by_network, options[1].values, options[0].values)
    contributions = shares_of_score(scores, drops).numpy()
    shared = decoded(model, torch.cat([expected, low.values, high.values]))
    cells = [shared[i * len(frame) : (i + 1) * len(frame)].copy() for i in range(len(options) + 1)]
    return _laid_out(model, shown, cells, contributions, drops.numpy(), top)


def _scores_of_copies(
    model: TabularModel,
    rows: Cells,
    options: Sequence[Cells],
    i: int,
    score: Tensor,
    wanted: Tensor,
) -> Tensor:
    """Scores of one row with one wanted column replaced, (option, column).

    Copies that are like the row are skipped.
    """
    row, parts = rows.take(i), model.column_masks
    after, copies, changed = score.repeat(len(options), len(parts)), [], []
    for new in (each.take(i) for each in options):
        differs = (new.values - row.values).abs() > SAME
        differs |= new.observed != row.observed
        changed.append((parts & differs).any(1) & wanted)
        pairs = zip(new, row, strict=True)
        copies.append([torch.where(parts[changed[-1]], n, old) for n, old in pairs])
    fast = replace(model, ensemble=ensemble_of_copies(model.ensemble, *row))
    together = zip(rows.take(slice(i, i + 1)), *copies, strict=True)
    found = fast.score(*(torch.cat(each) for each in together))
    after[torch.stack(changed)] = found[1:] - found[0] + score
    return after


def _by_network(model, rows: Cells, low: Cells, high: Cells) -> Cells:
    """What the network expects of each column, numbers within the range of the neighbours."""
    view, parts = model.network_view, model.column_masks
    seen = rows.values[:, view], rows.observed[:, view], parts[:, view]
    expected = rows.values.clone()
    expected[:, view] = expected_parts(model.denoiser, *seen, ATTRIBUTION_SIGMA)
    ranged = torch.tensor([column.is_ranged for column in model.schema.used])
    leads = parts.int().argmax(1)[ranged]
    expected[:, leads] = expected[:, leads].clamp(low.values[:, leads], high.values[:, leads])
    return as_cells(model, expected)


def _laid_out(model, shown, cells, contributions, drops, top) -> pd.DataFrame:
    """One line per row and column, the largest contributions of each row first."""
    n_rows, n_columns = drops.shape
    expected, low, high = cells
    for column in model.schema.used:
        if not column.is_ranged:
            low[column.name], high[column.name] = None, None
    lines = pd.DataFrame(
        {
            "row": np.repeat(shown.index.to_numpy(), n_columns),
            "column": np.tile(label_array(model.columns), n_rows),
            "value": _row_by_row(shown[model.columns]),
            "expected": _row_by_row(expected),
            "low": _row_by_row(low),
            "high": _row_by_row(high),
            "contribution": contributions.reshape(-1),
        }
    )
    order = np.lexsort((-drops.reshape(-1), np.repeat(np.arange(n_rows), n_columns)))
    rank = np.tile(np.arange(n_columns), n_rows)
    return lines.iloc[order[rank < (top or n_columns)]].reset_index(drop=True)


def _row_by_row(frame: pd.DataFrame) -> np.ndarray:
    """Lay the cells of a frame out row by row, each as it is."""
    return frame.astype(object).to_numpy().reshape(-1)
