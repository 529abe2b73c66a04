"""Forecasts: the end of a window is drawn given its beginning, and drawn on from there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.conditional.forecaster import Futures
from anomdiff.encoding.panel import Stretch
from anomdiff.reference.window_bank import WindowMemory

QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Ahead:
    """What may follow one series.

    Attributes
    ----------
    series : object
        Label; None where there is only one.
    times : Index or None
        Of the steps to come; None where rows are only in order.
    paths : float ndarray of shape (draw, step, channel)
        Draws, in the units of the channels.
    """

    series: Any
    times: pd.Index | None
    paths: np.ndarray


def look_ahead(detector, frame: pd.DataFrame, horizon: int, n_draws: int, random_state):
    """Draw what follows each series of a frame.

    Yields
    ------
    ahead : Ahead
        For one series after the other, from the steps after its last gap in time.

    Raises
    ------
    ValueError
        If a series has too few rows, or ``horizon`` or ``n_draws`` is no positive number.
    """
    for name, number in (("horizon", horizon), ("n_draws", n_draws)):
        if not isinstance(number, Integral) or number < 1:
            raise ValueError(f"{name} must be a whole number above 0; got {number!r}.")
    generator = seeded(detector, random_state)
    for part in _last_stretches(detector.layout_.read(frame)):
        values, observed = detector.encoder_.encode(part)
        history = torch.from_numpy(without_gaps(values, observed))
        futures = futures_for(detector, len(history), horizon, part.series)
        paths = extend(history, futures, horizon, n_draws, generator)
        mean, std = target_scale(detector.encoder_, part.series)
        yield Ahead(part.series, _times(detector.layout_, frame, part, horizon), paths * std + mean)


def extend(
    history: Tensor, futures: Futures, horizon: int, n_draws: int, generator: torch.Generator
) -> np.ndarray:
    """Draw paths block by block; a block further on starts from what each path has reached.

    Returns
    -------
    paths : float ndarray of shape (draw, step, channel)
        Encoded.
    """
    n_past = futures.regressions[0].shape[1]
    paths = history[-n_past:].T[None]
    while paths.shape[2] < n_past + horizon:
        ahead = futures.centre(paths[:, :, -n_past:], history) + futures.draw(n_draws, generator)
        paths = torch.cat([paths.expand(n_draws, -1, -1), ahead], dim=2)
    return paths[:, :, n_past : n_past + horizon].mT.numpy()


def futures_for(detector, n_steps: int, horizon: int, series) -> Futures:
    """Completer of the longest windows whose past the history covers; fitted at the first call."""
    known = detector.__dict__.setdefault("_futures", {})
    for memory in reversed(shapes(detector)):
        block = min(horizon, memory.length // 2)
        if memory.length - block <= n_steps:
            if (memory.length, block) not in known:
                windows = memory.rows.double().unflatten(1, (-1, memory.length))
                known[memory.length, block] = Futures.fit(windows, memory.places, block)
            return known[memory.length, block]
    of = "" if series is None else f" of series {series!r}"
    least = memory.length - block
    raise ValueError(f"need at least {least} rows{of} without a gap in time; got {n_steps}.")


def summary(layout, names: list, aheads: Iterator[Ahead], quantiles) -> pd.DataFrame:
    """Mean and quantiles by series, step and channel; see ``TimeSeriesDetector.forecast``."""
    wanted = np.asarray(quantiles, dtype=float)
    if wanted.ndim != 1 or not ((wanted > 0) & (wanted < 1)).all():
        raise ValueError(f"quantiles must lie between 0 and 1; got {quantiles!r}.")
    heads = [quantile_name(q) for q in wanted]
    parts = []
    for ahead in aheads:
        _, n_steps, n_channels = ahead.paths.shape
        labels = _labels(layout, ahead, np.arange(n_steps).repeat(n_channels))
        labels["channel"] = np.array(names * n_steps, dtype=object)
        labels["mean"] = ahead.paths.mean(0).ravel()
        rows = np.quantile(ahead.paths, wanted, axis=0).reshape(len(wanted), -1)
        parts.append(pd.DataFrame(labels | dict(zip(heads, rows, strict=True))))
    return pd.concat(parts, ignore_index=True)


def sample_paths(layout, names: list, aheads: Iterator[Ahead]) -> pd.DataFrame:
    """Every draw, one row per series, draw and step; see ``TimeSeriesDetector.forecast_paths``."""
    parts = []
    for ahead in aheads:
        n_draws, n_steps, _ = ahead.paths.shape
        labels = _labels(layout, ahead, np.tile(np.arange(n_steps), n_draws))
        labels["draw"] = np.arange(n_draws).repeat(n_steps)
        channels = zip(names, ahead.paths.reshape(n_draws * n_steps, -1).T, strict=True)
        parts.append(pd.DataFrame(labels | dict(channels)))
    return pd.concat(parts, ignore_index=True)


def risks(layout, names: list, aheads: Iterator[Ahead], event: Mapping) -> pd.DataFrame:
    """Probability that an event has happened by each step; see ``TimeSeriesDetector.risk``."""
    bounds = _bounds(names, event)
    parts = []
    for ahead in aheads:
        outside = (ahead.paths < bounds[0]) | (ahead.paths > bounds[1])
        happened = np.logical_or.accumulate(outside.any(2), axis=1)
        labels = _labels(layout, ahead, np.arange(happened.shape[1]))
        parts.append(pd.DataFrame(labels | {"probability": happened.mean(0)}))
    return pd.concat(parts, ignore_index=True)


def quantile_name(q: float) -> str:
    """Column of a quantile, such as ``q05`` or ``q97.5``."""
    return f"q{100 * q:04.1f}".removesuffix(".0")


def shapes(detector) -> list[WindowMemory]:
    """Remembered windows of each length, the shortest first; a detector remembers levels too."""
    memories = [memory for memory in detector.memories_ if type(memory) is WindowMemory]
    return sorted(memories, key=lambda memory: memory.length)


def seeded(detector, random_state) -> torch.Generator:
    """Generator of draws; by default that of the fit, so that the same rows give the same draws."""
    rng = check_random_state(detector.seed_ if random_state is None else random_state)
    return torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))


def target_scale(encoder, series) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of the judged channels of a series."""
    judged = list(encoder.targets)
    return tuple(numbers[judged] for numbers in encoder.scales.get(series, encoder.scales[None]))


