"""The files of a table that Spark scores: what `ScoredFiles` writes, with the same results."""

import json
import shutil
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.integrations.spark.frames import (
    collected,
    grouped,
    in_batches,
    kept,
    series_by_series,
    write,
)
from anomdiff.integrations.spark.scoring import serialize
from anomdiff.jobs.alarms.batch import AlarmOptions, PValueCounts
from anomdiff.jobs.alarms.incidents import IncidentAlarms
from anomdiff.jobs.alarms.rows import RowAlarms
from anomdiff.jobs.batch.alarm_causes import AlarmCauses
from anomdiff.jobs.batch.files import alarms_to_fill, told_before
from anomdiff.jobs.batch.input import ScoringInput
from anomdiff.jobs.batch.places import output_of, summary_of
from anomdiff.jobs.batch.repeated_keys import sentence
from anomdiff.jobs.batch.segment_status import SegmentStatus
from anomdiff.jobs.batch.series_status import STATUS_TYPES, status_counts
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.row_files import RowWriter
from anomdiff.jobs.runs.commit import PART
from anomdiff.jobs.spark import counts
from anomdiff.jobs.spark.incidents import PARTS, IncidentFinder, frames_of
from anomdiff.jobs.spark.numbers import RowNumbers
from anomdiff.jobs.spark.table import SparkTable, as_spark_takes_it
from anomdiff.jobs.spark.worker import COUNTED, Cells, RowScorer, StepScorer, Work
from anomdiff.jobs.stores.locations import FilePath, RemotePath

__all__ = ["SparkFiles"]

SCORES = ["anomaly_score", "p_value", "is_anomaly"]
# Alarms that the driver holds: of more, the alarm table has those of the highest scores.
MAX_ALARMS = 100_000


class SparkFiles:
    """Scores a table by Spark and writes all its files but the summary.

    Parameters and attributes are those of ``ScoredFiles``. There is no digest of the rows, no row
    in quarantine, and no batch that is restored.
    """

    rows_digest = None
    n_quarantined = n_restored = 0

    def __init__(self, detector: Any, source: ScoringInput, paths: Mapping[str, Path]):
        self.detector, self.source, self.paths = detector, source, paths
        self.counts: counts.SparkSummary
        self.causes = AlarmCauses(detector)
        self.table: pd.DataFrame | None = None
        self.muted: dict[str, Any] = {}
        self.statuses: dict[str, Any] = {}
        self.alarms_of_series, self.told_before = pd.Series(dtype=int), pd.Series(dtype=int)
        self._alarms = alarms_to_fill(detector, source)
        self._work, self._frame = _work(detector, source)

    def write(self) -> None:
        """Score all rows; the folder of the scored ones appears last.

        Raises
        ------
        SettingsError
            If the model scores a single series.
        ValueError
            If rows cannot be scored, or none of the series can.
        """
        of_rows = self.source.columns.unit == "row"
        scored = kept(self._scored_rows() if of_rows else self._scored_steps())
        try:
            self.counts = counts.SparkSummary(self.source.columns.inputs, scored)
            if of_rows:
                self._take_rows(scored)
            else:
                self._take_series(scored)
            self._write_alarms()
            _publish(scored, self._work.results.names, self.source.settings)
        finally:
            scored.unpersist()

    def clear(self) -> None:
        """Do nothing: Spark keeps no scores for another run."""

    def _scored_rows(self) -> Any:
        table: Any = self.source.table
        scorer = RowScorer(self._work, table.parts(self._frame))
        return in_batches(self._frame, scorer, self._work.schema)

    def _scored_steps(self) -> Any:
        table: Any = self.source.table
        parts = table.parts(self._frame)
        schema = pa.schema([("row", pa.int64()), *self._work.inputs])
        frame = in_batches(
            self._frame, lambda batches: map(RowNumbers(parts).with_numbers, batches), schema
        )
        return series_by_series(frame, self._series, StepScorer(self._work), self._work.schema)

    @property
    def _series(self) -> str:
        """Column of the series, as workers have it."""
        series = self.source.columns.series
        if series is None:
            raise SettingsError(
                "need `engine = 'local'` for a model of a single series, which no two workers can "
                "share; got 'spark'."
            )
        return f"input_{self._work.cells.names.index(series)}"

    def _take_rows(self, scored: Any) -> None:
        """Fill the alarm table, and tell of keys and segments."""
        segments = SegmentStatus(self.detector)
        segments.values = counts.segments(scored) if segments.model is not None else set()
        self.statuses = segments.counts()
        expressions = ["row", *SCORES, *self._work.inputs.names]
        found = collected(scored, expressions, where="is_anomaly", worst=MAX_ALARMS).sort_by("row")
        if len(found) < self.counts.alarms:
            warnings.warn(_of_the_worst(self.counts.alarms), stacklevel=4)
        if len(found):
            frame = self._work.cells.read(found, pd.Index(found["row"].to_numpy()))
            rows, results = self.source.columns.rows(frame), _results(found, frame.index)
            self.causes.add(rows, results)
            if isinstance(self._alarms, RowAlarms):
                cells = self.source.key_cells(frame), self.source.scope_cells(frame)
                self._alarms.add(*cells, rows, results)
        self._tell_of_keys(scored)
        if self._alarms is not None:
            self._alarms.p_values = PValueCounts(counts.p_value_counts(scored))

    def _tell_of_keys(self, scored: Any) -> None:
        keys = list(map(str, self.source.keys))
        again = counts.repeated_keys(scored, keys) if keys else None
        if again is not None:
            warnings.warn(sentence(keys, *again), stacklevel=5)

    def _take_series(self, scored: Any) -> None:
        """Write the statuses, and fill the table of incidents."""
        source, work = self.source, self._work
        kind = source.types([work.cells.names[int(self._series.removeprefix("input_"))]]).types[0]
        status = counts.series_status(scored, self._series, kind)
        if (failed := status["failed"].notna()).all():
            raise ValueError(status["failed"][failed].iloc[0])
        self.statuses = status_counts(status)
        self.alarms_of_series = status.groupby(status["series"].map(str))["alarms"].sum()
        with RowWriter(self.paths["series"], pa.schema(STATUS_TYPES), ".csv") as writer:
            writer.write(status)
        named = grouped(scored.where("is_anomaly"), ["channel"], n="count(*)").to_pandas()
        self.causes.channels = named.set_index("channel")["n"].astype(float)
        if isinstance(self._alarms, IncidentAlarms):
            options = self._alarms.options
            finder = IncidentFinder(work, options, _floor(status, options), kind)
            found = series_by_series(scored, self._series, finder, PARTS).toArrow()
            for part in frames_of(found):
                self._alarms.take(part, pa.array(part["start"]).type)
            self._alarms.p_values = PValueCounts(counts.p_value_counts(scored))

    def _write_alarms(self) -> None:
        path = self.source.settings.alarms
        if self._alarms is None or path is None:
            return
        self.table = self._alarms.to_frame()
        if isinstance(self._alarms, IncidentAlarms):
            self.told_before = told_before(self.table)
        if self._alarms.muting is not None:
            self.muted = self._alarms.muting.counts(self.table["muted_by"])
        with RowWriter(self.paths["alarms"], self._alarms.schema, path.suffix) as writer:
            writer.write(self.table)


