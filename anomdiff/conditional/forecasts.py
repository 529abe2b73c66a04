"""Forecasts of series: paths of what may follow, and frames of their quantiles and risks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.conditional.draws import generator_of
from anomdiff.conditional.forecaster import Forecaster
from anomdiff.conditional.window_imputer import interpolated
from anomdiff.encoding.json_values import label_array
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.segment import Segment
from anomdiff.models.window_model import WindowModel

__all__ = [
    "QUANTILES",
    "ForecastPaths",
    "forecast_paths",
    "path_frame",
    "quantile_frame",
    "quantile_name",
    "risk_frame",
]

QUANTILES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class ForecastPaths:
    """What may follow one series."""

    series: Any  # label; None where there is only one
    times: pd.Index | None  # of the steps to come; None where rows are only in order
    paths: np.ndarray  # draws in the units of the channels, (draw, step, channel)


def forecast_paths(
    model: WindowModel,
    frame: pd.DataFrame,
    horizon: int,
    n_draws: int,
    random_state: int | np.random.RandomState | None = None,
) -> Iterator[ForecastPaths]:
    """Draw what follows each series of a checked frame, from after its last gap in time."""
    for name, number in (("horizon", horizon), ("n_draws", n_draws)):
        if not isinstance(number, Integral) or number < 1:
            raise ValueError(f"{name} must be a whole number above 0; got {number!r}.")
    generator = generator_of(random_state, model.seed)
    last = {segment.series: segment for segment in model.encode(frame)}
    for segment in last.values():
        history = interpolated(segment.values, segment.observed)
        forecaster = _forecaster(model, segment, horizon)
        paths = forecaster.paths(history, horizon, n_draws, generator).numpy()
        mean, std = model.scaler.scale(segment.series)
        times = _times(model.layout, frame, segment, horizon)
        yield ForecastPaths(segment.series, times, paths * std + mean)


def quantile_frame(
    model: WindowModel, forecasts: Iterable[ForecastPaths], quantiles: Sequence[float]
) -> pd.DataFrame:
    """Mean and quantiles by series, step and channel; see ``TimeSeriesDetector.forecast``."""
    wanted = np.asarray(quantiles, dtype=float)
    if wanted.ndim != 1 or not ((wanted > 0) & (wanted < 1)).all():
        raise ValueError(f"quantiles must lie between 0 and 1; got {quantiles!r}.")
    heads = [quantile_name(q) for q in wanted]
    parts = []
    for forecast in forecasts:
        _, n_steps, n_channels = forecast.paths.shape
        labels = _labels(model.layout, forecast, np.arange(n_steps).repeat(n_channels))
        labels["channel"] = label_array(model.names * n_steps)
        labels["mean"] = forecast.paths.mean(0).ravel()
        rows = np.quantile(forecast.paths, wanted, axis=0).reshape(len(wanted), -1)
        parts.append(pd.DataFrame(labels | dict(zip(heads, rows, strict=True))))
    return pd.concat(parts, ignore_index=True)


def path_frame(model: WindowModel, forecasts: Iterable[ForecastPaths]) -> pd.DataFrame:
    """Every draw, one row per series, draw and step; see ``TimeSeriesDetector.forecast_paths``."""
    parts = []
    for forecast in forecasts:
        n_draws, n_steps, _ = forecast.paths.shape
        labels = _labels(model.layout, forecast, np.tile(np.arange(n_steps), n_draws))
        labels["draw"] = np.arange(n_draws).repeat(n_steps)
        channels = zip(model.names, forecast.paths.reshape(n_draws * n_steps, -1).T, strict=True)
        parts.append(pd.DataFrame(labels | dict(channels)))
    return pd.concat(parts, ignore_index=True)


def risk_frame(
    model: WindowModel, forecasts: Iterable[ForecastPaths], event: Mapping
) -> pd.DataFrame:
    """Probability that an event has happened by each step; see ``TimeSeriesDetector.risk``."""
    bounds = _bounds(model.names, event)
    parts = []
    for forecast in forecasts:
        outside = (forecast.paths < bounds[0]) | (forecast.paths > bounds[1])
        happened = np.logical_or.accumulate(outside.any(2), axis=1)
        labels = _labels(model.layout, forecast, np.arange(happened.shape[1]))
        parts.append(pd.DataFrame(labels | {"probability": happened.mean(0)}))
    return pd.concat(parts, ignore_index=True)


def quantile_name(q: float) -> str:
    """Column of a quantile, such as ``q05`` or ``q97.5``."""
    return f"q{100 * q:04.1f}".removesuffix(".0")


def _forecaster(model: WindowModel, segment: Segment, horizon: int) -> Forecaster:
    """Forecaster of the longest windows whose past the segment covers; fitted once per model."""
    blocks = [(bank, min(horizon, bank.length // 2)) for bank in model.shape_banks]
    fitting = [(bank, block) for bank, block in blocks if bank.length - block <= len(segment)]
    if not fitting:
        of = "" if segment.series is None else f" of series {segment.series!r}"
        needed = f"{blocks[0][0].length - blocks[0][1]} rows{of} without a gap in time"
        raise ValueError(f"need at least {needed}; got {len(segment)}.")
    bank, block = fitting[-1]
    windows, key = bank.windows.unflatten(1, (-1, bank.length)), ("forecaster", bank.length, block)
    return model.derived(key, lambda: Forecaster.fit(windows.double(), bank.starts, block))


def _labels(layout: PanelLayout, forecast: ForecastPaths, steps: np.ndarray) -> dict:
    """Columns that name the series, the time and the step, counted from 1."""
    labels = {} if layout.series is None else {layout.series: forecast.series}
    if forecast.times is not None:
        labels["time" if layout.time is None else layout.time] = forecast.times[steps]
    return labels | {"step": steps + 1}


def _times(
    layout: PanelLayout, frame: pd.DataFrame, segment: Segment, horizon: int
) -> pd.Index | None:
    """Times to come, a median step of this segment apart."""
    own = segment.times
    if own is None:
        return None
    step = float(np.median(np.diff(own))) if len(own) > 1 else layout.step or 1.0
    cells = frame.index if layout.time is None else pd.Index(frame[layout.time])
    last, later = cells[segment.rows[-1]], np.arange(1, horizon + 1) * step
    if pd.api.types.is_numeric_dtype(cells) and pd.api.types.is_number(last):
        whole = own.dtype == np.int64 and step.is_integer()
        return pd.Index(last + (later.astype(np.int64) if whole else later))
    return pd.Timestamp(last) + pd.to_timedelta(later, unit="ns")


def _bounds(names: list, event: Mapping) -> np.ndarray:
    """Lowest and highest harmless value of each channel."""
    if not isinstance(event, Mapping) or not event:
        raise ValueError(f"need event as {{channel: (low, high)}}; got {event!r}.")
    if unknown := [name for name in event if name not in names]:
        raise ValueError(f"need an event of the channels {names}; got {unknown}.")
    bounds = np.tile([[-np.inf], [np.inf]], len(names))
    for name, pair in event.items():
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(f"need (low, high) for the channel {name!r}; got {pair!r}.")
        low, high = pair
        ends = (-np.inf if low is None else low, np.inf if high is None else high)
        bounds[:, names.index(name)] = ends
    return bounds
