"""A table to score: which of its columns the model reads, and which go to the scored file."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from anomdiff.jobs.readers import (
    Name,
    column_names,
    copy_types,
    count_rows,
    iter_table,
    match_columns,
    text_columns,
)
from anomdiff.jobs.settings import ScoreSettings, is_normal

RESULTS = {
    "row": pa.int64(),
    "anomaly_score": pa.float64(),
    "p_value": pa.float64(),
    "is_anomaly": pa.bool_(),
}


class Source:
    """Columns of a table as the settings name them, whatever the model is.

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
        check_free(self.keep, RESULTS)
        found = [name for name in self.names if str(name) == str(settings.label)]
        self.label = found[0] if settings.label is not None and found else None

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Of each row: 1 is an anomaly, 0 is normal, -1 is not known."""
        if self.label is None:
            return np.full(len(frame), -1, dtype=np.int8)
        anomaly = ~is_normal(frame[self.label], self.settings.normal)
        return anomaly.where(frame[self.label].notna(), -1).astype(np.int8).to_numpy()

    def read(self, columns: list[Name], text: list[Name]) -> Iterator[pd.DataFrame]:
        """Read columns in batches, some of them as text."""
        data, header = self.settings.data, self.settings.header
        rows = self.settings.batch_size
        return iter_table(data, batch_size=rows, header=header, columns=columns, text=text)

    def types(self, columns: list[Name], numbers: list[Name]) -> pa.Schema:
        """Types in which columns can be copied, under their names as text."""
        data, header = self.settings.data, self.settings.header
        types = copy_types(data, numbers=numbers, header=header)
        return pa.schema([types.field(str(name)) for name in columns])

    def unused(self, known: set[str]) -> list[Name]:
        """Columns that neither the model nor the settings know; warn if there are any."""
        known = known | {str(name) for name in (*self.keep, self.label)}
        extra = [name for name in self.names if str(name) not in known]
        if extra:
            warnings.warn(f"columns {extra} are not used by the model.", stacklevel=4)
        return extra


class TableRows:
    """Rows of a table for a model of tables.

    Parameters
    ----------
    source : Source
        The table.
    schema : Schema
        What the model has learnt of its columns.

    Attributes
    ----------
    extra : list of column names
        Columns that nobody uses.
    inputs : list of str
        Columns of the model.
    """

    results = RESULTS

    def __init__(self, source: Source, schema: Any):
        self.source, self.schema = source, schema
        names = [column.name for column in schema.used]
        self.columns = match_columns(names, source.names)
        self.inputs = [str(name) for name in names]
        self.extra = source.unused({str(column.name) for column in schema.columns})

    def output_schema(self) -> pa.Schema:
        """Types of the scored file."""
        numbers = [self.columns[c.name] for c in self.schema.used if c.kind == "number"]
        row, *results = pa.schema(RESULTS)
        return pa.schema([row, *self.source.types(self.source.keep, numbers), *results])

    def batches(self) -> Iterator[pd.DataFrame]:
        """Read the rows, with a progress bar on a terminal."""
        source = self.source
        wanted = {*self.columns.values(), *source.keep, source.label}
        columns = [name for name in source.names if name in wanted]
        inferred = set(self.columns) - set(text_columns(self.schema))
        typed = {self.columns[name] for name in inferred}
        text = [name for name in columns if name not in typed]
        yield from with_progress(source.read(columns, text), count_rows(source.settings.data))

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns of the model, under its names."""
        return frame[list(self.columns.values())].set_axis(list(self.columns), axis=1)

    def kept(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns to copy to the output."""
        return frame[self.source.keep].rename(columns=str)

    def missing(self, rows: pd.DataFrame) -> pd.Series:
        """Count the missing cells of the features, by column."""
        return self.schema.check(rows).rename(columns=str).isna().sum()


def check_free(columns: list[Name], results: dict[str, pa.DataType]) -> None:
    """Refuse columns to copy that have the name of a result."""
    taken = [str(name) for name in columns if str(name) in results]
    if taken:
        raise ValueError(f"need other names for the kept columns {taken}; the output has them.")


def with_progress(frames: Iterator[pd.DataFrame], total: int | None) -> Iterator[pd.DataFrame]:
    """Show a progress bar on a terminal."""
    with tqdm(total=total, unit="row", unit_scale=True, desc="score", disable=None) as bar:
        for frame in frames:
            yield frame
            bar.update(len(frame))
