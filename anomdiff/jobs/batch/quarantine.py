"""Rows that cannot be read: written to a file with the reason, and left out of the scores."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.encoding.parsing import shown
from anomdiff.jobs.model_columns import PanelColumns, TableColumns
from anomdiff.jobs.readers import Name
from anomdiff.jobs.row_files import RowWriter

__all__ = ["Quarantine"]

# Rows between the reason and the cells of a row.
FIRST = {"row": pa.int64(), "reason": pa.string()}
UNPLACED = "need a series and a time that can be read; got none"


class Quarantine:
    """Writes rows that cannot be read, and lets the others pass.

    A row that has a cell which is neither missing nor of its column's kind is none that can be
    read. Of series, a step with such a cell stays as one without any value, so that its series
    keeps its steps; `left_out` names these, which are not to be written as scored. Rows without a
    series, or a time, are taken out.

    Parameters
    ----------
    path : path
        File to write.
    suffix : {".csv", ".jsonl", ".parquet"}
        What kind of file it is.
    columns : TableColumns or PanelColumns
        What can be read.
    names : list
        Columns of the table to write beside the reason, as text.
    """

    def __init__(
        self, path: Path, suffix: str, columns: TableColumns | PanelColumns, names: list[Name]
    ):
        self.columns, self.names, self.rows = columns, names, 0
        texts = {str(name): pa.string() for name in names if str(name) not in FIRST}
        self._writer = RowWriter(path, pa.schema(FIRST | texts), suffix)
        self._blank: list[np.ndarray] = []

    def __enter__(self) -> "Quarantine":
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.__exit__(*error)

    def passed(self, frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Yield the rows that can be read, batch by batch; the index is the number of the row.

        Raises
        ------
        ValueError
            If there is none.
        """
        some, read = False, 0
        for frame in frames:
            read += len(frame)
            passed = self._take(frame)
            some |= len(passed) > 0
            if len(passed):
                yield passed
        if not some:
            raise ValueError(
                f"need at least one row that can be read; none of {read} can: look at them by "
                "scoring without `quarantine`, which names the first."
            )

    def left_out(self, frame: pd.DataFrame) -> np.ndarray:
        """Whether rows are in the quarantine although they have passed, as steps of a series."""
        if not self._blank:
            return np.zeros(len(frame), dtype=bool)
        return frame.index.isin(np.concatenate(self._blank))

    def _take(self, frame: pd.DataFrame) -> pd.DataFrame:
        unreadable, unplaced = self.columns.unreadable(frame), self.columns.unplaced(frame)
        broken = unreadable.any(axis=1)
        taken = broken | unplaced
        if not taken.any():
            return frame
        reasons = [
            UNPLACED if unplaced[row] else _reason(frame.loc[row], unreadable.loc[row])
            for row in frame.index[taken]
        ]
        rows = frame.loc[taken, self.names].rename(columns=str)
        self._writer.write(rows.assign(row=rows.index, reason=reasons))
        self.rows += len(rows)
        if self.columns.unit == "row":
            return frame[~taken]
        blank = broken & ~unplaced
        self._blank.append(frame.index[blank].to_numpy())
        passed = frame[~unplaced].copy(deep=False)
        for name in unreadable:
            passed[name] = passed[name].mask(blank[~unplaced])
        return passed


def _reason(row: pd.Series, unreadable: pd.Series) -> str:
    """Say which cells cannot be read."""
    cells = [f"{shown(row[name])} in column {name!r}" for name in unreadable.index[unreadable]]
    return f"cannot be read: {', '.join(cells)}"
