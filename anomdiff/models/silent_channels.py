"""Channels that have no value over a long part of a series: a warning, as no fault shows there."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.encoding.channel_scaler import ChannelScaler
from anomdiff.encoding.parsing import shown
from anomdiff.encoding.segment import Segment

__all__ = ["silent_cells", "warn_of_silent"]

# Channels that a message names.
SHOWN_CHANNELS = 5


class _Series(NamedTuple):
    """All steps of one series in a frame."""

    label: Any
    rows: np.ndarray
    observed: np.ndarray  # (step, channel)


def warn_of_silent(
    scaler: ChannelScaler,
    segments: Sequence[Segment[Tensor]],
    frame: pd.DataFrame,
    unjudged: np.ndarray,
    lengths: Sequence[int],
) -> None:
    """Warn of channels that are missing in all of a series, or at least in the longest window.

    Parameters
    ----------
    scaler : ChannelScaler
        What training showed.
    segments : sequence of Segment
        Scaled steps of the frame.
    frame : DataFrame
        The frame that is scored.
    unjudged : bool ndarray of shape (row,)
        Rows that are not judged at all, of which another warning tells.
    lengths : sequence of int
        Steps of the windows.
    """
    if all(bool(segment.observed.all()) for segment in segments):
        return
    found = []
    for own in _measured(scaler, list(_by_series(segments))):
        silent = silent_cells(own.observed, min(lengths), max(lengths))
        silent &= ~unjudged[own.rows, None]
        if silent.any():
            found.append(own._replace(observed=~silent))
    if found:
        _warn(scaler, found, frame)


def silent_cells(observed: np.ndarray, least: int, longest: int) -> np.ndarray:
    """Tell the cells of a series where a channel is missing for long.

    Parameters
    ----------
    observed : bool ndarray of shape (step, channel)
        False where a cell is missing.
    least, longest : int
        Steps of the shortest and the longest window: a series without any value has as many as
        the first, another run of missing cells as many as the second.

    Returns
    -------
    silent : bool ndarray of shape (step, channel)
    """
    silent = np.zeros_like(observed)
    for channel in np.flatnonzero(~observed.all(0)):
        missing = ~observed[:, channel]
        ends = np.flatnonzero(np.diff(missing, prepend=False, append=False)).reshape(-1, 2)
        enough = min(longest, least if missing.all() else longest)
        for start, stop in ends[ends[:, 1] - ends[:, 0] >= enough]:
            silent[start:stop, channel] = True
    return silent


def _by_series(segments: Sequence[Segment[Tensor]]) -> Iterator[_Series]:
    """The steps of each series, in the order of time."""
    parts: dict[Any, list[Segment[Tensor]]] = {}
    for segment in segments:
        parts.setdefault(segment.series, []).append(segment)
    for label, own in parts.items():
        observed = torch.cat([each.observed for each in own]).numpy()
        yield _Series(label, np.concatenate([each.rows for each in own]), observed)


def _measured(scaler: ChannelScaler, several: Sequence[_Series]) -> Iterator[_Series]:
    """Count channels that training did not show of a series, as far as is known, as observed.

    A channel of one series alone has the scale of all, as one that a series lacks: it is taken for
    lacking where another series has values of it.
    """
    anywhere = np.any([own.observed.any(0) for own in several], axis=0)
    known = [label for label in scaler.scales if label is not None]
    alone = np.all([scaler.has_scale_of_all(label) for label in known] or [np.array(False)], axis=0)
    for own in several:
        lacking = scaler.has_scale_of_all(own.label) & ~own.observed.any(0)
        lacking &= anywhere | ~alone
        yield own._replace(observed=own.observed | lacking)


def _warn(scaler: ChannelScaler, found: Sequence[_Series], frame: pd.DataFrame) -> None:
    """Name the channels of the first series, its rows, and count the other series."""
    first, silent = found[0], ~found[0].observed
    names = [scaler.names[place] for place in np.flatnonzero(silent.any(0))]
    listed = f"{names[:SHOWN_CHANNELS]}{' and more' if len(names) > SHOWN_CHANNELS else ''}"
    rows = first.rows[silent.any(1)]
    of = "" if first.label is None else f" of series {shown(first.label)}"
    others = f", as have channels of {len(found) - 1} other series" if found[1:] else ""
    or_covariate = " (or one of the covariates)" if scaler.conditions else ""
    warnings.warn(
        f"need values of the channels that are to be judged; {listed}{or_covariate} have none in "
        f"{len(rows)} of {len(first.rows)} rows{of}, first row {shown(frame.index[rows[0]])}"
        f"{others}: no fault of theirs is seen there: see to the sensors, or fit without channels "
        "that are gone for good.",
        UserWarning,
        stacklevel=5,
    )
