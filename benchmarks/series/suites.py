"""The suites of series: which series, which methods, and the lines that report them."""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.common.comparison import Source
from benchmarks.common.results import summary
from benchmarks.series.generated import generated
from benchmarks.series.published import best_published, families, far_below, read_published
from benchmarks.series.reading import find_asd, find_skab, find_tsb

__all__ = ["SUITES", "Suite", "kinds", "report_tsb"]

FLOORS = "linear16", "median"


class Suite(NamedTuple):
    """A suite: its default methods, its series by the options, and what is printed in the end.

    The report gets the figures, as from `complete`, the options, and the labels of our methods.
    """

    methods: str
    find: Callable[[argparse.Namespace], Sequence[Source]]
    report: Callable[[pd.DataFrame, argparse.Namespace, Sequence[str]], None]


def report_tsb(figures: pd.DataFrame, options: argparse.Namespace, ours: Sequence[str]) -> None:
    """Print the families and, as the last line, the means over the files.

    If there are published figures, only their files count, and ours are held against the best
    published method in each family.
    """
    published = read_published(options.published)
    beside = not published.empty
    if beside:
        figures = figures[figures.index.get_level_values("file").isin(published.index)]
    if figures.empty:
        print("no file has results of all methods" + " and published ones" * beside)
        return
    table = families(figures, published)
    print(table.round(3).to_string())
    best = ""
    if beside:
        for method in ours:
            print(f"families where {method} is more than 0.10 below: {far_below(table, method)}")
        name, value = best_published(published, figures.index.get_level_values("file"))
        best = f" | best published {name} {value:.3f} (same files)"
    print(f"{summary(figures, ['VUS-PR'], 1, 3)}{best} | files {len(figures)}")


def kinds(figures: pd.DataFrame) -> str:
    """Means per kind of generated anomaly, in one line; the floor is the better simple method."""
    parts = []
    kind = figures.index.get_level_values("family").str.split().str[0]
    for name, mean in figures.groupby(kind).mean().iterrows():
        table = mean.unstack(level=0)[["VUS-PR", "AUC-PR"]]  # a row per method
        simple = table.index.isin(FLOORS)
        words = [
            f"{method} VUS-PR {row['VUS-PR']:.3f} AUC-PR {row['AUC-PR']:.3f}"
            for method, row in table[~simple].iterrows()
        ]
        floor = [f"{n} {c.max():.3f} ({c.idxmax()})" for n, c in table[simple].items() if len(c)]
        parts.append(f"{name}: {', '.join([*words, ' '.join(['floor', *floor])])}")
    return " | ".join(parts)


def _report(by: str, line: Callable[[pd.DataFrame], str]) -> Callable[..., None]:
    """Print the means by file or family, and a line."""

    def report(figures: pd.DataFrame, *_: object) -> None:
        if figures.empty:
            print("no series has results of all methods")
        else:
            print(figures.groupby(level=by).mean().round(3).to_string())
            print(line(figures))

    return report


def _means(figures: pd.DataFrame) -> str:
    return summary(figures, ["VUS-PR", "AUC-PR"], 1, 3)


SUITES = {
    "tsb": Suite(
        "anomdiff,anomdiff-transductive,matrixprofile,iforest",
        lambda options: find_tsb(options.data, options.files, options.max_files),
        report_tsb,
    ),
    "skab": Suite(
        "anomdiff,iforest,knn",
        lambda options: find_skab(options.data, options.skab_train),
        _report("family", lambda figures: f"skab: {_means(figures)} | runs {len(figures)}"),
    ),
    "asd": Suite(
        "anomdiff,iforest,knn",
        lambda options: find_asd(options.data),
        _report("file", lambda figures: f"asd: {_means(figures)} | servers {len(figures)}"),
    ),
    "generated": Suite(
        "anomdiff,linear16,median",
        lambda options: generated(options.seeds),
        _report("family", lambda figures: f"{kinds(figures)} | series {len(figures)}"),
    ),
}
