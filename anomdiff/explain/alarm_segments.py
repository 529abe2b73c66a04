"""Alarms of neighbouring steps, put together to one segment each."""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import pandas as pd

from anomdiff.encoding.times import has_times
from anomdiff.explain.localisation import runs

__all__ = ["alarm_rows", "alarm_segments", "in_order", "require_other_name", "require_scored"]

COLUMNS = ["series", "start", "end", "peak", "steps", "anomaly_score", "channels"]
CONTEXT = ["context_start", "context_end"]
SCORES = ["anomaly_score", "is_anomaly", "channel"]


def alarm_segments(
    scored: pd.DataFrame,
    series: Hashable | None,
    time: Hashable | None,
    join: int,
    threshold: float = np.inf,
) -> pd.DataFrame:
    """One row per segment of flagged steps; see ``TimeSeriesDetector.segments``."""
    require_scored(scored, series, time)
    require_other_name(series, [*COLUMNS[1:], *CONTEXT])
    found = [
        (label, *segment)
        for label, rows in in_order(scored, series, time)
        for segment in _segments(scored.iloc[rows], time, join, threshold)
    ]
    segments = pd.DataFrame(found, columns=[*COLUMNS, *CONTEXT])
    if series is None:
        return segments.drop(columns="series")
    return segments.rename(columns={"series": series})


def alarm_rows(
    scored: pd.DataFrame, series: Hashable | None, time: Hashable | None, join: int
) -> list[np.ndarray]:
    """Numbers of the rows of each segment, in the order of its time."""
    flagged = scored["is_anomaly"].to_numpy(dtype=bool)
    return [
        rows[start:stop]
        for _, rows in in_order(scored, series, time)
        for start, stop in runs(flagged[rows], join)
    ]


def in_order(
    scored: pd.DataFrame, series: Hashable | None, time: Hashable | None
) -> Iterator[tuple[Hashable, np.ndarray]]:
    """Label of each series, and the numbers of its rows in the order of its time."""
    codes, labels = np.zeros(len(scored), dtype=int), [None]
    if series is not None:
        codes, labels = pd.factorize(scored[series])
    order = np.argsort(codes, kind="stable")[np.count_nonzero(codes < 0) :]
    ends = np.cumsum(np.bincount(codes[order], minlength=len(labels)))[:-1]
    times = (scored.index if time is None else scored[time]).to_numpy()
    for label, rows in zip(labels, np.split(order, ends), strict=True):
        if time is not None or has_times(scored.index):
            rows = rows[np.argsort(times[rows], kind="stable")]
        yield label, rows


def require_scored(
    scored: pd.DataFrame,
    series: Hashable | None,
    time: Hashable | None,
    columns: Sequence[str] = SCORES,
) -> None:
    """Refuse a frame that lacks columns of a scored one."""
    wanted = [*columns, *(name for name in (series, time) if name is not None)]
    if missing := [name for name in wanted if name not in scored.columns]:
        raise ValueError(f"need the columns {wanted} of a scored frame; {missing} are missing.")


def require_other_name(series: Hashable | None, columns: Sequence[str]) -> None:
    """Refuse a column of series whose name is that of a column of the answer."""
    if series in columns:
        raise ValueError(
            f"need a column of series with another name than the columns {[*columns]} of the "
            f"answer; got {series!r}: rename it in training and scoring."
        )


def _segments(
    part: pd.DataFrame, time: Hashable | None, join: int, threshold: float
) -> Iterator[tuple]:
    """Segments of one series, in the order of its time."""
    times = (part.index if time is None else part[time]).to_numpy()
    flagged = part["is_anomaly"].to_numpy(dtype=bool)
    high = runs(flagged | (part["anomaly_score"].to_numpy() > threshold), 0)
    for start, stop in runs(flagged, join):
        around = [run for run in high if run[0] < stop and run[1] > start]
        context = times[around[0][0]], times[around[-1][1] - 1]
        yield (*_segment(part.iloc[start:stop], times[start:stop]), *context)


def _segment(part: pd.DataFrame, times: np.ndarray) -> tuple:
    peak = int(np.nanargmax(part["anomaly_score"].to_numpy()))
    channels = part.loc[part["is_anomaly"].to_numpy(dtype=bool), "channel"].value_counts()
    score = part["anomaly_score"].iloc[peak]
    return times[0], times[-1], times[peak], len(part), score, tuple(channels.index)
