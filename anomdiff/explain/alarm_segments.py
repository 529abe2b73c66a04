"""Alarms of neighbouring steps, put together to one segment each."""

from collections.abc import Hashable, Iterator

import numpy as np
import pandas as pd

from anomdiff.encoding.times import has_times
from anomdiff.explain.localisation import runs

__all__ = ["alarm_segments"]

COLUMNS = ["series", "start", "end", "peak", "steps", "anomaly_score", "channels"]


def alarm_segments(
    scored: pd.DataFrame, series: Hashable | None, time: Hashable | None, join: int
) -> pd.DataFrame:
    """One row per segment of flagged steps; see ``TimeSeriesDetector.segments``."""
    labels = [name for name in (series, time) if name is not None]
    wanted = ["anomaly_score", "is_anomaly", "channel", *labels]
    if missing := [name for name in wanted if name not in scored.columns]:
        raise ValueError(f"need the columns {wanted} of a scored frame; {missing} are missing.")
    groups = [(None, scored)]
    if series is not None:
        groups = scored.groupby(series, sort=False, observed=True)
    found = [(label, *segment) for label, part in groups for segment in _segments(part, time, join)]
    segments = pd.DataFrame(found, columns=COLUMNS)
    if series is None:
        return segments.drop(columns="series")
    return segments.rename(columns={"series": series})


def _segments(part: pd.DataFrame, time: Hashable | None, join: int) -> Iterator[tuple]:
    """Segments of one series, in the order of its time."""
    times = part.index if time is None else part[time]
    order = np.arange(len(part))
    if time is not None or has_times(part.index):
        order = np.argsort(times.to_numpy(), kind="stable")
    part, times = part.iloc[order], times.to_numpy()[order]
    for start, stop in runs(part["is_anomaly"].to_numpy(dtype=bool), join):
        yield _segment(part.iloc[start:stop], times[start:stop])


def _segment(part: pd.DataFrame, times: np.ndarray) -> tuple:
    peak = part["anomaly_score"].to_numpy().argmax()
    channels = part.loc[part["is_anomaly"].to_numpy(dtype=bool), "channel"].value_counts()
    score = part["anomaly_score"].iloc[peak]
    return times[0], times[-1], times[peak], len(part), score, tuple(channels.index)
