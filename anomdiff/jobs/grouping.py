"""Whole series of a long table, a bounded number of rows at a time, however they are mixed.

A step is judged by the steps around it, so that no batch may cut a series. Where the file has its
series one after the other, batches are cut between them; where they are interleaved, the rows are
first sorted into files, one for each group of series.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from anomdiff.jobs.readers import Name
from anomdiff.jobs.writers import as_arrow

ROW, GROUP = ".row", ".group"  # columns of the sorted files, beside those of the table
MOST_FILES = 256  # open at a time: an operating system allows about a thousand
ROWS_AT_ONCE = 1024  # written to a group's file together: single rows would cost much space


@dataclass(frozen=True)
class Grouping:
    """Which rows of a table belong together.

    Parameters
    ----------
    codes : int ndarray of shape (row,)
        Series of each row, numbered in the order in which they begin.
    groups : int ndarray of shape (series,)
        Group of each series, ascending.
    """

    codes: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(cls, labels: Iterable[pd.Series], most: int) -> "Grouping":
        """Group series until they have ``most`` rows; a longer series is a group by itself.

        Parameters
        ----------
        labels : iterable of Series
            Series of the rows, in batches, with the number of the row as index.
        most : int
            Rows of a group.

        Raises
        ------
        ValueError
            If a row has no series.
        """
        known: dict = {}
        codes = np.concatenate([_codes(cells, known) for cells in labels])
        groups, group, filled = np.zeros(len(known), dtype=np.int32), 0, 0
        for series, n_rows in enumerate(np.bincount(codes).tolist()):
            if filled and filled + n_rows > most:
                group, filled = group + 1, 0
            groups[series], filled = group, filled + n_rows
        return cls(codes, groups)

    def at_most(self, n_groups: int) -> "Grouping":
        """Join neighbouring groups where there are more."""
        found = int(self.groups[-1]) + 1
        if found <= n_groups:
            return self
        return replace(self, groups=self.groups.astype(np.int64) * n_groups // found)

    @property
    def is_in_order(self) -> bool:
        """Whether the rows of each group are neighbours."""
        return bool((np.diff(self.groups[self.codes]) >= 0).all())

    def of_rows(self, frame: pd.DataFrame) -> np.ndarray:
        """Group of each row of a part of the table."""
        return self.groups[self.codes[frame.index]]

    def sort(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Put the rows of a group series by series, and those of a series in their order."""
        return frame.iloc[np.lexsort((frame.index, self.codes[frame.index]))]


def whole_series(
    frames: Iterator[pd.DataFrame],
    grouping: Grouping,
    columns: dict[Name, pa.DataType],
    folder: Path,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of one group after the other, series by series.

    Parameters
    ----------
    frames : iterator of DataFrame
        Table in batches, with the number of the row as index.
    grouping : Grouping
        Which rows belong together.
    columns : dict of column name to pyarrow.DataType
        Columns of the frames, and types that hold them in sorted files.
    folder : Path
        Where sorted files may lie for a while, if need be. There are at most ``MOST_FILES`` of
        them, so that of a very long table a group has a 256th.
    """
    if grouping.is_in_order:
        parts = _cut(frames, grouping)
    else:
        grouping = grouping.at_most(MOST_FILES)
        parts = _sorted_into_files(frames, grouping, columns, folder)
    for part in parts:
        yield grouping.sort(part)


def _cut(frames: Iterator[pd.DataFrame], grouping: Grouping) -> Iterator[pd.DataFrame]:
    """Cut batches between groups, and put together what belongs to one."""
    parts: list[pd.DataFrame] = []
    current = 0
    for frame in frames:
        groups = grouping.of_rows(frame)
        for group in np.unique(groups):
            if group != current:
                yield pd.concat(parts)
                parts, current = [], group
            parts.append(frame[groups == group])
    yield pd.concat(parts)


def _sorted_into_files(frames, grouping, columns, folder) -> Iterator[pd.DataFrame]:
    """Write each row to the file of its group, then read one group after the other."""
    fields = [(str(name), kind) for name, kind in columns.items()]
    schema = pa.schema([(ROW, pa.int64()), *fields, (GROUP, pa.int64())])
    with TemporaryDirectory(prefix=".series-", dir=folder) as name:
        ds.write_dataset(
            (_marked(frame, grouping, schema) for frame in frames),
            name,
            schema=schema,
            format="feather",
            partitioning=[GROUP],
            max_partitions=MOST_FILES,
            max_open_files=MOST_FILES + 1,
            min_rows_per_group=ROWS_AT_ONCE,
        )
        for group in range(int(grouping.groups[-1]) + 1):
            table = ds.dataset(Path(name) / str(group), format="feather").to_table()
            frame = table.to_pandas(date_as_object=False).set_index(ROW).rename_axis(None)
            yield frame.set_axis(list(columns), axis=1)


def _marked(frame: pd.DataFrame, grouping: Grouping, schema: pa.Schema) -> pa.RecordBatch:
    """Rows with their number and their group, in the types of the files."""
    rows = frame.rename(columns=str).assign(**{ROW: frame.index, GROUP: grouping.of_rows(frame)})
    arrays = [as_arrow(rows[field.name], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _codes(cells: pd.Series, known: dict) -> np.ndarray:
    """Number of each row's series; new ones are added to ``known``."""
    codes, labels = pd.factorize(cells)
    if (codes < 0).any():
        row = cells.index[(codes < 0).argmax()]
        raise ValueError(f"need a series in column {cells.name!r}; row {row} has none.")
    numbers = [known.setdefault(label, len(known)) for label in labels.tolist()]
    return np.array(numbers, dtype=np.int32)[codes]
