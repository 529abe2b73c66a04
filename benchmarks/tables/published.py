"""Means of published tables over the sets that were measured here."""

from pathlib import Path

import pandas as pd

from benchmarks.common.results import summary
from benchmarks.tables.reading import plain_name

__all__ = ["means_line", "published_means"]


def means_line(figures: pd.DataFrame) -> str:
    """One line of means over sets: `anomdiff AUROC x AP y | ... | sets N`."""
    return f"{summary(figures, ['AUROC', 'AP'], 100, 2)} | sets {len(figures)}"


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
