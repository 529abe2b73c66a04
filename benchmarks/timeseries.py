"""Compare detectors on the files of TSB-AD: `python -m benchmarks.timeseries --help`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.series_files import find_tsb
from benchmarks.series_methods import METHODS
from benchmarks.series_results import (
    best_published,
    complete,
    families,
    far_below,
    read_published,
    series_file,
    summary,
)
from benchmarks.series_runs import OURS, fill, labels, tasks_of
from benchmarks.tabular import count

DEFAULT_METHODS = "anomdiff,anomdiff-transductive,matrixprofile,iforest"


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a file failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    try:
        files = find_tsb(options.data, options.files, options.max_files)
        published = read_published(options.published)
        results = series_file(options.out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    tasks = tasks_of(files, options.methods, options.seed, options.params)
    n_failed = fill(results, tasks, options.processes)
    named = labels(options.methods, options.params)
    figures = complete(results.read(), {task.key for task in tasks}, list(named.values()))
    report(figures, published, [named[method] for method in OURS if method in named])
    return 1 if n_failed else 0


def report(figures: pd.DataFrame, published: pd.DataFrame, ours: Sequence[str]) -> None:
    """Print the families and, as the last line, the means over the files.

    Parameters
    ----------
    figures : DataFrame
        From `complete`.
    published : DataFrame
        From `read_published`; if it is not empty, only its files count.
    ours : sequence of str
        The methods that are held against the best published one in each family.
    """
    if not published.empty:
        figures = figures[figures.index.get_level_values("file").isin(published.index)]
    if figures.empty:
        print("no file has results of all methods" + " and published ones" * (not published.empty))
        return
    table = families(figures, published)
    print(table.round(3).to_string())
    parts = [summary(figures)]
    if not published.empty:
        for method in ours:
            print(f"families where {method} is more than 0.10 below: {far_below(table, method)}")
        name, value = best_published(published, figures.index.get_level_values("file"))
        parts.append(f"best published {name} {value:.3f} (same files)")
    print(" | ".join([*parts, f"files {len(figures)}"]))


def add_run_options(parser: argparse.ArgumentParser, default_methods: str | None) -> None:
    """Add the options that every benchmark of series has."""
    add = parser.add_argument
    add(
        "--methods",
        type=_methods,
        default=default_methods,
        help=f"comma-separated, of {', '.join(METHODS)}",
    )
    add("--seed", type=int, default=0, help="of the methods; another one wants another --out")
    add(
        "--processes",
        type=count,
        default=os.cpu_count(),
        help="of one thread each (default: CPUs)",
    )
    add("--params", type=json.loads, default={}, help=argparse.SUPPRESS)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.timeseries", description=__doc__)
    add = parser.add_argument
    add("--data", required=True, type=Path, help="folder of files NNN_FAMILY_..._tr_N_1st_M.csv")
    add(
        "--published",
        nargs="+",
        type=Path,
        default=[],
        metavar="CSV",
        help="VUS-PR per file; only files that stand there count in the means",
    )
    add(
        "--files",
        type=lambda text: text.split(","),
        default=[],
        help="only files with one of these in the name, e.g. UCR,001_NAB",
    )
    add("--max-files", type=count, help="only this many, spread evenly over the names")
    add(
        "--out",
        required=True,
        type=Path,
        help="results, a CSV; rows already there (same file and method) are not run again",
    )
    add_run_options(parser, DEFAULT_METHODS)
    return parser


def _methods(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in METHODS]:
        raise argparse.ArgumentTypeError(f"need methods of {', '.join(METHODS)}; got {unknown}")
    return names


if __name__ == "__main__":
    sys.exit(main())
