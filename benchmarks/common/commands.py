"""The options that all comparisons have, and the run that they ask for."""

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from benchmarks.common.comparison import Comparison, Failures, Source, Task, fill
from benchmarks.common.results import ResultsFile, complete

__all__ = [
    "OURS",
    "add_params",
    "add_processes",
    "add_run_options",
    "compare",
    "count",
    "labels",
    "words",
]

OURS = "anomdiff"


def count(text: str) -> int:
    """Read a whole number of at least 1 from the command line."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"need a whole number of at least 1; got {text!r}")
    return int(text)


def words(text: str) -> list[str]:
    """Read words with commas between them."""
    return text.split(",")


def add_processes(parser: argparse.ArgumentParser) -> None:
    """Add the number of processes."""
    about = "of one thread each (default: CPUs)"
    parser.add_argument("--processes", type=count, default=os.cpu_count(), help=about)


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add parameters of our detector that differ from its defaults, as JSON; for trials."""
    parser.add_argument("--params", type=json.loads, default={}, help=argparse.SUPPRESS)


def add_run_options(
    parser: argparse.ArgumentParser, comparison: Comparison, default_methods: str | None
) -> None:
    """Add methods, processes, results and published figures."""
    known = ", ".join(comparison.methods)

    def methods(text: str) -> list[str]:
        if unknown := [name for name in words(text) if name not in comparison.methods]:
            raise argparse.ArgumentTypeError(f"need methods of {known}; got {unknown}")
        return words(text)

    add = parser.add_argument
    about = f"comma-separated, of {known}"
    add("--methods", type=methods, default=default_methods, help=about)
    add_processes(parser)
    about = f"results, a CSV; rows already there (same {', '.join(comparison.key)}) are not rerun"
    add("--out", required=True, type=Path, help=about)
    about = "show the figures of these tables on the same sets"
    add("--published", nargs="+", type=Path, default=[], metavar="CSV", help=about)
    add_params(parser)
    add("--label", help=argparse.SUPPRESS)


def labels(options: argparse.Namespace) -> dict[str, str]:
    """Name of each method in the results; other parameters never pass for the default."""
    changed = ",".join(f"{name}={value}" for name, value in options.params.items())
    ours = options.label or OURS
    suffix = f"[{changed}]" if changed and not options.label else ""
    return {
        method: ours + method.removeprefix(OURS) + suffix if method.startswith(OURS) else method
        for method in options.methods
    }


def compare(
    comparison: Comparison,
    runs: Iterable[tuple[Source, int]],
    options: argparse.Namespace,
    failures: Failures,
) -> pd.DataFrame:
    """Measure every method on every source and seed; return what `complete` does of these runs."""
    named, params = labels(options), options.params
    file = ResultsFile(options.out, comparison.columns, comparison.key)
    tasks = [
        Task(comparison, source, method, label, seed, params if method.startswith(OURS) else {})
        for source, seed in runs
        for method, label in named.items()
    ]
    fill(file, tasks, options.processes, failures)
    results, keys = file.read(), {task.key for task in tasks}
    asked = [key in keys for key in results[file.key].itertuples(index=False, name=None)]
    counted = results[pd.Series(asked, dtype=bool).to_numpy()]
    return complete(counted, comparison.measures, list(named.values()))
