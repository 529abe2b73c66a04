"""How well the steps that are flagged mark the anomalies of labelled series.

Each file is fitted on its training prefix; what is judged are the steps after it. Our detector
flags at its own threshold. Every rival gets the threshold at which it flags as many normal steps of
the file as our detector does, the nearest number where scores are tied; where our detector flags
no step at all, nobody does, and all figures are 0: `python -m benchmarks.series.events`.
"""

import argparse
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from anomdiff.metrics.flags import affiliation, range_based
from anomdiff.metrics.ranges import event_rates, runs
from benchmarks.common.commands import OURS, add_params, add_processes, count
from benchmarks.common.comparison import Failures, Source, Split
from benchmarks.common.methods import Params
from benchmarks.common.processes import measure_all
from benchmarks.common.results import write
from benchmarks.series.methods import METHODS, timeseries, window_of
from benchmarks.series.reading import find_asd, find_skab, find_tsb, spread

__all__ = ["SUITES", "flag_as_many", "judge", "main", "measure", "summary"]

RIVALS = "iforest", "knn", "matrixprofile"
# Where a suite lies in the folder of the data, and how its files are listed.
SUITES: Mapping[str, tuple[str, Callable[[Path], list[Source]]]] = {
    "tsb-m": ("TSB-AD-M", find_tsb),
    "tsb-u": ("TSB-AD-U", find_tsb),
    "skab": ("series/SKAB", find_skab),
    "asd": ("series", find_asd),
}
FIGURES = ["affiliation_f1", "range_f1", "normal_flagged"]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print the figures; the last line has their means; 1 if a file failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.series.events", description=__doc__)
    add = parser.add_argument
    add(
        "--data", type=Path, required=True, help="folder that holds TSB-AD-M, series/SKAB and so on"
    )
    add("--suite", default="tsb-m", choices=SUITES, help="default: tsb-m")
    add("--max-files", type=count, help="only this many, spread evenly over the names")
    add("--seed", type=int, default=0, help="of the methods")
    add("--out", type=Path, help="a CSV, written anew after each file")
    add_processes(parser)
    add_params(parser)
    options = parser.parse_args(argv)
    folder, find = SUITES[options.suite]
    try:
        sources = spread(find(options.data / folder), options.max_files)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    failures = Failures()
    tasks = [(source, options.seed, options.params) for source in sources]
    figures = measure(tasks, options.processes, options.out, failures)
    if figures.empty:
        print("no file has figures")
        return 1
    print(figures.pivot_table(FIGURES, "family", "method").round(3).to_string())
    print(summary(options.suite, figures))
    return 1 if failures else 0


def measure(
    tasks: Sequence[tuple[Source, int, Params]],
    processes: int,
    out: Path | None,
    failures: Failures,
) -> pd.DataFrame:
    """Figures of each method on each file, a row for each; files that fail are told and left out.

    Given are the files, each with the seed and the parameters of our detector.
    """
    figures: list[dict[str, Any]] = []
    for task, result in tqdm(measure_all(_figures, tasks, processes), total=len(tasks)):
        if isinstance(result, Exception):
            failures.report(task[0].name, OURS, result)
        else:
            figures += result
            write(pd.DataFrame(figures), out)
    return pd.DataFrame(figures)


def summary(suite: str, figures: pd.DataFrame) -> str:
    """Means over the files in one line, by method, ours first."""
    means = figures.groupby("method", sort=False)[FIGURES].mean()
    parts = [
        f"{method} affiliation F1 {row.affiliation_f1:.3f} range F1 {row.range_f1:.3f} "
        f"normal steps flagged {row.normal_flagged:.4f}"
        for method, row in means.iterrows()
    ]
    silent = int((figures.loc[figures["method"] == OURS, "n_runs"] == 0).sum())
    ends = [f"nothing flagged in {silent}", f"files {figures['file'].nunique()}"]
    return " | ".join([f"events {suite}", *parts, *ends])


def judge(anomalous: np.ndarray, flagged: np.ndarray) -> dict[str, float]:
    """Measures of the flags, share of the normal steps and of the events, and number of runs."""
    near, ranges = affiliation(anomalous, flagged), range_based(anomalous, flagged)
    return {
        "affiliation_precision": near.precision,
        "affiliation_recall": near.recall,
        "affiliation_f1": near.f1,
        "range_precision": ranges.precision,
        "range_recall": ranges.recall,
        "range_f1": ranges.f1,
        "normal_flagged": float(flagged[~anomalous].mean()) if not anomalous.all() else 0.0,
        "events_found": event_rates(anomalous, flagged)[1],
        "n_runs": len(runs(flagged)[0]),
    }


def flag_as_many(scores: np.ndarray, anomalous: np.ndarray, ours: np.ndarray) -> np.ndarray:
    """Flags by a threshold that raises as many false alarms as ours, or the nearest number."""
    if not ours.any():
        return np.zeros_like(ours)
    n_false, normal = int((ours & ~anomalous).sum()), np.sort(scores[~anomalous])
    if n_false == 0:
        return scores > max(normal, default=-np.inf)
    cut = normal[-n_false]
    too_many, too_few = (normal >= cut).sum() - n_false, n_false - (normal > cut).sum()
    return scores >= cut if too_many <= too_few else scores > cut


def _figures(task: tuple[Source, int, Params]) -> list[dict[str, Any]]:
    source, seed, params = task
    split = source.read()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flags = _flags(split, seed, params)
    later = slice(_n_seen(split), None)
    events = len(runs(split.anomalous[later])[0])
    return [
        {**source.names, "method": method, "n": len(flagged), "n_events": events}
        | judge(split.anomalous[later], flagged)
        for method, flagged in flags.items()
    ]


def _flags(split: Split, seed: int, params: Params) -> dict[str, np.ndarray]:
    """Flags of every method for the steps after those that it was fitted on, ours first."""
    later = slice(_n_seen(split), None)
    scored = timeseries(seed, params).fit(split.train).score_frame(split.test)
    ours = scored["is_anomaly"].to_numpy(dtype=bool)[later]
    flags = {OURS: ours}
    for method in RIVALS:
        scores = METHODS[method](split.train, seed, **window_of(split))(split.test)[later]
        flags[method] = flag_as_many(scores, split.anomalous[later], ours)
    return flags


def _n_seen(split: Split) -> int:
    """Number of steps at the beginning of what is scored that were fitted on."""
    n_train = len(split.train)
    return n_train if np.array_equal(split.train, split.test[:n_train]) else 0


if __name__ == "__main__":
    sys.exit(main())
