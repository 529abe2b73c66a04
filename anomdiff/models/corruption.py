"""Corrupted copies of normal rows, to ask without labels which components see what is wrong."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from anomdiff.encoding.schema import Schema, plain_frame

__all__ = ["CORRUPTIONS", "corrupted_copies"]

# Copies are made of so many rows, each of them so often that there are enough.
MOST_ROWS, LEAST_COPIES = 300, 150
# Share of cells that come from another row.
MIXED_SHARE = 0.5
# Share of cells that are moved out, one per row on average at least; by how many standard
# deviations.
MOVED_SHARE, LEAST_MOVE, MOST_MOVE = 0.15, 2.0, 6.0

Cells = Callable[[np.ndarray, np.ndarray, bool, float, np.random.RandomState], np.ndarray]


def corrupted_copies(
    rows: pd.DataFrame,
    known: pd.DataFrame,
    schema: Schema,
    kind: str,
    rng: np.random.RandomState,
) -> pd.DataFrame:
    """Return corrupted copies of checked rows.

    Parameters
    ----------
    rows : DataFrame
        Checked normal rows.
    known : DataFrame
        Checked training rows, for the spread and the values of columns.
    schema : Schema
        The columns.
    kind : str
        One of ``CORRUPTIONS``: "mixed" rows have half of their cells from other rows, "moved"
        ones have a few numbers far out and a few other values at random.
    rng : RandomState
        Source of randomness.

    Returns
    -------
    copies : DataFrame
        Checked rows, 150 at least.
    """
    chosen = rng.permutation(len(rows))[:MOST_ROWS]
    copies = rows.iloc[np.tile(chosen, -(-LEAST_COPIES // len(chosen)))].reset_index(drop=True)
    share = max(1 / len(schema.used), MOVED_SHARE)
    columns = {
        column.name: CORRUPTIONS[kind](
            copies[column.name].to_numpy(copy=True),
            known[column.name].dropna().to_numpy(),
            column.kind == "number",
            share,
            rng,
        )
        for column in schema.used
    }
    return plain_frame(columns)


def _mixed(cells, known, is_number, share, rng) -> np.ndarray:
    """Half of the cells from other rows."""
    others = cells[rng.permutation(len(cells))]
    return np.where(rng.rand(len(cells)) < MIXED_SHARE, others, cells)


def _moved(cells, known, is_number, share, rng) -> np.ndarray:
    """Some numbers moved out by several standard deviations, other values redrawn."""
    moved = rng.rand(len(cells)) < share
    if not len(known):
        return cells
    if not is_number:
        values = pd.unique(known)
        return np.where(moved, values[rng.randint(len(values), size=len(cells))], cells)
    away = rng.uniform(LEAST_MOVE, MOST_MOVE, len(cells)) * rng.choice([-1.0, 1.0], len(cells))
    with np.errstate(over="ignore", invalid="ignore"):
        return np.where(moved, cells + away * _std(known), cells)


def _std(cells: np.ndarray) -> float:
    """Standard deviation of numbers, however large."""
    size = np.abs(cells).max()
    return float((cells / size).std() * size) if size > 0 else 0.0


CORRUPTIONS: dict[str, Cells] = {"mixed": _mixed, "moved": _moved}
