"""The columns that a model reads: found in a table, and given to the model as it knows them."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.parsing import storage, unreadable_cells
from anomdiff.encoding.spelling import Spelling
from anomdiff.jobs.base_settings import Settings
from anomdiff.jobs.labels import anomaly_labels
from anomdiff.jobs.readers import Name, Table, find_column, match_columns
from anomdiff.jobs.stores.databases import SqlSource
from anomdiff.jobs.stores.locations import FilePath

__all__ = ["PanelColumns", "TableColumns", "model_columns", "read_model_rows", "whole_labels"]


class TableColumns:
    """Columns of a model of single rows.

    `found` has the columns by the model's name, as the table names them; `text` and `numbers` are
    those to read as text, and to copy as numbers; missing cells are counted in `inputs`; `measured`
    are those of them that are numbers; `known` are all that the model knows, used or not.
    """

    unit = "row"
    keys: tuple[Name, ...] = ()
    series = None

    def __init__(self, detector: Any, names: list[Name]):
        self.schema = detector.schema_
        used = self.schema.used
        self.found = match_columns([column.name for column in used], names)
        self.text = [self.found[column.name] for column in used if _is_text(column)]
        self.codes = [column.name for column in used if _is_code(column)]
        self.numbers = [
            self.found[column.name]
            for column in used
            if column.kind == "number" and not column.numeric_text
        ]
        self.inputs = [str(column.name) for column in used]
        self.measured = {str(column.name) for column in used if column.kind == "number"}
        self.known = {str(column.name) for column in self.schema.columns}

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns of the model, under its names; categories that were numbers in training are."""
        rows = frame[list(self.found.values())].set_axis(list(self.found), axis=1)
        for name in self.codes:
            if storage(rows[name]) == "text":
                rows[name] = _as_codes(rows[name])
        return rows

    def unreadable(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Whether each cell, under the table's names, is neither missing nor of its kind."""
        return self.schema.unreadable(self.rows(frame)).rename(columns=self.found)

    def unplaced(self, frame: pd.DataFrame) -> pd.Series:
        """Whether rows cannot be told where they belong; single rows belong nowhere."""
        return pd.Series(False, index=frame.index)

    def count_missing(self, rows: pd.DataFrame) -> pd.Series:
        """Missing cells by column."""
        return self.schema.check(rows).rename(columns=str).isna().sum()


class PanelColumns:
    """Columns of a model of series; covariates may be left out, and then count as missing.

    Those that say what is normal may not.

    Attributes are those of `TableColumns`; `series` is the column of the table that tells the
    series apart, `keys` are those of series and time, where the model has them.
    """

    unit = "step"

    def __init__(self, detector: Any, names: list[Name]):
        self.layout, self.scaler = detector.layout_, detector.model_.scaler
        self._require_columns(names)
        by_text = {str(name): name for name in names}
        keys = [name for name in (self.layout.series, self.layout.time) if name is not None]
        self.expected = [*keys, *self.layout.channels]
        self.found = {n: by_text[str(n)] for n in self.expected if str(n) in by_text}
        self.series = self.found.get(self.layout.series)
        self.keys = tuple(self.found[name] for name in keys)
        self.text = list(self.keys)
        self.numbers = [name for name in self.found.values() if name not in self.keys]
        self.inputs = [str(name) for name in self.layout.channels]
        self.measured = set(self.inputs)
        self.known = set(map(str, (*self.found.values(), *self.layout.dropped)))

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns of the model, under its names; series and time may be text."""
        rows = frame[list(self.found.values())].set_axis(list(self.found), axis=1)
        rows = rows.reindex(columns=self.expected)
        if self.layout.series is not None:
            known = set(self.scaler.scales) - {None}
            rows[self.layout.series] = _labels_like(rows[self.layout.series], known)
        if self.layout.time is not None:
            rows[self.layout.time] = _times(rows[self.layout.time])
        return rows

    def count_missing(self, rows: pd.DataFrame) -> pd.Series:
        """Missing cells by channel."""
        missing = {
            str(name): np.isnan(self.layout.numbers(rows[name], name)).sum()
            for name in self.layout.channels
        }
        return pd.Series(missing)

    def unreadable(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Whether each cell of a channel, under the table's names, is neither missing nor one."""
        channels = {n: found for n, found in self.found.items() if n in self.layout.channels}
        rows = frame[list(channels.values())].set_axis(list(channels), axis=1)
        return self.layout.unreadable(rows).rename(columns=channels)

    def unplaced(self, frame: pd.DataFrame) -> pd.Series:
        """Whether rows have no series, or no time that can be read."""
        unplaced = pd.Series(False, index=frame.index)
        if self.series is not None:
            unplaced |= frame[self.series].isna()
        if self.layout.time is not None:
            times = frame[self.found[self.layout.time]]
            unplaced |= times.isna() | _is_no_time(times, self.layout)
        return unplaced

    def with_numbers(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns of a table with the channels read as numbers, as the model reads them."""
        read = frame.copy(deep=False)
        for name, found in self.found.items():
            if found in self.numbers:
                read[found] = self.layout.numbers(frame[found], name)
        return read

    def _require_columns(self, names: list[Name]) -> None:
        series, time = self.layout.series, self.layout.time
        roles = {series: "series", time: "time", **dict.fromkeys(self.scaler.names, "channel")}
        roles |= dict.fromkeys(self.scaler.conditions, "covariate")
        roles.pop(None, None)
        there = set(map(str, names))
        lacking = [f"{name!r} ({role})" for name, role in roles.items() if str(name) not in there]
        if lacking:
            shown = ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
            raise ValueError(
                "need the columns of series, time and channels of the model, and "
                f"{', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing; "
                f"the table has {shown}."
            )


def model_columns(detector: Any, names: list[Name]) -> TableColumns | PanelColumns:
    """Find the columns of a fitted detector among those of a table."""
    return (PanelColumns if detector.unit == "step" else TableColumns)(detector, names)


def read_model_rows(
    data: FilePath | SqlSource, settings: Settings, detector: Any
) -> tuple[pd.DataFrame, np.ndarray | None]:
    """Rows of a table under the names that a detector knows, and `anomaly_labels` if it has any."""
    table = Table(data, settings.file_options)
    columns = model_columns(detector, table.names)
    label = find_column(table.names, settings.label)
    wanted = {*columns.found.values(), label} - {None}
    names = [name for name in table.names if name in wanted]
    frame = table.read(text=columns.text, columns=names)
    labels = None if label is None else anomaly_labels(frame[label], settings.normal)
    return columns.rows(frame), labels


def whole_labels(cells: pd.Series) -> pd.Series:
    """Labels of series as whole numbers if all are; '007' stays text."""
    numbers = _labels_like(cells, {0})
    whole = all(isinstance(label, int) for label in numbers.unique().tolist())
    return numbers.astype("int64") if whole else cells


def _is_text(column: Any) -> bool:
    """Whether a column of a schema is read as text: no batch decides whether it is one of codes.

    Nor does a batch decide how numbers are spelled that were text in training, such as $5,000.
    """
    if column.numeric_text:
        return True
    return column.kind == "category" or (column.kind == "datetime" and not _was_number(column))


def _is_code(column: Any) -> bool:
    return column.kind == "category" and _was_number(column)


def _was_number(column: Any) -> bool:
    return column.dtype.lower().startswith(("int", "uint", "float"))


def _as_codes(cells: pd.Series) -> pd.Series:
    """Texts that are numbers as these numbers, one by one: '0042' is 42 beside 'X777' too."""
    codes, texts = pd.factorize(cells)
    numbers = pd.to_numeric(np.asarray(texts, dtype=object), errors="coerce")
    read = [
        text if np.isnan(number) else int(number) if number % 1 == 0 else float(number)
        for text, number in zip(texts, numbers, strict=True)
    ]
    values = np.array([*read, None], dtype=object)  # code -1 picks the last
    return pd.Series(values[codes], index=cells.index, name=cells.name)


def _labels_like(cells: pd.Series, known: Collection) -> pd.Series:
    """Labels of series as text or as whole numbers, whichever the known ones are."""
    codes, labels = pd.factorize(cells, use_na_sentinel=False)
    if all(isinstance(label, str) for label in known):
        labels = [label if pd.isna(label) else str(label) for label in labels.tolist()]
    elif all(isinstance(label, int) for label in known):
        labels = [_whole(label) for label in labels.tolist()]
    return pd.Series(pd.Index(labels, dtype=object)[codes], index=cells.index, name=cells.name)


def _whole(label: Any) -> Any:
    """Whole number that a text stands for, if it would be written the same."""
    digits = isinstance(label, str) and label.removeprefix("-").isdecimal()
    return int(label) if digits and str(int(label)) == label else label


def _is_no_time(cells: pd.Series, layout: PanelLayout) -> np.ndarray:
    """Whether texts are no times, dates or numbers as training had them."""
    if storage(cells) != "text" or layout.durations:
        return np.zeros(len(cells), dtype=bool)
    if layout.has_dates:
        return unreadable_cells(cells, "datetime", Spelling(date_format=layout.date_format))
    return pd.to_numeric(cells, errors="coerce").isna().to_numpy()


def _times(cells: pd.Series) -> pd.Series:
    """Times; numbers that came as text are numbers."""
    if storage(cells) != "text":
        return cells
    numbers = pd.to_numeric(cells, errors="coerce")
    return numbers if numbers.isna().equals(cells.isna()) else cells
