"""Compare detectors on suites of labelled tables: `python -m benchmarks.tabular --help`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from benchmarks.methods import METHODS
from benchmarks.protocols import PROTOCOLS
from benchmarks.results import ResultsFile, published_means, set_means, summary
from benchmarks.runs import Task, measure_all
from benchmarks.suites import SUFFIXES, Dataset, Split, find_sets

ONE_SEED_FROM = 10_000  # rows: larger sets vary little from seed to seed and cost the most


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if a set failed."""
    parser = _parser()
    options = parser.parse_args(argv)
    if options.suite == "oddbench" and options.protocol != "shuffled":
        parser.error(f"need no --protocol for oddbench, which comes split; got {options.protocol}")
    try:
        sets = find_sets(options.suite, options.data, options.sets)
        file = ResultsFile(options.out)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    failures = _Failures()
    tasks = _tasks(options, sets, failures)
    done = file.keys()
    todo = [task for task in tasks if task.key not in done]
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), unit="run") as bar:
        for task, result in measure_all(todo, options.processes):
            if isinstance(result, Exception):
                failures.report(task.dataset.name, task.label, result)
            else:
                file.append(result)
            bar.set_postfix_str(f"{task.dataset.name} {task.label}", refresh=False)
            bar.update()
    _print_means(file, tasks, options)
    return 1 if failures.lines else 0


class _Failures:
    """Reports each failure of a set once, however many seeds it fails for."""

    def __init__(self):
        self.lines = set()

    def report(self, name: str, method: str, error: Exception) -> None:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        line = f"failed: {name}, {method}: {reason[0]}"
        if line not in self.lines:
            self.lines.add(line)
            tqdm.write(line, file=sys.stderr)


def _tasks(options: argparse.Namespace, sets: list[Dataset], failures: _Failures) -> list[Task]:
    return [
        Task(
            dataset,
            seed,
            method,
            _protocol(options),
            options.max_train,
            options.max_test,
            label,
            options.params if method == "anomdiff" else {},
        )
        for dataset in sets
        for seed in range(_n_seeds(dataset, options.seeds, failures))
        for method, label in _labels(options).items()
    ]


def _protocol(options: argparse.Namespace) -> str:
    return "fixed" if options.suite == "oddbench" else options.protocol


def _labels(options: argparse.Namespace) -> dict[str, str]:
    """Name of each method in the results; other parameters never pass for the default."""
    changed = ",".join(f"{name}={value}" for name, value in options.params.items())
    ours = options.label or (f"anomdiff[{changed}]" if changed else "anomdiff")
    return {method: ours if method == "anomdiff" else method for method in options.methods}


def _n_seeds(dataset: Dataset, most: int, failures: _Failures) -> int:
    """Seeds for a set, none if it cannot be read."""
    try:
        data = dataset.read()
    except Exception as error:
        failures.report(dataset.name, "reading", RuntimeError(f"{type(error).__name__}: {error}"))
        return 0
    n_rows = len(data.train) + len(data.test) if isinstance(data, Split) else len(data.rows)
    return most if n_rows < ONE_SEED_FROM else min(most, 1)


def _print_means(file: ResultsFile, tasks: list[Task], options: argparse.Namespace) -> None:
    keys = {task.key for task in tasks}
    means = set_means(file.read(), keys, list(_labels(options).values()))
    if means.empty:
        print("no set has results of all methods")
        return
    for table in options.published:
        print(published_means(table, means))
    print(summary(means))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tabular", description=__doc__)
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
        "--methods",
        type=_methods,
        default=["anomdiff", "knn1", "knn5", "iforest"],
        help=f"comma-separated, of {', '.join(METHODS)}",
    )
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
    add(
        "--processes",
        type=count,
        default=os.cpu_count(),
        help="of one thread each (default: CPUs)",
    )
    add("--sets", type=lambda text: text.split(","), default=[], help="only these, e.g. wine,glass")
    add(
        "--out",
        required=True,
        type=Path,
        help="results, a CSV; rows already there (same set, seed, method and protocol, whatever "
        "the limits were) are not run again",
    )
    add(
        "--published",
        nargs="+",
        type=Path,
        default=[],
        metavar="CSV",
        help="print the means of these tables on the same sets",
    )
    add("--params", type=json.loads, default={}, help=argparse.SUPPRESS)
    add("--label", help=argparse.SUPPRESS)
    return parser


def _methods(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in METHODS]:
        raise argparse.ArgumentTypeError(f"need methods of {', '.join(METHODS)}; got {unknown}")
    return names


def count(text: str) -> int:
    """Read a whole number of at least 1 from the command line."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"need a whole number of at least 1; got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
