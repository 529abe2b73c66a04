"""Which steps are judged, and which are off themselves; warnings where little is known."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pandas.api.extensions import ExtensionArray
from torch import Tensor

from anomdiff.encoding.channel_scaler import ChannelScaler
from anomdiff.encoding.json_values import label_array
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.parsing import shown
from anomdiff.encoding.segment import Segment
from anomdiff.scoring.step_scores import JudgedSteps
from anomdiff.thresholds.conformal import needed_rows

__all__ = [
    "EVIDENT",
    "StepCells",
    "channel_cells",
    "frame_cells",
    "step_cells",
    "warn_of_few_steps",
    "warn_of_unjudged",
    "warn_of_unknown",
]

# Further column of a scored frame, within the package: whether a step is off itself, not only its
# windows.
EVIDENT = "evident"

# Steps of training times alpha that the alarm rate holds from on, and the rate times such steps
# where it does not: ``python -m benchmarks.series.alarms``.
LEAST_ALARMS, SHORT_ALARMS = 10.0, 20.0


class StepCells(NamedTuple):
    """Cells of steps in a scored frame; NaN, False and None of steps that are not judged."""

    scores: np.ndarray
    evident: np.ndarray  # whether a step is off itself
    channels: np.ndarray | ExtensionArray  # name of the channel that contributes most


def channel_cells(cells: Sequence | np.ndarray, names: Sequence) -> np.ndarray | ExtensionArray:
    """Channels of steps, None where there is none, as the dtype that names of channels have."""
    if not all(isinstance(name, str) for name in names):
        return label_array(cells)
    return pd.array(cells, dtype=pd.Series(["text"]).dtype)


def step_cells(found: JudgedSteps, known: Tensor, names: Sequence) -> StepCells:
    """Cells of the steps of a segment, of which those that are ``known`` are judged."""
    channels = found.channels.where(known, len(names)).numpy()
    scores = found.scores.where(known, torch.nan).numpy()
    return StepCells(scores, (found.evident & known).numpy(), label_array([*names, None])[channels])


def frame_cells(
    n_rows: int,
    segments: Sequence[Segment[Tensor]],
    judged: Sequence[tuple[JudgedSteps, Tensor]],
    names: Sequence,
) -> tuple[StepCells, np.ndarray]:
    """Cells of all rows of a frame, and which of those in segments are not judged."""
    cells = StepCells(
        np.full(n_rows, np.nan), np.zeros(n_rows, dtype=bool), label_array([None] * n_rows)
    )
    unjudged = np.zeros(n_rows, dtype=bool)
    for segment, found in zip(segments, judged, strict=True):
        own = step_cells(*found, names)
        for to, each in zip(cells, own, strict=True):
            to[segment.rows] = each
        unjudged[segment.rows] = np.isnan(own.scores)
    return cells._replace(channels=channel_cells(cells.channels, names)), unjudged


def warn_of_unjudged(
    layout: PanelLayout, labels: pd.DataFrame, unjudged: np.ndarray, least: int
) -> None:
    """Warn of steps that have no window around them.

    Parameters
    ----------
    layout : PanelLayout
        The columns.
    labels : DataFrame
        The rows, at least their series.
    unjudged : bool ndarray of shape (row,)
        Which rows are not judged.
    least : int
        Steps of the shortest window.
    """
    if not unjudged.any():
        return
    at = int(unjudged.argmax())
    of = "" if layout.series is None else f" of series {shown(labels[layout.series].iloc[at])}"
    warnings.warn(
        f"need at least {least} rows in a row, without a gap in time and most of them observed; "
        f"{int(unjudged.sum())} of {len(labels)} rows have none around them, first row "
        f"{shown(labels.index[at])}{of}: they are not judged, and their score and p-value are "
        "missing.",
        UserWarning,
        stacklevel=4,
    )


def warn_of_unknown(scaler: ChannelScaler, segments: Sequence[Segment]) -> bool:
    """Warn of series that training did not show, where what is usual differs by series.

    Returns
    -------
    warned : bool
    """
    labels = list(dict.fromkeys(each.series for each in segments))
    unknown = [label for label in labels if label not in scaler.scales]
    if not unknown or not scaler.differs_by_series:
        return False
    warnings.warn(
        f"need series that training showed, as their levels or scales differ; {len(unknown)} of "
        f"{len(labels)} are others, first {shown(unknown[0])}, and are held to the mean and spread "
        "of all together, which normal steps may be far from: fit to rows of them too.",
        UserWarning,
        stacklevel=4,
    )
    return True


def warn_of_few_steps(n_steps: int, alpha: float) -> None:
    """Warn where so few normal steps were learned from that new ones raise more alarms, or none.

    Windows of new steps are further from those of a short training than these are from each other.
    """
    if n_steps * alpha >= LEAST_ALARMS:
        return
    share = SHORT_ALARMS / n_steps
    holds = f"{min(share, 0.5):.2g}"
    if n_steps < needed_rows(alpha):
        so_that = "no step will be flagged"
        holds += ", as more are flagged than a smaller one says"
    else:
        so_that = f"more of new normal steps will be flagged, some {min(share, 1.0):.1%}, or many "
        so_that += "more where cycles are longer than a tenth of it"
    warnings.warn(
        f"need at least {math.ceil(LEAST_ALARMS / alpha)} steps of training for alpha={alpha:g}; "
        f"got {n_steps}, so that {so_that}: give a longer training, or set alpha={holds}.",
        stacklevel=4,
    )