def _work(detector: Any, source: ScoringInput) -> tuple[Work, Any]:
    """What workers are sent, and the frame that they are to score."""
    table: Any = source.table
    assert isinstance(table, SparkTable)
    frame, inputs = table.frame(source.wanted)
    typed = set(source.columns.found.values()) - set(source.columns.text)
    text = tuple(name for name in source.wanted if name not in typed)
    results = source.output_schema()
    if taken := [name for name in results.names if name in {*COUNTED.names, *inputs.names}]:
        raise ValueError(
            f"need other names for the kept columns {taken}; Spark's workers use them."
        )
    work = Work(
        files=serialize(detector),
        cells=Cells(tuple(source.wanted), text, table.kind, table.whole(source.wanted)),
        columns=tuple(table.names),
        copied=tuple(source.copied),
        label=source.label,
        normal=source.settings.normal,
        fixed=dict(source.dated),
        results=results,
        inputs=inputs,
    )
    return work, frame


def _results(found: pa.Table, index: pd.Index) -> pd.DataFrame:
    return found.select(SCORES).to_pandas().set_axis(index)


def _floor(status: pd.DataFrame, options: AlarmOptions) -> float:
    """Score that as many incidents reach as are explained."""
    tops = np.sort(status["top"].dropna().to_numpy(float))[::-1]
    n = options.max_explained
    return float(tops[n - 1]) if 0 < n <= len(tops) else -np.inf


def _of_the_worst(alarms: int) -> str:
    return (
        f"the alarm table has the {MAX_ALARMS:,} of {alarms:,} alarms with the highest scores; "
        "`is_anomaly` of the output has all."
    )


def _publish(scored: Any, names: list[str], settings: Any) -> None:
    """Put the scored rows in the place of the output, which has no summary meanwhile."""
    place: FilePath = output_of(settings)  # type: ignore[assignment]  # checked by the settings
    _retract(summary_of(settings))
    if isinstance(place, RemotePath):
        write(scored, names, str(place))
        return
    part = place.with_name(f".{place.name}.{uuid.uuid4().hex}{PART}")
    try:
        write(scored, names, as_spark_takes_it(part))
        if place.is_dir():
            shutil.rmtree(place)
        else:  # of the local engine
            place.unlink(missing_ok=True)
        part.replace(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _retract(summary: FilePath | None) -> None:
    """Leave no summary that tells of other rows than there are."""
    if isinstance(summary, RemotePath):
        with TemporaryDirectory() as folder:
            blank = Path(folder) / summary.name
            blank.write_text(json.dumps({}), encoding="utf-8")
            summary.upload(blank)
    elif summary is not None:
        summary.unlink(missing_ok=True)