def without_gaps(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Fill missing steps on straight lines, channel by channel; 0 where nothing is observed."""
    filled, steps = values.copy(), np.arange(len(values))
    for channel, seen in enumerate(observed.T):
        if seen.any() and not seen.all():
            filled[:, channel] = np.interp(steps, steps[seen], values[seen, channel])
    return filled


def _last_stretches(stretches: list[Stretch]) -> list[Stretch]:
    return list({part.series: part for part in stretches}.values())


def _labels(layout, ahead: Ahead, steps: np.ndarray) -> dict:
    """Columns that name the series, the time and the step, counted from 1."""
    labels = {} if layout.series is None else {layout.series: ahead.series}
    if ahead.times is not None:
        labels["time" if layout.time is None else layout.time] = ahead.times[steps]
    return labels | {"step": steps + 1}


def _times(layout, frame: pd.DataFrame, part: Stretch, horizon: int) -> pd.Index | None:
    """Times to come, a median step of this series apart."""
    moments = layout.moments(frame)
    if moments is None:
        return None
    own = moments[part.rows]
    step = np.median(np.diff(own)) if len(own) > 1 else layout.step
    cells = frame.index if layout.time is None else pd.Index(frame[layout.time])
    last, ahead = cells[part.rows[-1]], np.arange(1, horizon + 1) * step
    if pd.api.types.is_numeric_dtype(cells) and pd.api.types.is_number(last):
        whole = moments.dtype == np.int64 and float(step).is_integer()
        return pd.Index(last + (ahead.astype(np.int64) if whole else ahead))
    return pd.Timestamp(last) + pd.to_timedelta(ahead, unit="ns")


def _bounds(names: list, event: Mapping) -> np.ndarray:
    """Lowest and highest harmless value of each channel."""
    if not isinstance(event, Mapping) or not event:
        raise ValueError(f"need event as {{channel: (low, high)}}; got {event!r}.")
    if unknown := [name for name in event if name not in names]:
        raise ValueError(f"need an event of the channels {names}; got {unknown}.")
    bounds = np.tile([[-np.inf], [np.inf]], len(names))
    for name, pair in event.items():
        low, high = pair
        bounds[:, names.index(name)] = (
            -np.inf if low is None else low,
            np.inf if high is None else high,
        )
    return bounds
