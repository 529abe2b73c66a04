"""Rows that cannot be read: written to a file with the reason, and left out of the scores.

These are rows with a cell that is none of its column, and lines that have not the fields of a row.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.encoding.parsing import shown
from anomdiff.jobs.model_columns import PanelColumns, TableColumns
from anomdiff.jobs.readers import BrokenLine, Name
from anomdiff.jobs.row_files import RowWriter

__all__ = ["Quarantine"]

# Columns before the cells of a row; a line that cannot be parted into cells is there as it is.
FIRST = {"row": pa.int64(), "reason": pa.string(), "raw_line": pa.string()}
MAX_HELD = 10_000  # broken lines that wait for the rows beside them
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
        self.n_lines = 0
        self._lines: list[BrokenLine] = []
        texts = {str(name): pa.string() for name in names if str(name) not in FIRST}
        self._schema = pa.schema(FIRST | texts)
        self._writer = RowWriter(path, self._schema, suffix)
        self._blank: list[np.ndarray] = []

    def __enter__(self) -> "Quarantine":
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.__exit__(*error)

    def take_line(self, line: BrokenLine) -> None:
        """Take a line that has not the fields of a row."""
        self._lines.append(line)
        if len(self._lines) >= MAX_HELD:
            self._write([], self._lines[-1].row)

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
        if self._lines:
            self._write([], self._lines[-1].row)
        if not some:
            read += self.n_lines
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
            self._write([], frame.index[-1])
            return frame
        reasons = [
            UNPLACED if unplaced[row] else _reason(frame.loc[row], unreadable.loc[row])
            for row in frame.index[taken]
        ]
        rows = frame.loc[taken, self.names].rename(columns=str)
        self._write([rows.assign(row=rows.index, reason=reasons)], frame.index[-1])
        if self.columns.unit == "row":
            return frame[~taken]
        blank = broken & ~unplaced
        self._blank.append(frame.index[blank].to_numpy())
        passed = frame[~unplaced].copy(deep=False)
        for name in unreadable:
            passed[name] = passed[name].mask(blank[~unplaced])
        return passed

    def _write(self, rows: list[pd.DataFrame], last: int) -> None:
        """Write rows, and the broken lines up to a row, in the order of their numbers."""
        lines = [line for line in self._lines if line.row <= last]
        if lines:
            self._lines = self._lines[len(lines) :]
            self.n_lines += len(lines)
            rows = [*rows, pd.DataFrame(lines).rename(columns={"text": "raw_line"})]
        if rows:
            cells = [each.reindex(columns=self._schema.names).astype(object) for each in rows]
            written = pd.concat(cells).sort_values("row")
            self._writer.write(written)
            self.rows += len(written)


def _reason(row: pd.Series, unreadable: pd.Series) -> str:
    """Say which cells cannot be read."""
    cells = [f"{shown(row[name])} in column {name!r}" for name in unreadable.index[unreadable]]
    return f"cannot be read: {', '.join(cells)}"
