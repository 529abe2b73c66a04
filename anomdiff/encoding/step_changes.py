"""Parts of series whose rows are further apart, or nearer, than those of training: left out."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.parsing import shown
from anomdiff.encoding.segment import Segment
from anomdiff.encoding.usual_steps import shown_step

__all__ = ["at_usual_steps"]

Array = TypeVar("Array", bound=Any)


class _Change(NamedTuple):
    """Rows of a series that come in other steps than those of training."""

    series: Any
    rows: np.ndarray  # places in the frame
    step: float  # usual one of these rows
    usual: float | None  # that of training


def at_usual_steps(
    layout: PanelLayout, segments: Sequence[Segment[Array]], frame: pd.DataFrame
) -> list[Segment[Array]]:
    """Leave out the parts of series that come in other steps than those of training.

    Parameters
    ----------
    layout : PanelLayout
        What is known of the steps of each series.
    segments : sequence of Segment
        All segments of a frame; those of a series in the order of time.
    frame : DataFrame
        The frame.

    Returns
    -------
    segments : list of Segment
        The rest. Windows do not reach across what is left out.

    Warns
    -----
    UserWarning
        If something is left out.
    """
    by_series: dict[Any, list[Segment[Array]]] = {}
    for segment in segments:
        by_series.setdefault(segment.series, []).append(segment)
    kept, changes = [], []
    for series, parts in by_series.items():
        if parts[0].times is None:
            return list(segments)
        times = np.concatenate([part.times for part in parts])
        others = layout.steps.in_other_runs(series, times)
        if not others.any():
            kept += parts
            continue
        rows = np.concatenate([part.rows for part in parts])
        step = float(np.median(np.diff(times)[others[1:] | others[:-1]]))
        changes.append(_Change(series, rows[others], step, layout.steps.of(series, times)))
        ends = np.cumsum([len(part) for part in parts])[:-1]
        kept += [
            each
            for part, out in zip(parts, np.split(others, ends), strict=True)
            for each in _without(part, out)
        ]
    if changes:
        _warn(layout, changes, frame)
    return kept


def _without(segment: Segment[Array], out: np.ndarray) -> list[Segment[Array]]:
    """Parts of a segment between the steps that are left out."""
    bounds = np.flatnonzero(np.diff(out, prepend=True, append=True))
    return [segment.slice(*each) for each in bounds.reshape(-1, 2).tolist()]


def _warn(layout: PanelLayout, changes: list[_Change], frame: pd.DataFrame) -> None:
    """Say how many rows are left out, and where the first of them are."""
    first, n_rows = changes[0], sum(len(each.rows) for each in changes)
    of = "" if first.series is None else f" of series {shown(first.series)}"
    step, usual = (shown_step(each, layout.measures_time) for each in (first.step, first.usual))
    further = f", and parts of {len(changes) - 1} other series" if changes[1:] else ""
    warnings.warn(
        f"need rows as far apart as in training; {n_rows} of {len(frame)} rows are not, first row "
        f"{shown(frame.index[first.rows[0]])}{of}, from which on rows are {step} apart instead of "
        f"{usual}{further}: they are not judged, and their score and p-value are missing: resample "
        "them, or fit to rows of this step.",
        UserWarning,
        stacklevel=5,
    )
