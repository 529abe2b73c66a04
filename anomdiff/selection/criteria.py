"""Numbers that a sweep or a promotion compares detectors by where nothing is labelled."""

import numpy as np
import pandas as pd

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.metrics.detection import auroc
from anomdiff.models.tabular_model import TabularModel
from anomdiff.models.window_model import WindowModel
from anomdiff.selection.level_losses import level_losses

__all__ = ["likelihood", "separation"]

SWAPPED_STEPS = 16  # neighbouring steps of a series that are swapped together
APART = 8  # one run of steps is swapped to so many that stay


def separation(detector: DiffusionDetector, frame: pd.DataFrame, seed: int = 0) -> float:
    """Chance that a corrupted row scores above an untouched one.

    In every row of a copy one cell is replaced by that of another row: each column stays as it
    was, the dependence between columns does not. In series, runs of 16 steps of one channel are
    replaced by others of the same series. It measures the whole score, on one scale for all
    parameters and encodings.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    frame : DataFrame
        Mostly normal rows that it was not fitted to; of series, many steps in a row.
    seed : int, default=0
        Seed of the swaps: with the same one, detectors are compared on the same rows.

    Returns
    -------
    separation : float
        From 0 to 1, larger is better; 0.5 is that of a score that ignores the swaps.

    Raises
    ------
    ValueError
        If there is nothing to swap.
    """
    rng = np.random.default_rng(seed)
    swap = _swap_cells if detector.unit == "row" else _swap_steps
    corrupted, changed = swap(detector.model_, frame, rng)
    if not changed.any():
        raise ValueError(
            f"need rows that differ, and series of at least {SWAPPED_STEPS * (1 + APART)} steps, "
            f"to swap parts of them; got {len(frame)} rows."
        )
    before, after = (detector.score_frame(part) for part in (frame, corrupted))
    normal = before["anomaly_score"].dropna().to_numpy()
    wrong = after["anomaly_score"][changed].dropna().to_numpy()
    labels = np.repeat([0, 1], [len(normal), len(wrong)])
    return auroc(labels, np.concatenate([normal, wrong]))


def likelihood(detector: DiffusionDetector, frame: pd.DataFrame) -> float:
    """Minus the mean denoising loss over noise levels: how well the network predicts new rows.

    It measures the network alone, not the distance to reference rows, and depends on the encoding:
    a comparison of sizes and learning rates, not of noise levels of the score or of other columns.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    frame : DataFrame
        Mostly normal rows that it was not fitted to.

    Returns
    -------
    likelihood : float
        At most 0, larger is better; -1 for a network that predicts nothing.
    """
    model = detector.model_
    checked = model.schema.check(frame) if detector.unit == "row" else frame
    losses = level_losses(model, {"rows": model.network_events(checked)})
    return -float(losses["rows"].mean())


def _swap_cells(
    model: TabularModel, frame: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Swap one cell of each row; say in which rows the value is another one."""
    columns = rng.integers(len(model.columns), size=len(frame))
    corrupted, changed = frame.copy(), np.zeros(len(frame), dtype=bool)
    for place, name in enumerate(model.columns):
        rows = np.flatnonzero(columns == place)
        before = frame[name].iloc[rows].astype(object).to_numpy()
        after = frame[name].iloc[rng.integers(len(frame), size=len(rows))]
        corrupted[name] = _with(frame[name], rows, after)
        same = (before == after.astype(object).to_numpy()) | (pd.isna(before) & pd.isna(after))
        changed[rows] = ~np.asarray(same, dtype=bool)
    return corrupted, changed


def _swap_steps(
    model: WindowModel, frame: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Swap runs of steps of a channel of each series; say which steps are in one."""
    corrupted, changed = frame.copy(), np.zeros(len(frame), dtype=bool)
    for segment in model.layout.read(frame):
        for k in range(len(segment) // (SWAPPED_STEPS * (1 + APART))):
            start = (k * (1 + APART) + APART // 2) * SWAPPED_STEPS
            name = model.names[rng.integers(len(model.names))]
            rows = segment.rows[start : start + SWAPPED_STEPS]
            source = segment.rows[_other_start(len(segment), start, rng) :][:SWAPPED_STEPS]
            corrupted[name] = _with(corrupted[name], rows, frame[name].iloc[source])
            changed[rows] = True
    return corrupted, changed


def _other_start(n_steps: int, start: int, rng: np.random.Generator) -> int:
    """First step of another run that does not overlap."""
    starts = np.arange(n_steps - SWAPPED_STEPS + 1)
    return int(rng.choice(starts[np.abs(starts - start) >= SWAPPED_STEPS]))


def _with(cells: pd.Series, rows: np.ndarray, values: pd.Series) -> pd.Series:
    """Copy of a column with other values in some places, in the same dtype."""
    changed = cells.copy()
    changed.iloc[rows] = values.array
    return changed
