"""Keep results of series in a CSV file as they come, and put published ones beside their means."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.results import ResultsFile

COLUMNS = (
    "file family n n_channels method vus_pr vus_roc auc_pr auc_roc fit_seconds score_seconds "
    "peak_memory_mb"
).split()
KEY = ["file", "method"]
MEASURES = {"VUS-PR": "vus_pr", "AUC-PR": "auc_pr"}
MOST_BELOW = 0.10
# Columns of the published tables that are no methods.
FACTS = (
    "dataset Time ts_len anomaly_len num_anomaly avg_anomaly_len anomaly_ratio point_anomaly "
    "seq_anomaly"
).split()


def series_file(path: Path) -> ResultsFile:
    """Results of series, kept in a CSV file."""
    return ResultsFile(path, COLUMNS, KEY)


def complete(results: pd.DataFrame, keys: set[tuple], methods: Sequence[str]) -> pd.DataFrame:
    """The measures of the files on which every method has a result.

    Parameters
    ----------
    results : DataFrame
        Rows of a results file.
    keys : set of tuple
        File and method of the rows that count.
    methods : sequence of str
        All of these.

    Returns
    -------
    figures : DataFrame
        Index (file, family); columns (VUS-PR or AUC-PR, method).
    """
    counted = [key in keys for key in results[KEY].itertuples(index=False, name=None)]
    named = results[np.array(counted, dtype=bool)].rename(
        columns={column: name for name, column in MEASURES.items()}
    )
    table = named.pivot_table([*MEASURES], ["file", "family"], "method")
    return table.reindex(columns=pd.MultiIndex.from_product([MEASURES, methods])).dropna()


def read_published(files: Sequence[Path]) -> pd.DataFrame:
    """Published VUS-PR per file.

    Parameters
    ----------
    files : sequence of Path
        CSVs whose first column names the files, with a column per method; or, if there is a
        column ``VUS-PR``, of the one method that the name of the CSV names:
        ``tsbad_U_MMPAD_perfile.csv``.

    Returns
    -------
    published : DataFrame
        Index file; a column per method, NaN where it has no figure.
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
    """Means per family, beside the published method that is best on the same files.

    Parameters
    ----------
    figures : DataFrame
        From `complete`.
    published : DataFrame
        From `read_published`; may be empty.

    Returns
    -------
    table : DataFrame
        Index family; columns (measure, method), and if there are published figures
        (published, name), (published, VUS-PR).
    """
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


def summary(figures: pd.DataFrame, measures: Sequence[str] = ("VUS-PR",)) -> str:
    """Means over files in one line: `anomdiff VUS-PR x | iforest VUS-PR y`."""
    means = figures.mean()
    methods = figures.columns.get_level_values(1).unique()
    return " | ".join(
        f"{method} " + " ".join(f"{name} {means[name, method]:.3f}" for name in measures)
        for method in methods
    )


def _published(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, index_col=0).select_dtypes("number")
    table.index = table.index.astype(str).str.removesuffix(".gz").rename("file")
    source = re.sub(r"^tsbad(_[UM])?_|_?perfile.*$", "", file.stem)
    if "VUS-PR" in table:
        return table[["VUS-PR"]].set_axis([source or file.stem], axis=1)
    table = table.drop(columns=FACTS, errors="ignore")
    return table.add_prefix(f"{source} ") if source and source != file.stem else table
