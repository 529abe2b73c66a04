"""Published figures of series, beside the means of what was measured here."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

__all__ = ["best_published", "families", "far_below", "read_published"]

MOST_BELOW = 0.10
# Columns of the published tables that are no methods.
FACTS = (
    "dataset Time ts_len anomaly_len num_anomaly avg_anomaly_len anomaly_ratio point_anomaly "
    "seq_anomaly"
).split()


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


def _published(file: Path) -> pd.DataFrame:
    table = pd.read_csv(file, index_col=0).select_dtypes("number")
    table.index = table.index.astype(str).str.removesuffix(".gz").rename("file")
    source = re.sub(r"^tsbad(_[UM])?_|_?perfile.*$", "", file.stem)
    if "VUS-PR" in table:
        return table[["VUS-PR"]].set_axis([source or file.stem], axis=1)
    table = table.drop(columns=FACTS, errors="ignore")
    return table.add_prefix(f"{source} ") if source and source != file.stem else table
