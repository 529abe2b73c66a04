"""Time series in a table: the columns of a model of series, and batches that cut no series."""

from collections.abc import Collection, Iterator
from typing import Any

import pandas as pd
import pyarrow as pa

from anomdiff.encoding.parsing import read_cells, storage
from anomdiff.jobs.grouping import Grouping, whole_series
from anomdiff.jobs.readers import Name, count_rows, is_csv
from anomdiff.jobs.sources import RESULTS, Source, check_free, with_progress

SERIES_RESULTS = {**RESULTS, "channel": pa.string()}


class SeriesSteps:
    """Steps of whole series for a model of series.

    Parameters
    ----------
    source : Source
        The table: one row per step, in any order, series mixed.
    detector : TimeSeriesDetector
        Knows the columns of series, time and channels.

    Attributes
    ----------
    extra : list of column names
        Columns that nobody uses.
    inputs : list of str
        Channels of the model.
    """

    results = SERIES_RESULTS

    def __init__(self, source: Source, detector: Any):
        self.source, self.detector, self.layout = source, detector, detector.layout_
        self.columns = panel_columns(detector, source.names)
        keys = [self.columns[name] for name in panel_keys(detector)]
        self.copied = list(dict.fromkeys([*keys, *source.keep]))
        check_free(self.copied, SERIES_RESULTS)
        self.inputs = [str(name) for name in self.layout.channels]
        self.extra = source.unused(set(map(str, self.columns.values())))
        self.numbers = [name for name in self.columns.values() if name not in keys]

    def output_schema(self) -> pa.Schema:
        """Types of the scored file."""
        row, *results = pa.schema(SERIES_RESULTS)
        return pa.schema([row, *self.source.types(self.copied, self.numbers), *results])

    def batches(self) -> Iterator[pd.DataFrame]:
        """Read whole series, with a progress bar on a terminal."""
        settings = self.source.settings
        if self.layout.series is None:
            yield from with_progress(iter([pd.concat(self._frames())]), count_rows(settings.data))
            return
        series = self.columns[self.layout.series]
        labels = (frame[series] for frame in self.source.read([series], [series]))
        grouping = Grouping.of(labels, settings.batch_size)
        types = self.source.types(self._read, self.numbers).types
        columns = dict(zip(self._read, types, strict=True))
        groups = whole_series(self._frames(), grouping, columns, settings.output.parent)
        yield from with_progress(groups, len(grouping.codes))

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns of the model, under its names."""
        return panel_rows(self.detector, frame, self.columns)

    def kept(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Series and time, and the columns to copy to the output."""
        return frame[self.copied].rename(columns=str)

    def missing(self, rows: pd.DataFrame) -> pd.Series:
        """Count the missing cells of the features, by column."""
        channels = rows[list(self.layout.channels)].rename(columns=str)
        return channels.apply(lambda cells: pd.isna(read_cells(cells, "number")).sum())

    @property
    def _read(self) -> list[Name]:
        wanted = {*self.columns.values(), *self.copied, self.source.label}
        return [name for name in self.source.names if name in wanted]

    def _frames(self) -> Iterator[pd.DataFrame]:
        """Read the table; numbers of CSV are read here, so that no batch decides on a type."""
        text = [name for name in self._read if name not in self.numbers]
        numbers = self.numbers if is_csv(self.source.settings.data) else []
        for batch in self.source.read(self._read, text):
            frame = batch.copy(deep=False)
            for name in numbers:
                frame[name] = read_cells(frame[name], "number")
            yield frame


def panel_columns(detector: Any, names: list[Name]) -> dict[Name, Name]:
    """Map the columns of a model of series to those of a table; context may be left out.

    Raises
    ------
    ValueError
        If the column of series or time, or a channel that is judged, is not there.
    """
    layout, judged = detector.layout_, detector.encoder_.names
    by_text = {str(name): name for name in names}
    roles = {layout.series: "series", layout.time: "time", **dict.fromkeys(judged, "channel")}
    roles.pop(None, None)
    lacking = [f"{name!r} ({role})" for name, role in roles.items() if str(name) not in by_text]
    if lacking:
        shown = ", ".join(map(repr, names[:12])) + (", ..." if len(names) > 12 else "")
        raise ValueError(
            f"need the columns of series, time and channels of the model, and {', '.join(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} missing; the table has {shown}."
        )
    wanted = [*panel_keys(detector), *layout.channels]
    return {name: by_text[str(name)] for name in wanted if str(name) in by_text}


def panel_keys(detector: Any) -> list[Name]:
    """Columns of series and time, where the model has them."""
    layout = detector.layout_
    return [name for name in (layout.series, layout.time) if name is not None]


def panel_rows(detector: Any, frame: pd.DataFrame, columns: dict[Name, Name]) -> pd.DataFrame:
    """Columns of a model of series, under its names and read as it knows them.

    Parameters
    ----------
    detector : TimeSeriesDetector
        The model.
    frame : DataFrame
        Rows of a table, whose series and time may be text.
    columns : dict of column name to column name
        From `panel_columns`; context that is not among them counts as missing.
    """
    layout = detector.layout_
    rows = frame[list(columns.values())].set_axis(list(columns), axis=1)
    rows = rows.reindex(columns=[*panel_keys(detector), *layout.channels])
    if layout.series is not None:
        known = set(detector.encoder_.scales) - {None}
        rows[layout.series] = _known_labels(rows[layout.series], known)
    if layout.time is not None:
        rows[layout.time] = read_time(rows[layout.time])
    return rows


def plain_labels(cells: pd.Series) -> pd.Series:
    """Read labels of series as whole numbers if all are; '007' stays text."""
    numbers = _known_labels(cells, {0})
    whole = all(isinstance(label, int) for label in numbers.unique().tolist())
    return numbers.astype("int64") if whole else cells


def read_time(cells: pd.Series) -> pd.Series:
    """Read moments that are numbers in text as numbers."""
    if storage(cells) != "text":
        return cells
    numbers = pd.to_numeric(cells, errors="coerce")
    return numbers if numbers.isna().equals(cells.isna()) else cells


def _known_labels(cells: pd.Series, known: Collection) -> pd.Series:
    """Read labels as text or whole numbers, whichever those of training were."""
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
