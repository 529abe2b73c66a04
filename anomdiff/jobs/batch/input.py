"""A table to score: its batches for a model, and its columns that go to the scored file."""

import warnings
from collections.abc import Callable, Generator, Hashable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from anomdiff.jobs.alarm_rules import scope_columns
from anomdiff.jobs.batch.places import rows_prefix
from anomdiff.jobs.batch.quarantine import Quarantine
from anomdiff.jobs.batch.series_groups import SeriesGroups, whole_series
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.labels import anomaly_labels
from anomdiff.jobs.model_columns import PanelColumns, TableColumns
from anomdiff.jobs.readers import BrokenLine, Name, Table, find_column, match_columns
from anomdiff.jobs.runs.commit import PART
from anomdiff.jobs.runs.logs import Heartbeat
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.stores.databases import SqlTarget

__all__ = ["ScoringInput"]

RESULTS = {
    "row": pa.int64(),
    "anomaly_score": pa.float64(),
    "p_value": pa.float64(),
    "is_anomaly": pa.bool_(),
}
STEP_RESULTS = {**RESULTS, "channel": pa.string()}


class ScoringInput:
    """Batches of a table for one model; where a model scores steps, no batch cuts a series.

    `results` are the columns of the scored file beside those that are copied; `unused` are those
    that neither the model nor the settings name: a warning says so. `dated` is the date of the
    batch, where it is a column.
    """

    def __init__(self, settings: ScoreSettings, table: Table, columns: TableColumns | PanelColumns):
        self.settings, self.columns, self.table = settings, columns, table
        names = table.names
        self.results = dict(STEP_RESULTS if columns.unit == "step" else RESULTS)
        self.quarantine: Quarantine | None = None  # takes out rows that cannot be read
        self.failed: dict[Hashable, str] = {}  # series that cannot be read, and why
        self.dated: dict[str, date] = {}
        self.heartbeat: Heartbeat | None = None  # is told how far the reading is
        wanted = list(names if settings.keep == ("all",) else settings.keep)
        if settings.batch_date is not None and not settings.has_folders:
            self.dated = {"batch_date": settings.batch_date}
            self.results["batch_date"] = pa.date32()
        if isinstance(settings.output, SqlTarget):
            wanted += [name for name in settings.output.key if name not in self.results]
        keep = match_columns(wanted, names).values()
        self.keys = list(match_columns(settings.key, names).values())
        self.scope = self._scope_columns(names)
        self.copied = list(dict.fromkeys([*columns.keys, *self.keys, *keep]))
        _require_free(self.copied, self.results)
        self.label = find_column(names, settings.label)
        known = columns.known | {str(name) for name in (*self.copied, *self.scope, self.label)}
        self.unused = [name for name in names if str(name) not in known]
        if self.unused:
            warnings.warn(f"columns {self.unused} are not used by the model.", stacklevel=3)

    def output_schema(self) -> pa.Schema:
        """Types of the scored file."""
        row, *results = pa.schema(self.results)
        return pa.schema([row, *self.types(self.copied), *results])

    def kept(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns to copy to the scored file, under their names as text."""
        return frame[self.copied].rename(columns=str)

    def key_cells(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns that tell rows apart, under their names as text."""
        return frame[self.keys].rename(columns=str)

    def scope_cells(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns that rules look at, under their names as text."""
        return frame[self.scope].rename(columns=str)

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Label of each row: 1 is an anomaly, 0 is normal, -1 is not known."""
        if self.label is None:
            return np.full(len(frame), -1, dtype=np.int8)
        return anomaly_labels(frame[self.label], self.settings.normal)

    def batches(self) -> Generator[pd.DataFrame, None, None]:
        """Read the rows, with a progress bar on a terminal."""
        n_rows = self.table.count_rows()
        if self.columns.unit == "row":
            yield from self._with_progress(self.frames(), n_rows)
        elif self.columns.series is None:
            yield from self._with_progress(iter([pd.concat(self.frames())]), n_rows)
        else:
            yield from self._whole_series(self.columns.series)

    def _whole_series(self, series: Name) -> Iterator[pd.DataFrame]:
        """Batches that hold all steps of their series."""
        prefix = rows_prefix(self.settings)
        with TemporaryDirectory(PART, prefix.name, prefix.parent) as folder:
            self.table = self.table.snapshot(Path(folder), self.wanted)  # is read twice
            yield from self._grouped(series, Path(folder))

    def _scope_columns(self, names: list[Name]) -> list[Name]:
        """Columns of the scopes of rules; an incident has no column but that of the series."""
        found = list(match_columns(scope_columns(self.settings.rules), names).values())
        if self.columns.unit == "step" and (others := set(found) - {self.columns.series}):
            raise SettingsError(
                f"need the column of series in `where` of a rule; got {sorted(others, key=str)}: "
                f"set {self.columns.series!r}, or no `where` where there is one series."
            )
        return found

    def _grouped(self, series: Name, folder: Path) -> Iterator[pd.DataFrame]:
        """Batches of whole series of a table whose rows stay in their order."""
        cells = (frame[series] for frame in self._read([series], [series], _leave_out))
        labels = cells if self.quarantine is None else _filled(cells)
        groups = SeriesGroups.of(labels, self.settings.batch_size)
        columns = dict(zip(self.wanted, self.types(self.wanted).types, strict=True))
        frames = whole_series(self.frames(), groups, columns, folder)
        yield from self._with_progress(frames, len(groups.series_of_row))

    @property
    def wanted(self) -> list[Name]:
        """Columns that are read."""
        wanted = {*self.columns.found.values(), *self.copied, *self.scope, self.label}
        return [name for name in self.table.names if name in wanted]

    def types(self, names: list[Name]) -> pa.Schema:
        """Types in which columns can be copied, under their names as text."""
        types = self.table.copy_types(self.columns.numbers)
        return pa.schema([types.field(str(name)) for name in names])

    def _with_progress(
        self, frames: Iterator[pd.DataFrame], total: int | None
    ) -> Iterator[pd.DataFrame]:
        """Show a progress bar on a terminal, and tell the heartbeat of others."""
        done, of_all = 0, "" if total is None else f" of {total:,}"
        with tqdm(total=total, unit="row", unit_scale=True, desc="score", disable=None) as bar:
            for frame in frames:
                yield frame
                bar.update(len(frame))
                done += len(frame)
                if self.heartbeat is not None:
                    self.heartbeat.at = f"{done:,}{of_all} rows"

    def _read(
        self, columns: list[Name], text: list[Name], take: Callable[[BrokenLine], None]
    ) -> Iterator[pd.DataFrame]:
        """Read columns in batches, some as text; with a quarantine, broken lines are taken."""
        return self.table.batches(
            self.settings.batch_size,
            columns=columns,
            text=text,
            take=None if self.settings.quarantine is None else take,
        )

    def frames(self) -> Iterator[pd.DataFrame]:
        """Read the table; numbers of steps in CSV are read here: no batch decides on a type."""
        typed = set(self.columns.found.values()) - set(self.columns.text)
        text = [name for name in self.wanted if name not in typed]
        take = _leave_out if self.quarantine is None else self.quarantine.take_line
        batches = self._read(self.wanted, text, take)
        if self.quarantine is not None:
            batches = self.quarantine.passed(batches)
        for batch in batches:
            if isinstance(self.columns, PanelColumns) and not self.table.has_types:
                yield self._with_numbers(batch, self.columns)
            else:
                yield batch.copy(deep=False)

    def _with_numbers(self, batch: pd.DataFrame, columns: PanelColumns) -> pd.DataFrame:
        """Channels as numbers; series that have none there fail by themselves."""
        try:
            return columns.with_numbers(batch)
        except ValueError:
            if columns.series is None:
                raise
        parts = []
        for label, part in batch.groupby(columns.series, sort=False, observed=True):
            try:
                parts.append(columns.with_numbers(part))
            except ValueError as error:
                self.failed.setdefault(label, str(error))
                blank = pd.DataFrame(np.nan, index=part.index, columns=pd.Index(columns.numbers))
                parts.append(pd.concat([part.drop(columns=columns.numbers), blank], axis=1))
        return pd.concat(parts).sort_index()[list(batch)]


def _leave_out(line: BrokenLine) -> None:
    """Take a broken line that is written at another time, or, in a dry run, not at all."""


def _filled(labels: Iterator[pd.Series]) -> Iterator[pd.Series]:
    """Labels of all rows, those of a neighbour where there are none: the quarantine has these."""
    start = 0
    for cells in labels:
        rows = pd.RangeIndex(start, cells.index[-1] + 1)
        yield cells.reindex(rows).ffill().bfill()
        start = rows.stop
    if not start:
        raise ValueError(
            "need at least one row that can be read; none can: look at the lines by scoring "
            "without `quarantine`, which names the first."
        )


def _require_free(columns: list[Name], results: dict[str, pa.DataType]) -> None:
    """Refuse columns to copy that have the name of a result."""
    taken = [str(name) for name in columns if str(name) in results]
    if taken:
        raise ValueError(f"need other names for the kept columns {taken}; the output has them.")
