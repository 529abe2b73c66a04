"""The suites of series: which series, which methods, and the lines that report them."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.common.comparison import Source
from benchmarks.common.results import summary
from benchmarks.series.generated import generated
from benchmarks.series.reading import find_asd, find_skab, find_tsb

__all__ = ["SUITES", "best_published", "families", "far_below", "kinds", "read_published"]

FLOORS = "linear16", "median"
MOST_BELOW = 0.10
# Columns of the published tables that are no methods.
FACTS = (
    "dataset Time ts_len anomaly_len num_anomaly avg_anomaly_len anomaly_ratio point_anomaly "
    "seq_anomaly"
).split()


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


def read_published(files: Sequence[Path]) -> pd.DataFrame:
    """Published VUS-PR: a row per file, a column per method, NaN where it has no figure.

    The first column of each CSV names the files. There is a column per method; or, if there is a
    column ``VUS-PR``, it is that of the one method in the name: ``tsbad_U_MMPAD_perfile.csv``.
    """
    published = pd.DataFrame()
    for file in files:
        published = published.combine_first(_published(file))
    return published


def best_published(published: pd.DataFrame, files: Sequence[str]) -> tuple[str, float]:
    """Name and mean of the published method that is best on all the files."""
    means = published.reindex(files).dropna(axis=1).mean()
    return ("none", float("nan")) if means.empty else (means.idxmax(), float(means.max()))


def families(figures: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Means per family, and the published method that is best on its files, if any is published."""
    groups = figures.groupby(level="family")
    table = groups.mean()
    table.insert(0, ("", "files"), groups.size())
    if not published.empty:
        best = {
            name: best_published(published, group.index.get_level_values("file"))
            for name, group in groups
        }
        table["published", "best"] = {name: pair[0] for name, pair in best.items()}
        table["published", "VUS-PR"] = {name: pair[1] for name, pair in best.items()}
    return table


def far_below(table: pd.DataFrame, method: str) -> str:
    """The families in which a method's VUS-PR is more than 0.10 below the best published one."""
    gap = table["published", "VUS-PR"] - table["VUS-PR", method]
    far = gap[gap > MOST_BELOW].sort_values(ascending=False)
    return ", ".join(f"{name} {value:.3f}" for name, value in far.items()) or "none"


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


def _published(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, index_col=0).select_dtypes("number")
    table.index = table.index.astype(str).str.removesuffix(".gz").rename("file")
    source = re.sub(r"^tsbad(_[UM])?_|_?perfile.*$", "", file.stem)
    if "VUS-PR" in table:
        return table[["VUS-PR"]].set_axis([source or file.stem], axis=1)
    table = table.drop(columns=FACTS, errors="ignore")
    return table.add_prefix(f"{source} ") if source and source != file.stem else table


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
