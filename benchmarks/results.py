"""Keep results in a CSV file as they come, and put their means beside published ones."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.suites import plain_name

COLUMNS = (
    "set seed method protocol n_train n_test n_columns auroc ap fit_seconds score_seconds "
    "peak_memory_mb"
).split()
KEY = COLUMNS[:4]
NAMES = {"set", "method", "protocol", "file", "family"}


class ResultsFile:
    """A CSV file that grows row by row, and that a later run continues.

    Parameters
    ----------
    path : Path
        Created if it is not there.
    columns : sequence of str
        Its columns.
    key : sequence of str
        Those that tell one row from another.

    Raises
    ------
    ValueError
        If the file has other columns.
    """

    def __init__(self, path: Path, columns: Sequence[str] = COLUMNS, key: Sequence[str] = KEY):
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


def set_means(results: pd.DataFrame, keys: set[tuple], methods: Sequence[str]) -> pd.DataFrame:
    """Mean over seeds, in percent, of the sets on which every method has a result.

    Parameters
    ----------
    results : DataFrame
        Rows of a results file.
    keys : set of tuple
        Set, seed, method and protocol of the rows that count.
    methods : sequence of str
        All of these.

    Returns
    -------
    means : DataFrame
        Index set; columns (metric, method).
    """
    counted = [key in keys for key in results[KEY].itertuples(index=False, name=None)]
    means = results[np.array(counted, dtype=bool)].pivot_table(["auroc", "ap"], "set", "method")
    wanted = pd.MultiIndex.from_product([["auroc", "ap"], methods])
    return 100 * means.reindex(columns=wanted).dropna()


def summary(means: pd.DataFrame) -> str:
    """One line of means over sets: `anomdiff AUROC x AP y | ... | sets N`."""
    methods = means.columns.get_level_values(1).unique()
    mean = means.mean()
    parts = [f"{m} AUROC {mean['auroc', m]:.2f} AP {mean['ap', m]:.2f}" for m in methods]
    return " | ".join([*parts, f"sets {len(means)}"])


def published_means(file: Path, means: pd.DataFrame) -> str:
    """Means of the columns of a published table over the same sets, the largest first.

    Parameters
    ----------
    file : Path
        CSV whose first column names the sets.
    means : DataFrame
        From `set_means`.
    """
    table = pd.read_csv(file, index_col=0).select_dtypes("number")
    table.index = [plain_name(str(name).partition("(")[0]) for name in table.index]
    common = [name for name in means.index if plain_name(name) in table.index]
    head = f"{file.name}, {len(common)} of {len(means)} sets"
    if not common:
        return head
    columns = table.loc[[plain_name(name) for name in common]].mean()
    listed = " | ".join(f"{n} {v:.2f}" for n, v in columns.sort_values(ascending=False).items())
    return f"{head}: {listed}\n  here, on the same sets: {summary(means.loc[common])}"


def _drop_half_line(path: Path) -> None:
    """Drop what a run that was killed in the middle of writing left behind."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        path.write_bytes(content[: content.rfind(b"\n") + 1])
