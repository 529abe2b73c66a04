"""What a sweep or a promotion can compare detectors by where nothing is labelled."""

import numpy as np
import pandas as pd

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.metrics.detection import auroc
from anomdiff.selection.level_losses import level_losses, network_events

STRETCH = 16  # steps of a series that are swapped together
APART = 8  # a swapped stretch to so many that stay


def separation(detector: DiffusionDetector, frame: pd.DataFrame, seed: int = 0) -> float:
    """Chance that a corrupted row scores above an untouched one.

    In every row of a copy one cell is replaced by that of another row: each column stays as it
    was, what columns say about each other does not. In series, stretches of 16 steps of one
    channel are replaced by others of the same series. It judges the whole score, on one scale
    for all parameters and encodings.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    frame : DataFrame
        Mostly normal rows that it was not fitted to; whole stretches of series.
    seed : int, default=0
        Seed of the swaps: with the same one, detectors are compared on the same rows.

    Returns
    -------
    separation : float
        From 0 to 1, larger is better; 0.5 means that nothing is told apart.

    Raises
    ------
    ValueError
        If there is nothing to swap.
    """
    rng = np.random.default_rng(seed)
    swap = _swap_stretches if isinstance(detector, TimeSeriesDetector) else _swap_cells
    corrupted, changed = swap(detector, frame, rng)
    if not changed.any():
        raise ValueError(
            f"need rows that differ, and series of at least {STRETCH * (1 + APART)} steps, to swap "
            f"parts of them; got {len(frame)} rows."
        )
    before, after = (detector.score_frame(part) for part in (frame, corrupted))
    normal = before["anomaly_score"].to_numpy()
    wrong = after["anomaly_score"].to_numpy()[changed]
    labels = np.repeat([0, 1], [len(normal), len(wrong)])
    return auroc(labels, np.concatenate([normal, wrong]))


def likelihood(detector: DiffusionDetector, frame: pd.DataFrame) -> float:
    """Minus the mean denoising loss over noise levels: how well the network expects new rows.

    It sees the network alone, not the memory, and depends on the encoding: a comparison of
    sizes and learning rates, not of noise levels of the score or of other columns.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    frame : DataFrame
        Mostly normal rows that it was not fitted to.

    Returns
    -------
    likelihood : float
        At most 0, larger is better; -1 for a network that expects nothing.
    """
    losses = level_losses(detector, {"rows": network_events(detector, frame)})
    return -float(losses["rows"].mean())


def _swap_cells(detector, frame: pd.DataFrame, rng) -> tuple[pd.DataFrame, np.ndarray]:
    """Swap one cell of each row; say in which rows the value is another one."""
    names = [column.name for column in detector.schema_.used]
    columns = rng.integers(len(names), size=len(frame))
    corrupted, changed = frame.copy(), np.zeros(len(frame), dtype=bool)
    for place, name in enumerate(names):
        rows = np.flatnonzero(columns == place)
        before = frame[name].iloc[rows].astype(object).to_numpy()
        after = frame[name].iloc[rng.integers(len(frame), size=len(rows))]
        corrupted[name] = _with(frame[name], rows, after)
        same = (before == after.astype(object).to_numpy()) | (pd.isna(before) & pd.isna(after))
        changed[rows] = ~np.asarray(same, dtype=bool)
    return corrupted, changed


def _swap_stretches(detector, frame: pd.DataFrame, rng) -> tuple[pd.DataFrame, np.ndarray]:
    """Swap stretches of a channel of each series; say which steps are in one."""
    corrupted, changed = frame.copy(), np.zeros(len(frame), dtype=bool)
    for part in detector.layout_.read(frame):
        n_stretches = len(part.rows) // (STRETCH * (1 + APART))
        for k in range(n_stretches):
            start = (k * (1 + APART) + APART // 2) * STRETCH
            name = detector.encoder_.names[rng.integers(len(detector.encoder_.names))]
            rows = part.rows[start : start + STRETCH]
            source = part.rows[_elsewhere(len(part.rows), start, rng) :][:STRETCH]
            corrupted[name] = _with(corrupted[name], rows, frame[name].iloc[source])
            changed[rows] = True
    return corrupted, changed


def _elsewhere(n_steps: int, start: int, rng) -> int:
    """Where another stretch begins, that does not overlap."""
    places = np.arange(n_steps - STRETCH + 1)
    return int(rng.choice(places[np.abs(places - start) >= STRETCH]))


def _with(cells: pd.Series, rows: np.ndarray, values: pd.Series) -> pd.Series:
    """Copy of a column with other values in some places, in the same dtype."""
    changed = cells.copy()
    changed.iloc[rows] = values.array
    return changed
