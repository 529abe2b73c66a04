"""The files that scoring writes, batch by batch: scored rows, alarms, statuses, quarantine."""

import sys
import warnings
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.jobs.alarms.batch import AlarmOptions
from anomdiff.jobs.alarms.incidents import IncidentAlarms
from anomdiff.jobs.alarms.muting import Muting
from anomdiff.jobs.alarms.rows import RowAlarms
from anomdiff.jobs.batch.alarm_causes import AlarmCauses
from anomdiff.jobs.batch.input import ScoringInput
from anomdiff.jobs.batch.places import cache_folder
from anomdiff.jobs.batch.quarantine import Quarantine
from anomdiff.jobs.batch.repeated_keys import RepeatedKeys
from anomdiff.jobs.batch.segment_status import SegmentStatus
from anomdiff.jobs.batch.series_status import STATUS_TYPES, BatchScores, SeriesScorer, status_counts
from anomdiff.jobs.batch.summary import ScoreSummary
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.row_files import RowWriter, read_text_rows
from anomdiff.jobs.runs.batch_cache import BatchCache
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.verdict_store import judge_of, read_store
from anomdiff.jobs.writers import TableWriter

__all__ = ["ScoredFiles", "alarms_to_fill", "told_before"]


class ScoredFiles:
    """Writes all files of a scored table but the summary.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        The model.
    source : ScoringInput
        The table.
    paths : dict of str to path
        Files to write, as from ``output_paths``.

    Attributes
    ----------
    counts : ScoreSummary
    causes : AlarmCauses
    table : DataFrame or None
        The alarm table, if one is written.
    n_quarantined : int
        Rows that could not be read, if they were not to fail the job.
    muted : dict
        How many lines of the alarm table are muted, by what, where anything may mute lines.
    statuses : dict
        How many series, or segments, have which status, and those that are not just scored.
    alarms_of_series, told_before : Series
        Alarms by series, and those of them in incidents that go on from last night; empty for rows.
    cache : BatchCache
        Scores of the batches so far.
    """

    def __init__(self, detector: Any, source: ScoringInput, paths: Mapping[str, Path]):
        self.detector, self.source, self.paths = detector, source, paths
        self.counts, self.causes = ScoreSummary(source.columns.inputs), AlarmCauses(detector)
        self.cache = BatchCache(detector, cache_folder(source.settings))
        self.scorer = SeriesScorer(detector, source.columns, source.failed, self.cache.score)
        self.segments = SegmentStatus(detector)
        self.table: pd.DataFrame | None = None
        self.n_quarantined = 0
        self.muted: dict[str, Any] = {}
        self.statuses: dict[str, Any] = {}
        self.alarms_of_series, self.told_before = pd.Series(dtype=int), pd.Series(dtype=int)
        self._alarms, self._keys = alarms_to_fill(detector, source), RepeatedKeys()

    @property
    def rows_digest(self) -> str:
        """Digest of the rows that were scored."""
        return self.cache.input.hexdigest()

    @property
    def n_restored(self) -> int:
        """Batches whose scores a run that has died had kept."""
        return self.cache.n_restored

    def clear(self) -> None:
        """Remove the scores that are kept."""
        self.cache.clear()

    def write(self) -> None:
        """Score all batches.

        Raises
        ------
        ValueError
            If rows cannot be scored, or none of the series can.
        """
        with ExitStack() as stack:
            self._open_quarantine(stack)
            schema = self.source.output_schema()
            writer = stack.enter_context(TableWriter(self.paths["output"], schema))
            for frame in stack.enter_context(closing(self.source.batches())):
                self._write_batch(writer, frame)
        self.scorer.require_some()
        self._write_statuses()
        self._write_alarms()
        told = self._keys.sentence(list(map(str, self.source.keys)))
        if told is not None:
            warnings.warn(told, stacklevel=3)

    def _open_quarantine(self, stack: ExitStack) -> None:
        settings, columns = self.source.settings, self.source.columns
        if settings.quarantine is not None:
            path, suffix = self.paths["quarantine"], settings.quarantine.suffix
            found = Quarantine(path, suffix, columns, self.source.wanted)
            self.source.quarantine = stack.enter_context(found)

    def _write_batch(self, writer: TableWriter, frame: pd.DataFrame) -> None:
        found = self.scorer.score(frame)
        if found is not None and isinstance(self._alarms, IncidentAlarms):
            self._alarms.add(*found)  # steps in quarantine keep the order of the others
        if self.source.quarantine is not None:
            left_out = self.source.quarantine.left_out
            frame = frame[~left_out(frame)]
            if found is not None:
                found = BatchScores(*(each[~left_out(each)] for each in found))
        scored = self._of_all(frame, found)
        results = {name: scored[name] for name in scored if name in self.source.results}
        writer.write(
            self.source.kept(frame).assign(row=frame.index, **results, **self.source.dated)
        )
        if self.source.keys and self.source.columns.unit == "row":
            self._keys.add(self.source.key_cells(frame))
        failed = len(frame) - (0 if found is None else len(found.rows))
        missing = pd.Series(0, index=self.source.columns.inputs)
        if found is not None and len(found.rows):
            self.segments.add(*found)
            missing = self.source.columns.count_missing(found.rows)
            self.causes.add(found.rows, found.scored)
            if isinstance(self._alarms, RowAlarms):
                keys, scope = self.source.key_cells(frame), self.source.scope_cells(frame)
                self._alarms.add(keys, scope, *found)
        self.counts.add(scored, missing, self.source.labels(frame), failed)

    def _of_all(self, frame: pd.DataFrame, found: BatchScores | None) -> pd.DataFrame:
        """Scores of the rows of a batch; those of series that have failed have none."""
        if found is not None and len(found.scored) == len(frame):
            return found.scored
        names = [name for name in self.source.results if name != "row"]
        blank = pd.DataFrame(columns=names, dtype=object)
        scored = (blank if found is None else found.scored).reindex(frame.index)
        flags = scored["is_anomaly"].eq(True)
        return scored.assign(is_anomaly=flags)

    def _write_statuses(self) -> None:
        self.statuses = self.segments.counts()
        if self.source.columns.series is not None:
            status = self.scorer.status()
            self.alarms_of_series = status.groupby(status["series"].map(str))["alarms"].sum()
        if "series" in self.paths:
            status = self.scorer.status()
            self.statuses = status_counts(status)
            with RowWriter(self.paths["series"], pa.schema(STATUS_TYPES), ".csv") as writer:
                writer.write(status)

    def _write_alarms(self) -> None:
        if self.source.quarantine is not None:
            self.n_quarantined = self.source.quarantine.rows
        path = self.source.settings.alarms
        if self._alarms is not None and path is not None:
            found = self._alarms.to_frame()
            self.table = found
            if isinstance(self._alarms, IncidentAlarms):
                self.told_before = told_before(found)
            if self._alarms.muting is not None:
                self.muted = self._alarms.muting.counts(found["muted_by"])
            with RowWriter(self.paths["alarms"], self._alarms.schema, path.suffix) as writer:
                writer.write(found)


