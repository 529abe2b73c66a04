"""Compare detectors on suites of labelled tables: `python -m benchmarks.tables --help`."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.common.commands import add_run_options, compare, count, words
from benchmarks.common.comparison import Failures, Split
from benchmarks.tables.methods import SCREENING, TABLES
from benchmarks.tables.protocols import FIXED, PROTOCOLS, Trial
from benchmarks.tables.published import means_line, published_means
from benchmarks.tables.reading import SUFFIXES, Dataset, find_sets

__all__ = ["main"]

ONE_SEED_FROM = 10_000  # rows: larger sets vary little from seed to seed and cost the most


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a set failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.suite == "oddbench" and options.protocol != "shuffled":
        parser.error(f"need no --protocol for oddbench, which comes split; got {options.protocol}")
    failures = Failures()
    comparison = SCREENING if options.protocol == "contaminated" else TABLES
    try:
        sets = find_sets(options.suite, options.data, options.sets)
        figures = compare(comparison, _trials(options, sets, failures), options, failures)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if figures.empty:
        print("no set has results of all methods")
    else:
        for table in options.published:
            print(published_means(table, figures))
        print(means_line(figures))
    return 1 if failures.lines else 0


def _trials(
    options: argparse.Namespace, sets: list[Dataset], failures: Failures
) -> Iterator[tuple[Trial, int]]:
    protocol = FIXED if options.suite == "oddbench" else options.protocol
    for dataset in sets:
        trial = Trial(dataset, protocol, options.max_train, options.max_test)
        yield from ((trial, seed) for seed in range(_n_seeds(dataset, options.seeds, failures)))


def _n_seeds(dataset: Dataset, most: int, failures: Failures) -> int:
    """Seeds for a set, none if it cannot be read."""
    try:
        data = dataset.read()
    except Exception as error:
        failures.report(dataset.name, "reading", RuntimeError(f"{type(error).__name__}: {error}"))
        return 0
    n_rows = len(data.train) + len(data.test) if isinstance(data, Split) else len(data.rows)
    return most if n_rows < ONE_SEED_FROM else min(most, 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__)
    add = parser.add_argument
    add("--suite", required=True, choices=SUFFIXES, help="layout of the data folder")
    add("--data", required=True, type=Path, help="folder of the files, or its parent")
    add(
        "--protocol",
        default="shuffled",
        choices=PROTOCOLS,
        help="shuffled: random half of the normal rows trains. published: the flawed split of the "
        "published ADBench figures. contaminated: fit on all rows, score them. oddbench comes "
        "split and is 'fixed' in the results (default: shuffled)",
    )
    add("--seeds", type=count, default=1, help="seeds per set; one from 10,000 rows on")
    add(
        "--max-train",
        type=count,
        default=25_000,
        help="training rows beyond this many are left out at random (default: 25000)",
    )
    add(
        "--max-test",
        type=count,
        default=50_000,
        help="tested rows beyond this many are left out at random, the share of anomalies kept; "
        "contaminated uses the smaller limit (default: 50000)",
    )
    add("--sets", type=words, default=[], help="only these, e.g. wine,glass")
    add_run_options(parser, TABLES, "anomdiff,knn1,knn5,iforest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
