"""How fast series are fitted and scored: `python -m benchmarks.systems.speed --suite panel`.

``panel`` is a large panel and a long series, ``stream`` one step at a time beside all at once.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from tqdm import tqdm

from benchmarks.common.commands import add_params, count
from benchmarks.common.methods import Params, fit_ours
from benchmarks.common.processes import measured
from benchmarks.common.results import write
from benchmarks.series.methods import timeseries

__all__ = ["main", "measure_panel", "measure_stream", "panel", "stream"]

N_STREAM_CHANNELS = 3
N_STREAM_TRAIN = 2_000
N_LONG_TRAIN = 10_000


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for; the last line holds the figures."""
    options = _parser().parse_args(argv)
    seeded = options.seed, options.params
    if options.suite == "panel":
        shape = options.n_series, options.n_steps or 2_000, options.n_channels
        figures, line = measure_panel(*shape, options.n_long, *seeded), panel_line
    else:
        figures, line = measure_stream(options.n_steps or 10_000, *seeded), stream_line
    write(figures, options.out)
    print(line(figures))


def panel(n_series: int, n_rows: int, n_channels: int, seed: int = 0) -> pd.DataFrame:
    """Generate a long frame of correlated channels, seasonal and autoregressive.

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

    A row per case; ``peak_memory_mb`` is that of the process with the data, in MiB.
    """
    whole = panel(n_series, n_rows, n_channels, seed)
    named = {"series": "series", "time": "time", **(params or {})}
    first = _case(f"panel {n_series} x {n_rows} x {n_channels}", whole, whole, seed, named)
    del whole
    long = panel(1, n_long, n_channels, seed).drop(columns=["series", "time"])
    return pd.DataFrame([first, _case("long", long[:N_LONG_TRAIN], long, seed, params)])


def measure_stream(n_steps: int, seed: int = 0, params: Params = None) -> pd.DataFrame:
    """Score rows one at a time with `score_next`, and the same rows at once.

    A row per streamed step: both scores, and milliseconds.
    """
    series = panel(1, N_STREAM_TRAIN + n_steps, N_STREAM_CHANNELS, seed)
    series = series.drop(columns=["series", "time"])
    detector = timeseries(seed, params).fit(series[:N_STREAM_TRAIN])
    rows = series[N_STREAM_TRAIN:].reset_index(drop=True)
    batch = detector.score_frame(rows)["anomaly_score"]
    streamed, ms = stream(detector, rows)
    columns = {"step": rows.index, "streamed": streamed.reindex(rows.index), "batch": batch}
    return pd.DataFrame(columns | {"ms": ms})


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


def stream_line(steps: pd.DataFrame) -> str:
    """How many steps are scored, how far from the batch, and how fast, in one line."""
    gap, ms = (steps["streamed"] - steps["batch"]).abs(), steps["ms"]
    return (
        f"stream: steps {len(steps)}, scored {gap.notna().sum()} | largest difference to batch "
        f"{gap.max():.2e} | ms per step median {ms.median():.2f} p99 {ms.quantile(0.99):.2f}"
    )


def _case(
    case: str, train: pd.DataFrame, whole: pd.DataFrame, seed: int, params: Params
) -> dict[str, Any]:
    scores, cost = measured(lambda: fit_ours(timeseries, train, seed, params), whole)
    if len(scores) != len(whole):
        raise ValueError(f"need a score for each of {len(whole)} rows; got {len(scores)}.")
    return {"case": case, "rows": len(whole), **cost}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.systems.speed", description=__doc__)
    add = parser.add_argument
    add("--suite", required=True, choices=["panel", "stream"])
    add("--n-series", type=count, default=1_000, help="panel: series")
    add("--n-steps", type=count, help="panel: rows per series (2000); stream: rows (10000)")
    add("--n-channels", type=count, default=5, help="panel: channels")
    add("--n-long", type=count, default=1_000_000, help="panel: rows of the long series")
    add("--seed", type=int, default=0)
    add("--out", type=Path, help="a CSV")
    add_params(parser)
    return parser


if __name__ == "__main__":
    main()
