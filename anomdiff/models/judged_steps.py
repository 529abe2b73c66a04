"""Which steps are judged, and which are off themselves; a warning where nothing near is known."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pandas.api.extensions import ExtensionArray
from torch import Tensor

from anomdiff.encoding.json_values import label_array
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.parsing import shown
from anomdiff.scoring.step_scores import JudgedSteps

__all__ = ["EVIDENT", "StepCells", "channel_cells", "step_cells", "warn_of_unjudged"]

# Further column of a scored frame, within the package: whether a step is off itself, not only its
# windows.
EVIDENT = "evident"


class StepCells(NamedTuple):
    """Cells of steps in a scored frame; NaN, False and None of steps that are not judged."""

    scores: np.ndarray
    evident: np.ndarray  # whether a step is off itself
    channels: np.ndarray  # name of the channel that contributes most


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
