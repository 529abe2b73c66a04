"""Keep results in a CSV file as they come, and average them."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

__all__ = ["ResultsFile", "complete", "summary", "write"]

NAMES = {"set", "method", "protocol", "file", "family"}


class ResultsFile:
    """A CSV file that grows row by row, and that a later run continues.

    The key are those columns that tell one row from another. A file with other columns is refused.
    """

    def __init__(self, path: Path, columns: Sequence[str], key: Sequence[str]):
        self.path, self.columns, self.key = path, list(columns), list(key)
        if path.exists() and path.stat().st_size:
            _drop_half_line(path)
            if list(pd.read_csv(path, nrows=0).columns) != self.columns:
                raise ValueError(f"need the columns {','.join(columns)}; {path} has others.")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(",".join(columns) + "\n")

    def read(self) -> pd.DataFrame:
        """All rows so far; the names stay text even if they look like numbers."""
        names = {name: str for name in self.columns if name in NAMES}
        missing = {"peak_memory_mb": ["nan"]}
        return pd.read_csv(self.path, dtype=names, keep_default_na=False, na_values=missing)

    def keys(self) -> set[tuple]:
        """Keys of all rows so far."""
        return set(self.read()[self.key].itertuples(index=False, name=None))

    def append(self, row: dict[str, Any]) -> None:
        """Write a row at once."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)


def complete(
    results: pd.DataFrame, measures: Mapping[str, str], methods: Sequence[str]
) -> pd.DataFrame:
    """Mean measures, over seeds, of the sets on which every method has a result.

    The measures are given by name with their columns. A row per set, or (file, family) of series;
    columns (measure, method).
    """
    index = [name for name in ("set", "file", "family") if name in results]
    named = results.rename(columns={column: name for name, column in measures.items()})
    table = named.pivot_table([*measures], index, "method")
    return table.reindex(columns=pd.MultiIndex.from_product([measures, methods])).dropna()


def summary(figures: pd.DataFrame, measures: Sequence[str], factor: int, digits: int) -> str:
    """Means over sets in one line, times a factor: `anomdiff VUS-PR x | iforest VUS-PR y`."""
    means = figures.mean() * factor
    return " | ".join(
        f"{method} " + " ".join(f"{name} {means[name, method]:.{digits}f}" for name in measures)
        for method in figures.columns.get_level_values(1).unique()
    )


def write(figures: pd.DataFrame, path: Path | None) -> None:
    """Write figures to a CSV file, if there is a path, and make its folder."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        figures.to_csv(path, index=False)


def _drop_half_line(path: Path) -> None:
    """Drop what a run that was killed in the middle of writing left behind."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])
