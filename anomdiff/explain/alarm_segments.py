"""Alarms of neighbouring steps, put together."""

import numpy as np
import pandas as pd


def alarm_segments(scored: pd.DataFrame, series, time, join: int) -> pd.DataFrame:
    """See ``TimeSeriesDetector.segments``."""
    labels = [name for name in (series, time) if name is not None]
    wanted = ["anomaly_score", "is_anomaly", "channel", *labels]
    if missing := [name for name in wanted if name not in scored.columns]:
        raise ValueError(f"need the columns {wanted} of a scored frame; {missing} are missing.")
    found = []
    groups = [(None, scored)]
    if series is not None:
        groups = scored.groupby(series, sort=False, observed=True)
    for label, part in groups:
        moments = part.index if time is None else part[time]
        order = np.arange(len(part))
        if time is not None or isinstance(part.index, pd.DatetimeIndex):
            order = np.argsort(moments.to_numpy(), kind="stable")
        part, moments = part.iloc[order], np.asarray(moments)[order]
        for start, stop in runs(part["is_anomaly"].to_numpy(dtype=bool), join):
            found.append((label, *_segment(part.iloc[start:stop], moments[start:stop])))
    columns = ["series", "start", "end", "peak", "steps", "anomaly_score", "channels"]
    segments = pd.DataFrame(found, columns=columns)
    if series is None:
        return segments.drop(columns="series")
    return segments.rename(columns={"series": series})


def runs(flags: np.ndarray, join: int) -> list[tuple[int, int]]:
    """Bounds of the runs of flags, those at most ``join`` steps apart put together."""
    at = np.flatnonzero(flags)
    if not len(at):
        return []
    parts = np.split(at, np.flatnonzero(np.diff(at) > join + 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def _segment(part: pd.DataFrame, moments: np.ndarray) -> tuple:
    peak = part["anomaly_score"].to_numpy().argmax()
    channels = part.loc[part["is_anomaly"].to_numpy(dtype=bool), "channel"].value_counts()
    score = part["anomaly_score"].iloc[peak]
    return moments[0], moments[-1], moments[peak], len(part), score, tuple(channels.index)
