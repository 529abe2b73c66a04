"""Alarms of neighbouring steps, put together to one segment each."""

from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd

from anomdiff.encoding.times import has_times
from anomdiff.explain.localisation import runs

__all__ = ["alarm_segments"]

COLUMNS = ["series", "start", "end", "peak", "steps", "anomaly_score", "channels"]
CONTEXT = ["context_start", "context_end"]


def alarm_segments(
    scored: pd.DataFrame,
    series: Hashable | None,
    time: Hashable | None,
    join: int,
    threshold: float = np.inf,
) -> pd.DataFrame:
    """One row per segment of flagged steps; see ``TimeSeriesDetector.segments``."""
    labels = [name for name in (series, time) if name is not None]
    wanted = ["anomaly_score", "is_anomaly", "channel", *labels]
    if missing := [name for name in wanted if name not in scored.columns]:
        raise ValueError(f"need the columns {wanted} of a scored frame; {missing} are missing.")
    groups = [(None, scored)]
    if series is not None:
        groups = scored.groupby(series, sort=False, observed=True)
    found = [
        (label, *segment)
        for label, part in groups
        for segment in _segments(part, time, join, threshold)
    ]
    segments = pd.DataFrame(found, columns=[*COLUMNS, *CONTEXT])
    if series is None:
        return segments.drop(columns="series")
    return segments.rename(columns={"series": series})


def _segments(
    part: pd.DataFrame, time: Hashable | None, join: int, threshold: float
) -> Iterator[tuple]:
    """Segments of one series, in the order of its time."""
    times = part.index if time is None else part[time]
    order = np.arange(len(part))
    if time is not None or has_times(part.index):
        order = np.argsort(times.to_numpy(), kind="stable")
    part, times = part.iloc[order], times.to_numpy()[order]
    flagged = part["is_anomaly"].to_numpy(dtype=bool)
    high = runs(flagged | (part["anomaly_score"].to_numpy() > threshold), 0)
    for start, stop in runs(flagged, join):
        around = [run for run in high if run[0] < stop and run[1] > start]
        context = times[around[0][0]], times[around[-1][1] - 1]
        yield (*_segment(part.iloc[start:stop], times[start:stop]), *context)


def _segment(part: pd.DataFrame, times: np.ndarray) -> tuple:
    peak = part["anomaly_score"].to_numpy().argmax()
    channels = part.loc[part["is_anomaly"].to_numpy(dtype=bool), "channel"].value_counts()
    score = part["anomaly_score"].iloc[peak]
    return times[0], times[-1], times[peak], len(part), score, tuple(channels.index)
