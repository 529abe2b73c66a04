"""Forecasts of series: paths of what may follow, and frames of their quantiles and risks."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
from anomdiff.encoding.times import later_times
from anomdiff.models.progress import progressed
from anomdiff.models.window_model import WindowModel

__all__ = [
    "QUANTILES",
    "ForecastPaths",
    "forecast_paths",
    "free_name",
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
    for segment in progressed(last.values(), "forecast", unit="series"):
        history = interpolated(segment.values, segment.observed)
        forecaster = _forecaster(model, segment, horizon)
        paths = forecaster.paths(history, horizon, n_draws, generator).numpy()
        mean, std = model.scaler.scale_at(_later_steps(model, frame, segment, horizon))
        times = _times(model.layout, frame, segment, horizon)
        yield ForecastPaths(segment.series, times, paths * std + mean)


def quantile_frame(
    model: WindowModel, forecasts: Iterable[ForecastPaths], quantiles: Sequence[float]
) -> pd.DataFrame:
    """Mean and quantiles by series, step and channel; see ``TimeSeriesDetector.forecast``."""
    wanted = np.asarray(quantiles, dtype=float)
    if wanted.ndim != 1 or not ((wanted > 0) & (wanted < 1)).all():
        raise ValueError(f"quantiles must lie between 0 and 1; got {quantiles!r}.")
    keys = _keys(model.layout)
    heads = [free_name(quantile_name(q), keys.values()) for q in wanted]
    parts = []
    for forecast in forecasts:
        _, n_steps, n_channels = forecast.paths.shape
        labels = _labels(forecast, np.arange(n_steps).repeat(n_channels), keys)
        labels[free_name("channel", keys.values())] = label_array(model.names * n_steps)
        labels[free_name("mean", keys.values())] = forecast.paths.mean(0).ravel()
        rows = np.quantile(forecast.paths, wanted, axis=0).reshape(len(wanted), -1)
        parts.append(pd.DataFrame(labels | dict(zip(heads, rows, strict=True))))
    return pd.concat(parts, ignore_index=True)


def path_frame(model: WindowModel, forecasts: Iterable[ForecastPaths]) -> pd.DataFrame:
    """Every draw, one row per series, draw and step; see ``TimeSeriesDetector.forecast_paths``."""
    parts, keys = [], _keys(model.layout)
    taken = [*keys.values(), *model.names]
    for forecast in forecasts:
        n_draws, n_steps, _ = forecast.paths.shape
        labels = _labels(forecast, np.tile(np.arange(n_steps), n_draws), keys, model.names)
        labels[free_name("draw", taken)] = np.arange(n_draws).repeat(n_steps)
        channels = zip(model.names, forecast.paths.reshape(n_draws * n_steps, -1).T, strict=True)
        parts.append(pd.DataFrame(labels | dict(channels)))
    return pd.concat(parts, ignore_index=True)


def risk_frame(
    model: WindowModel, forecasts: Iterable[ForecastPaths], event: Mapping
) -> pd.DataFrame:
    """Probability that an event has happened by each step; see ``TimeSeriesDetector.risk``."""
    bounds = _bounds(model.names, event)
    parts, keys = [], _keys(model.layout)
    for forecast in forecasts:
        outside = (forecast.paths < bounds[0]) | (forecast.paths > bounds[1])
        happened = np.logical_or.accumulate(outside.any(2), axis=1)
        labels = _labels(forecast, np.arange(happened.shape[1]), keys)
        labels[free_name("probability", keys.values())] = happened.mean(0)
        parts.append(pd.DataFrame(labels))
    return pd.concat(parts, ignore_index=True)


def free_name(name: str, taken: Collection) -> str:
    """Name of a column of an answer: the input's columns keep theirs, it gets underscores."""
    while name in taken:
        name += "_"
    return name


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


def _keys(layout: PanelLayout) -> dict[str, Any]:
    """Columns of series and time, those that there are."""
    roles = {"series": layout.series, "time": layout.time}
    return {role: name for role, name in roles.items() if name is not None}


def _labels(
    forecast: ForecastPaths, steps: np.ndarray, keys: Mapping[str, Any], channels: Sequence = ()
) -> dict:
    """Columns that name the series, the time and the step, counted from 1."""
    taken, labels = [*keys.values(), *channels], {}
    if "series" in keys:
        labels[keys["series"]] = pd.Series(
            label_array([forecast.series] * len(steps))
        ).infer_objects()
    if forecast.times is not None:
        labels[keys.get("time", free_name("time", taken))] = forecast.times[steps]
    return labels | {free_name("step", taken): steps + 1}


def _times(
    layout: PanelLayout, frame: pd.DataFrame, segment: Segment, horizon: int
) -> pd.Index | None:
    """Times to come, a median step of this segment apart."""
    own = segment.times
    if own is None:
        return None
    step = _step(layout, own, segment.series)
    cells = frame.index if layout.time is None else pd.Index(frame[layout.time])
    whole = own.dtype == np.int64 and step.is_integer()
    return later_times(cells[segment.rows], step, horizon, whole=whole)


def _step(layout: PanelLayout, times: np.ndarray, series: Any) -> float:
    """Median difference of times, that of training where there is only one."""
    return float(np.median(np.diff(times))) if len(times) > 1 else layout.steps.of(series) or 1.0


def _later_steps(
    model: WindowModel, frame: pd.DataFrame, segment: Segment, horizon: int
) -> Segment[np.ndarray]:
    """Steps to come, as read: covariates that say what is normal stay as they were last."""
    layout, values = model.layout, np.full((horizon, len(model.layout.channels)), np.nan)
    for name in model.scaler.conditions:
        cells = layout.numbers(frame[name], name)[segment.rows]
        values[:, layout.channels.index(name)] = [np.nan, *cells[~np.isnan(cells)]][-1]
    times = None
    if segment.times is not None:
        ahead = np.arange(1, horizon + 1) * _step(layout, segment.times, segment.series)
        times = segment.times[-1] + ahead.astype(segment.times.dtype)
    return Segment(segment.series, np.arange(horizon), values, ~np.isnan(values), times)


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
