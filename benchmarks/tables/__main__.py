"""Compare detectors on suites of labelled tables: `python -m benchmarks.tables --help`.

Protocols: shuffled trains on a random half of the normal rows; published is the flawed split of the
published ADBench figures; contaminated fits on all rows and scores them. oddbench and generated
payments come split and are 'fixed' in the results.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from benchmarks.common.commands import OURS, add_run_options, compare, count, labels, words
from benchmarks.common.comparison import Failures, Source, Split
from benchmarks.tables.methods import SCREENING, TABLES, means_line
from benchmarks.tables.protocols import FIXED, PROTOCOLS, read_split
from benchmarks.tables.reading import SUITES, Dataset, find_sets, plain_name
from benchmarks.tables.regret import per_set, regret_lines

__all__ = ["main", "published_means"]

ONE_SEED_FROM = 2_000  # rows: larger sets vary little from seed to seed and cost the most


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a set failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    failures = Failures()
    comparison = SCREENING if options.protocol == "contaminated" else TABLES
    try:
        sets = find_sets(options.suite, options.data, options.sets)
        _check_protocol(options.protocol, sets)
        figures = compare(comparison, _sources(options, sets, failures), options, failures)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if figures.empty:
        print("no set has results of all methods")
    else:
        _report(figures, options)
    return 1 if failures else 0


def published_means(file: Path, figures: pd.DataFrame) -> str:
    """Means over the same sets of the columns of a table that names them first, largest first."""
    table = pd.read_csv(file, index_col=0).select_dtypes("number")
    table.index = [plain_name(str(name).partition("(")[0]) for name in table.index]
    common = [name for name in figures.index if plain_name(name) in table.index]
    head = f"{file.name}, {len(common)} of {len(figures)} sets"
    if not common:
        return head
    columns = table.loc[[plain_name(name) for name in common]].mean()
    listed = " | ".join(f"{n} {v:.2f}" for n, v in columns.sort_values(ascending=False).items())
    return f"{head}: {listed}\n  here, on the same sets: {means_line(figures.loc[common])}"


def _check_protocol(protocol: str, sets: list[Dataset]) -> None:
    fixed = [each.name for each in sets if each.comes_split]
    if fixed and protocol != "shuffled":
        raise ValueError(f"need no --protocol for {fixed[0]}, which comes split; got {protocol}.")


def _report(figures: pd.DataFrame, options: argparse.Namespace) -> None:
    ours = labels(options).get(OURS, OURS)
    for table in options.published:
        print(published_means(table, figures))
    if options.per_set:
        print(per_set(figures, ours).round(2).to_string())
    print(*regret_lines(figures, ours), means_line(figures), sep="\n")


def _sources(
    options: argparse.Namespace, sets: list[Dataset], failures: Failures
) -> Iterator[tuple[Source, int]]:
    limits = options.max_train, options.max_test
    for dataset in sets:
        protocol = FIXED if dataset.comes_split else options.protocol
        names = {"set": dataset.name, "protocol": protocol}
        for seed in range(_n_seeds(dataset, options.seeds, failures)):
            yield Source(names, partial(read_split, dataset, protocol, *limits, seed)), seed


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
    add("--suite", required=True, choices=SUITES, help="layout of the data folder, or generated")
    add("--data", type=Path, help="folder of the files, or its parent; not for generated")
    add("--protocol", default="shuffled", choices=PROTOCOLS, help="default: shuffled")
    add("--seeds", type=count, default=1, help="seeds per set; one from 2,000 rows on")
    about = "rows beyond this many are left out at random (default: %(default)s)"
    add("--max-train", type=count, default=25_000, help=f"training {about}")
    add("--max-test", type=count, default=50_000, help=f"tested {about}, anomalies in proportion")
    add("--sets", type=words, default=[], help="only these, e.g. wine,glass")
    about = "print the average precision of each method on each set, and the regret"
    add("--per-set", action="store_true", help=about)
    add_run_options(parser, TABLES, "anomdiff,knn1,knn5,iforest")
    return parser


if __name__ == "__main__":
    sys.exit(main())
