"""Whole series of a long table, about a batch of rows at a time, in whatever order the rows are.

The score of a step depends on the steps around it, so that no batch may cut a series. Where the
file has its series one after the other, batches are cut between them; where they are interleaved,
the rows are first sorted into files, one for each group of series.
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

__all__ = ["SeriesGroups", "whole_series"]

ROW, GROUP = ".row", ".group"  # columns of the sorted files, beside those of the table
MAX_FILES = 256  # open at a time: an operating system allows about a thousand
MIN_ROWS_WRITTEN = 1024  # written to a group's file together: single rows would cost much space


@dataclass(frozen=True)
class SeriesGroups:
    """Groups of whole series, each of about a batch of rows: group numbers ascend.

    Series are numbered in the order in which they begin.
    """

    series_of_row: np.ndarray
    group_of_series: np.ndarray

    @classmethod
    def of(cls, labels: Iterable[pd.Series], max_rows: int) -> "SeriesGroups":
        """Group series until they have ``max_rows`` rows; a longer series is a group by itself.

        Labels come in batches, with the number of the row as index.
        """
        numbers: dict = {}
        codes = np.concatenate([_codes(cells, numbers) for cells in labels])
        groups, group, filled = np.zeros(len(numbers), dtype=np.int32), 0, 0
        for series, n_rows in enumerate(np.bincount(codes).tolist()):
            if filled and filled + n_rows > max_rows:
                group, filled = group + 1, 0
            groups[series], filled = group, filled + n_rows
        return cls(codes, groups)

    def joined(self, n_groups: int) -> "SeriesGroups":
        """Join neighbouring groups where there are more than ``n_groups``."""
        if self.n_groups <= n_groups:
            return self
        joined = self.group_of_series.astype(np.int64) * n_groups // self.n_groups
        return replace(self, group_of_series=joined)

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return int(self.group_of_series[-1]) + 1

    @property
    def is_in_order(self) -> bool:
        """Whether the rows of each group are neighbours."""
        return bool((np.diff(self.group_of_series[self.series_of_row]) >= 0).all())

    def of_rows(self, frame: pd.DataFrame) -> np.ndarray:
        """Group of each row of a part of the table."""
        return self.group_of_series[self.series_of_row[frame.index]]

    def sort(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Put the rows of a group series by series, and those of a series in their order."""
        return frame.iloc[np.lexsort((frame.index, self.series_of_row[frame.index]))]


def whole_series(
    frames: Iterator[pd.DataFrame],
    groups: SeriesGroups,
    columns: dict[Name, pa.DataType],
    folder: Path,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of one group after the other, series by series.

    The index of ``frames`` is the number of the row. Sorted files, if they are needed, lie in
    ``folder`` meanwhile, with the types of ``columns``. There are at most ``MAX_FILES``, so that a
    group of a very long table holds a 256th of it.
    """
    if groups.is_in_order:
        parts = _cut(frames, groups)
    else:
        groups = groups.joined(MAX_FILES)
        parts = _sorted_into_files(frames, groups, columns, folder)
    for part in parts:
        yield groups.sort(part)


def _cut(frames: Iterator[pd.DataFrame], groups: SeriesGroups) -> Iterator[pd.DataFrame]:
    """Cut batches between groups, and put together what belongs to one."""
    parts: list[pd.DataFrame] = []
    current = 0
    for frame in frames:
        found = groups.of_rows(frame)
        for group in np.unique(found):
            if group != current and parts:
                yield pd.concat(parts)
                parts = []
            current = group
            parts.append(frame[found == group])
    if parts:
        yield pd.concat(parts)


def _sorted_into_files(
    frames: Iterator[pd.DataFrame],
    groups: SeriesGroups,
    columns: dict[Name, pa.DataType],
    folder: Path,
) -> Iterator[pd.DataFrame]:
    """Write each row to the file of its group, then read one group after the other."""
    fields = [(str(name), kind) for name, kind in columns.items()]
    schema = pa.schema([(ROW, pa.int64()), *fields, (GROUP, pa.int64())])
    with TemporaryDirectory(prefix=".series-", dir=folder) as name:
        ds.write_dataset(
            (_with_numbers(frame, groups, schema) for frame in frames),
            name,
            schema=schema,
            format="feather",
            partitioning=[GROUP],
            max_partitions=MAX_FILES,
            max_open_files=MAX_FILES + 1,
            min_rows_per_group=MIN_ROWS_WRITTEN,
        )
        for group in range(groups.n_groups):
            if not (Path(name) / str(group)).exists():  # none of its rows could be read
                continue
            table = ds.dataset(Path(name) / str(group), format="feather").to_table()
            frame = table.to_pandas(date_as_object=False).set_index(ROW).rename_axis(None)
            yield frame.set_axis(list(columns), axis=1)


def _with_numbers(frame: pd.DataFrame, groups: SeriesGroups, schema: pa.Schema) -> pa.RecordBatch:
    """Rows with their number and their group, in the types of the files."""
    rows = frame.rename(columns=str).assign(**{ROW: frame.index, GROUP: groups.of_rows(frame)})
    arrays = [as_arrow(rows[field.name], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _codes(cells: pd.Series, numbers: dict) -> np.ndarray:
    """Number of each row's series; new ones are added to ``numbers``."""
    codes, labels = pd.factorize(cells)
    if (codes < 0).any():
        row = cells.index[(codes < 0).argmax()]
        raise ValueError(f"need a series in column {cells.name!r}; row {row} has none.")
    found = [numbers.setdefault(label, len(numbers)) for label in labels.tolist()]
    return np.array(found, dtype=np.int32)[codes]
