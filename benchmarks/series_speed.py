"""How fast series are fitted and scored: a large panel, one long series, and step by step."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from tqdm import tqdm

from benchmarks.runs import forget_peak, peak_memory, timed
from benchmarks.series_methods import _detector

N_STREAM_CHANNELS = 3
N_STREAM_TRAIN = 2_000
N_LONG_TRAIN = 10_000

Params = Mapping[str, Any] | None  # of our detector, where they differ from its defaults


def panel(n_series: int, n_rows: int, n_channels: int, seed: int = 0) -> pd.DataFrame:
    """Generate a long frame of correlated channels, each with a season and memory.

    Returns
    -------
    frame : DataFrame
        Columns ``series``, ``time`` and ``c0``, ``c1``, ...; in the order of series and time.
    """
    rng = np.random.default_rng(seed)
    noise = lfilter([1], [1, -0.7], rng.normal(size=(n_series, n_rows, n_channels)), axis=1)
    mixed = noise @ (np.eye(n_channels) + 0.3 * rng.normal(size=(n_channels, n_channels)))
    phase = rng.uniform(0, 2 * np.pi, (n_series, 1, n_channels))
    season = np.sin(2 * np.pi * np.arange(n_rows)[None, :, None] / 48 + phase)
    values = (mixed + 2 * season).reshape(-1, n_channels)
    frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(n_channels)])
    frame.insert(0, "series", np.repeat(np.arange(n_series), n_rows))
    frame.insert(1, "time", np.tile(np.arange(n_rows), n_series))
    return frame


def measure_panel(
    n_series: int, n_rows: int, n_channels: int, n_long: int, seed: int = 0, params: Params = None
) -> pd.DataFrame:
    """Fit and score a panel, then score one long series of as many channels.

    Returns
    -------
    figures : DataFrame
        A row per case: ``case``, ``rows``, ``fit_seconds``, ``score_seconds``, and
        ``peak_memory_mb``, that of the process with the data, in MiB.
    """
    whole = panel(n_series, n_rows, n_channels, seed)
    named = {"series": "series", "time": "time", **(params or {})}
    first = _timed_case(f"panel {n_series} x {n_rows} x {n_channels}", whole, whole, seed, named)
    del whole
    long = panel(1, n_long, n_channels, seed).drop(columns=["series", "time"])
    return pd.DataFrame([first, _timed_case("long", long[:N_LONG_TRAIN], long, seed, params)])


def measure_stream(
    n_steps: int, seed: int = 0, params: Params = None
) -> tuple[pd.DataFrame, pd.Series]:
    """Score rows one at a time with `score_next`, and the same rows at once.

    Returns
    -------
    steps : DataFrame
        A row per streamed step: ``step``, ``streamed``, ``batch`` (both scores), ``ms``.
    figures : Series
        ``steps``, ``scored``, ``largest_difference``, ``median_ms``, ``p99_ms``.
    """
    series = panel(1, N_STREAM_TRAIN + n_steps, N_STREAM_CHANNELS, seed)
    series = series.drop(columns=["series", "time"])
    detector = _detector(seed, params).fit(series[:N_STREAM_TRAIN])
    rows = series[N_STREAM_TRAIN:].reset_index(drop=True)
    batch = detector.score_frame(rows)["anomaly_score"]
    streamed, ms = stream(detector, rows)
    steps = pd.DataFrame({"step": rows.index, "batch": batch, "ms": ms})
    steps.insert(1, "streamed", streamed.reindex(rows.index))
    gap = (steps["streamed"] - steps["batch"]).abs()
    figures = {
        "steps": len(steps),
        "scored": int(gap.notna().sum()),
        "largest_difference": gap.max(),
        "median_ms": np.median(ms),
        "p99_ms": np.quantile(ms, 0.99),
    }
    return steps, pd.Series(figures)


def stream(detector: Any, rows: pd.DataFrame) -> tuple[pd.Series, np.ndarray]:
    """Scores, by the index of the rows they belong to, and the milliseconds of each call."""
    scored, ms = [], np.empty(len(rows))
    for step in tqdm(range(len(rows)), unit="step"):
        row = rows.iloc[step : step + 1]
        start = time.perf_counter()
        scored.append(detector.score_next(row))
        ms[step] = 1000 * (time.perf_counter() - start)
    scored.append(detector.finish())
    return pd.concat([part for part in scored if len(part)])["anomaly_score"], ms


def panel_line(figures: pd.DataFrame) -> str:
    """The cases in one line."""
    return " | ".join(
        f"{row.case}: rows {row.rows} fit s {row.fit_seconds:.1f} score s {row.score_seconds:.1f} "
        f"peak memory MiB {row.peak_memory_mb:.0f}"
        for row in figures.itertuples()
    )


def stream_line(figures: pd.Series) -> str:
    """The figures of a stream in one line."""
    return (
        f"stream: steps {figures['steps']:.0f}, scored {figures['scored']:.0f} | largest "
        f"difference to batch {figures['largest_difference']:.2e} | ms per step median "
        f"{figures['median_ms']:.2f} p99 {figures['p99_ms']:.2f}"
    )


def _timed_case(
    case: str, train: pd.DataFrame, whole: pd.DataFrame, seed: int, params: Params
) -> dict[str, Any]:
    forget_peak()
    detector, fit_seconds = timed(lambda: _detector(seed, params).fit(train))
    scored, score_seconds = timed(lambda: detector.score_frame(whole))
    if len(scored) != len(whole):
        raise ValueError(f"need a score for each of {len(whole)} rows; got {len(scored)}.")
    return {
        "case": case,
        "rows": len(whole),
        "fit_seconds": round(fit_seconds, 3),
        "score_seconds": round(score_seconds, 3),
        "peak_memory_mb": peak_memory(),
    }
