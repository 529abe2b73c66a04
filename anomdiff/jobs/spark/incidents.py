"""Incidents of one series, found on a worker, and brought to the alarm table of all."""

import io
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from anomdiff.jobs.alarms.batch import AlarmOptions
from anomdiff.jobs.alarms.incidents import IncidentAlarms
from anomdiff.jobs.spark.worker import SCORES, Work, series_rows

__all__ = ["PARTS", "IncidentFinder", "frames_of"]

# What comes back: the first row of a series, and its incidents as an Arrow file.
PARTS = pa.schema([("row", pa.int64()), ("incidents", pa.binary())])


@dataclass(frozen=True)
class IncidentFinder:
    """Finds the incidents of a scored series; those of scores below ``floor`` are not explained."""

    work: Work
    options: AlarmOptions
    floor: float
    series: pa.DataType

    def __call__(self, steps: pa.Table) -> pa.Table:
        """Incidents of a series; no row if it has none."""
        steps = steps.sort_by("row")
        if not pc.any(steps.column("is_anomaly")).as_py():
            return PARTS.empty_table()
        model = self.work.model()
        frame = self.work.cells.read(steps, pd.Index(steps.column("row").to_numpy()))
        rows = series_rows(model, frame, self.work.cells.kind)
        results = steps.select(SCORES).to_pandas().set_axis(rows.index)
        scored = results.assign(**model.detector.layout_.labels(rows))
        alarms = IncidentAlarms(model.detector, self.options, None, self.series)
        alarms.explain_from(self.floor)
        found = alarms.of_series(rows, scored)
        if found is None:
            return PARTS.empty_table()
        return pa.table([[int(rows.index[0])], [_packed(found)]], schema=PARTS)


def frames_of(parts: pa.Table) -> Iterator[pd.DataFrame]:
    """Incidents of each series, in the order in which the series begin."""
    for packed in parts.sort_by("row").column("incidents"):
        with pa.ipc.open_file(io.BytesIO(packed.as_py())) as file:
            yield file.read_all().to_pandas()


def _packed(found: pd.DataFrame) -> bytes:
    rows = pa.Table.from_pandas(found, preserve_index=False)
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, rows.schema) as file:
        file.write_table(rows)
    return sink.getvalue()
