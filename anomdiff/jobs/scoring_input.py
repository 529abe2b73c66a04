"""A table to score: its batches for a model, and its columns that go to the scored file."""

import warnings
from collections.abc import Generator, Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from anomdiff.encoding.parsing import read_cells
from anomdiff.jobs.labels import anomaly_labels
from anomdiff.jobs.model_columns import PanelColumns, TableColumns
from anomdiff.jobs.readers import (
    Name,
    column_names,
    copy_types,
    count_rows,
    find_column,
    is_csv,
    iter_table,
    match_columns,
)
from anomdiff.jobs.series_groups import SeriesGroups, whole_series
from anomdiff.jobs.settings import ScoreSettings

__all__ = ["ScoringInput", "ScoringTable"]

RESULTS = {
    "row": pa.int64(),
    "anomaly_score": pa.float64(),
    "p_value": pa.float64(),
    "is_anomaly": pa.bool_(),
}
STEP_RESULTS = {**RESULTS, "channel": pa.string()}


class ScoringTable:
    """A table as the settings name it, whatever the model is.

    Attributes
    ----------
    names : list of column names
        All columns.
    keep : list of column names
        Those to copy to the scored file.
    label : column name or None
        The one with the known truth.
    """

    def __init__(self, settings: ScoreSettings):
        self.settings = settings
        self.names = column_names(settings.data, header=settings.header)
        keep = self.names if settings.keep == ("all",) else settings.keep
        self.keep = list(match_columns(keep, self.names).values())
        _require_free(self.keep, RESULTS)
        self.label = find_column(self.names, settings.label)

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Label of each row: 1 is an anomaly, 0 is normal, -1 is not known."""
        if self.label is None:
            return np.full(len(frame), -1, dtype=np.int8)
        return anomaly_labels(frame[self.label], self.settings.normal)

    def read(self, columns: Sequence[Name], text: Sequence[Name]) -> Iterator[pd.DataFrame]:
        """Read columns in batches, some of them as text."""
        data, header = self.settings.data, self.settings.header
        rows = self.settings.batch_size
        return iter_table(data, batch_size=rows, header=header, columns=columns, text=text)

    def types(self, columns: Sequence[Name], numbers: Sequence[Name]) -> pa.Schema:
        """Types in which columns can be copied, under their names as text."""
        types = copy_types(self.settings.data, numbers=numbers, header=self.settings.header)
        return pa.schema([types.field(str(name)) for name in columns])


class ScoringInput:
    """Batches of a table for one model; where a model scores steps, no batch cuts a series.

    Parameters
    ----------
    table : ScoringTable
        One row per row to score, or one per step, in any order, series mixed.
    columns : TableColumns or PanelColumns
        Columns of the model.

    Attributes
    ----------
    results : dict of str to pyarrow.DataType
        Columns of the scored file beside the copied ones.
    unused : list of column names
        Columns that neither the model nor the settings name; a warning says so.
    """

    def __init__(self, table: ScoringTable, columns: TableColumns | PanelColumns):
        self.table, self.columns = table, columns
        self.results = STEP_RESULTS if columns.unit == "step" else RESULTS
        self.copied = list(dict.fromkeys([*columns.keys, *table.keep]))
        _require_free(self.copied, self.results)
        known = columns.known | {str(name) for name in (*table.keep, table.label)}
        self.unused = [name for name in table.names if str(name) not in known]
        if self.unused:
            warnings.warn(f"columns {self.unused} are not used by the model.", stacklevel=3)

    def output_schema(self) -> pa.Schema:
        """Types of the scored file."""
        row, *results = pa.schema(self.results)
        return pa.schema([row, *self.table.types(self.copied, self.columns.numbers), *results])

    def kept(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns to copy to the scored file, under their names as text."""
        return frame[self.copied].rename(columns=str)

    def batches(self) -> Generator[pd.DataFrame, None, None]:
        """Read the rows, with a progress bar on a terminal."""
        data = self.table.settings.data
        if self.columns.unit == "row":
            yield from _with_progress(self._frames(), count_rows(data))
        elif self.columns.series is None:
            yield from _with_progress(iter([pd.concat(self._frames())]), count_rows(data))
        else:
            yield from self._whole_series(self.columns.series)

    def _whole_series(self, series: Name) -> Iterator[pd.DataFrame]:
        """Batches that hold all steps of their series."""
        settings = self.table.settings
        labels = (frame[series] for frame in self.table.read([series], [series]))
        groups = SeriesGroups.of(labels, settings.batch_size)
        types = self.table.types(self._read, self.columns.numbers).types
        columns = dict(zip(self._read, types, strict=True))
        frames = whole_series(self._frames(), groups, columns, settings.output.parent)
        yield from _with_progress(frames, len(groups.series_of_row))

    @property
    def _read(self) -> list[Name]:
        wanted = {*self.columns.found.values(), *self.copied, self.table.label}
        return [name for name in self.table.names if name in wanted]

    def _frames(self) -> Iterator[pd.DataFrame]:
        """Read the table; numbers of steps in CSV are read here: no batch decides on a type."""
        typed = set(self.columns.found.values()) - set(self.columns.text)
        text = [name for name in self._read if name not in typed]
        is_text = self.columns.unit == "step" and is_csv(self.table.settings.data)
        for batch in self.table.read(self._read, text):
            frame = batch.copy(deep=False)
            for name in self.columns.numbers if is_text else []:
                frame[name] = read_cells(frame[name], "number")
            yield frame


def _require_free(columns: list[Name], results: dict[str, pa.DataType]) -> None:
    """Refuse columns to copy that have the name of a result."""
    taken = [str(name) for name in columns if str(name) in results]
    if taken:
        raise ValueError(f"need other names for the kept columns {taken}; the output has them.")


def _with_progress(frames: Iterator[pd.DataFrame], total: int | None) -> Iterator[pd.DataFrame]:
    """Show a progress bar on a terminal."""
    with tqdm(total=total, unit="row", unit_scale=True, desc="score", disable=None) as bar:
        for frame in frames:
            yield frame
            bar.update(len(frame))
