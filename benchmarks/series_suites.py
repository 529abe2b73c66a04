"""Measure our detector of series beyond TSB-AD: `python -m benchmarks.series_suites --help`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.series_alarms import alarms_line, alarms_table, measure_alarms
from benchmarks.series_files import SkabRun, Source, find_asd, find_skab
from benchmarks.series_generated import generated, kinds
from benchmarks.series_results import complete, series_file, summary
from benchmarks.series_runs import fill, labels, tasks_of
from benchmarks.series_speed import measure_panel, measure_stream, panel_line, stream_line
from benchmarks.tabular import count
from benchmarks.timeseries import add_run_options

QUALITY_METHODS = {
    "skab": ["anomdiff", "iforest", "knn"],
    "asd": ["anomdiff", "iforest", "knn"],
    "generated": ["anomdiff", "linear16", "median"],
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a series failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.suite in ("skab", "asd") and options.data is None:
        parser.error(f"need --data for {options.suite}; got none")
    if options.suite not in QUALITY_METHODS:
        return UNLABELLED[options.suite](options)
    if options.out is None:
        parser.error(f"need --out for {options.suite}, which continues it; got none")
    try:
        return _quality(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def _quality(options: argparse.Namespace) -> int:
    """Judge methods on labelled series; the last line is their means."""
    methods = options.methods or QUALITY_METHODS[options.suite]
    results = series_file(options.out)
    tasks = tasks_of(_sources(options), methods, options.seed, options.params)
    n_failed = fill(results, tasks, options.processes)
    named = list(labels(methods, options.params).values())
    figures = complete(results.read(), {task.key for task in tasks}, named)
    if figures.empty:
        print("no series has results of all methods")
    else:
        by = "file" if options.suite == "asd" else "family"
        print(figures.groupby(level=by).mean().round(3).to_string())
        print(_LINES[options.suite](figures))
    return 1 if n_failed else 0


def _sources(options: argparse.Namespace) -> Sequence[Source]:
    if options.suite == "skab":
        return find_skab(options.data, options.skab_train)
    return find_asd(options.data) if options.suite == "asd" else generated(options.seeds)


def _means_line(suite: str, noun: str) -> Callable[[pd.DataFrame], str]:
    return lambda figures: (
        f"{suite}: {summary(figures, ['VUS-PR', 'AUC-PR'])} | {noun} {len(figures)}"
    )


_LINES: dict[str, Callable[[pd.DataFrame], str]] = {
    "skab": _means_line("skab", "runs"),
    "asd": _means_line("asd", "servers"),
    "generated": lambda figures: f"{kinds(figures)} | series {len(figures)}",
}


def _panel(options: argparse.Namespace) -> int:
    shape = options.n_series, options.n_steps or 2_000, options.n_channels
    figures = measure_panel(*shape, options.n_long, options.seed, options.params)
    _write(figures, options.out)
    print(panel_line(figures))
    return 0


def _stream(options: argparse.Namespace) -> int:
    steps, figures = measure_stream(options.n_steps or 10_000, options.seed, options.params)
    _write(steps, options.out)
    print(stream_line(figures))
    return 0


def _alarms(options: argparse.Namespace) -> int:
    rates = measure_alarms(options.seeds, options.processes, options.params)
    _write(rates, options.out)
    print(alarms_table(rates))
    print(alarms_line(rates))
    return 0


UNLABELLED = {"panel": _panel, "stream": _stream, "alarms": _alarms}


def _write(figures: pd.DataFrame, path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        figures.to_csv(path, index=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series_suites", description=__doc__)
    add = parser.add_argument
    add(
        "--suite",
        required=True,
        choices=[*QUALITY_METHODS, *UNLABELLED],
        help="skab, asd: public data. generated: spikes and level shifts. panel: time and memory "
        "for many series and for a long one. stream: row by row, against all at once. alarms: how "
        "many of new normal steps, by the length of training",
    )
    add("--data", type=Path, help="skab: folder of valve1, ...; asd: npz file or its folder")
    add("--out", type=Path, help="a CSV; skab, asd and generated continue it")
    add(
        "--skab-train",
        choices=["first", "anomaly-free"],
        default=SkabRun.train,
        help="fit on the first 400 rows of each run, as SKAB's own protocol does, or on the run "
        "without anomalies, which was recorded at another operating point (default: first); "
        "each wants its own --out",
    )
    add("--seeds", type=count, default=5, help="generated, alarms: series per shape and kind")
    add("--n-series", type=count, default=1_000, help="panel: series")
    add("--n-steps", type=count, help="panel: rows per series (2000); stream: rows (10000)")
    add("--n-channels", type=count, default=5, help="panel: channels")
    add("--n-long", type=count, default=1_000_000, help="panel: rows of the long series")
    add_run_options(parser, None)
    return parser


if __name__ == "__main__":
    sys.exit(main())