def alarms_to_fill(detector: Any, source: ScoringInput) -> RowAlarms | IncidentAlarms | None:
    """Alarm table to fill, if there is to be one."""
    settings = source.settings
    if settings.alarms is None:
        return None
    options, muting = AlarmOptions.of(settings), _muting(detector, source)
    if muting is not None and muting.needs_reasons:
        options = options._replace(max_explained=sys.maxsize)
    if source.columns.unit == "row":
        return RowAlarms(detector, options, source.types(source.keys), muting)
    series = source.columns.series
    kind = pa.string() if series is None else source.types([series]).types[0]
    return IncidentAlarms(detector, options, _previous(settings, settings.alarms), kind, muting)


def told_before(incidents: pd.DataFrame) -> pd.Series:
    """Steps of the incidents that go on from last night, by series."""
    going_on = incidents[~incidents["new"].astype(bool)]
    series = going_on["series"].map(str) if "series" in going_on else np.zeros(len(going_on))
    return going_on["steps"].groupby(series).sum().astype(int)


def _muting(detector: Any, source: ScoringInput) -> Muting | None:
    """What mutes lines of the alarm table, if anything does."""
    settings, columns = source.settings, source.columns
    if not settings.rules and settings.most_alarms is None and settings.feedback is None:
        return None
    for rule in settings.rules:
        if rule.column is not None and str(rule.column) not in columns.measured:
            raise SettingsError(
                f"need a column of numbers of the model in a rule; got {rule.column!r}: "
                f"set one of {sorted(columns.measured)}."
            )
    judge = None
    if settings.feedback is not None:
        judge = judge_of(detector, read_store(settings.feedback), settings.feedback_radius)
    day = AlarmOptions.of(settings).batch_date
    return Muting(settings.rules, settings.most_alarms, day, judge)


def _previous(settings: ScoreSettings, alarms: Path) -> pd.DataFrame | None:
    """Last night's incidents: a table that is named has to be there."""
    if settings.previous is not None and not settings.previous.is_file():
        raise FileNotFoundError(
            f"need last night's incidents at {settings.previous}; there is no such file: leave "
            "`previous` out on the first night."
        )
    path = settings.previous or alarms
    return read_text_rows(path) if path.is_file() else None
