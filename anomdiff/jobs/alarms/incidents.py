"""The alarm table of series: one line per incident, a segment of flagged steps, the worst first."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.explain.alarm_segments import alarm_rows, in_order
from anomdiff.explain.localisation import runs
from anomdiff.explain.reasons import reason_cells
from anomdiff.explain.segment_kinds import alarm_kinds
from anomdiff.jobs.alarms.batch import (
    AlarmOptions,
    PValueCounts,
    largest,
    reason_types,
    severities,
)
from anomdiff.jobs.alarms.continued import MAY_GO_ON, continue_incidents, incident_times
from anomdiff.jobs.alarms.muting import Muting
from anomdiff.jobs.alarms.rows import NUMBERS

__all__ = ["IncidentAlarms"]


# Parts of one incident in two nights are at most this many of the shortest windows apart: of a
# fault that lasts, the last steps before the end of a series are often not flagged, up to 40 with
# windows of 8 and more.
APART_WINDOWS = 8
# An incident is ongoing if its alarms end at most `join` steps, or so many of the shortest windows,
# before their series: with windows of 8, those of a fault that lasts end up to 9 steps before, and
# those of one that has ended 20 steps before from 11 on.
ONGOING_WINDOWS = 1.25


class IncidentAlarms:
    """Collects the incidents of all batches of whole series.

    Each batch explains those of its incidents that may be among the worst of all; at last only
    these keep their kind and their reasons, so that the table does not depend on the batches.
    ``previous`` is last night's table, all cells as text, if there is one; ``series`` is the type
    of the labels of series; ``muting`` is what mutes lines, if anything does.
    """

    def __init__(
        self,
        detector: Any,
        options: AlarmOptions,
        previous: pd.DataFrame | None,
        series: pa.DataType,
        muting: Muting | None = None,
    ):
        self.detector, self.options, self.previous = detector, options, previous
        self.muting = muting
        self.p_values = PValueCounts()
        self.layout = detector.layout_
        self._time_type: pa.DataType = pa.int64()
        self._series = [] if self.layout.series is None else [("series", series)]
        self._parts: list[pd.DataFrame] = []
        self._worst = np.empty(0)

    @property
    def schema(self) -> pa.Schema:
        """Types of the table; those of the times are as the batches have them."""
        return pa.schema(
            [
                ("incident_id", pa.string()),
                ("new", pa.bool_()),
                ("batch_date", pa.date32()),
                *self._series,
                ("start", self._time_type),
                ("end", self._time_type),
                ("ongoing", pa.bool_()),
                (MAY_GO_ON, pa.bool_()),
                ("steps", pa.int64()),
                ("channels", pa.string()),
                ("kind", pa.string()),
                *NUMBERS.items(),
                *({} if self.muting is None else self.muting.types).items(),
                *reason_types(self.options.n_reasons).items(),
            ]
        )

    def add(self, rows: pd.DataFrame, scored: pd.DataFrame) -> None:
        """Take the incidents of a batch: whole series as the model reads them, and their scores."""
        self.p_values.add(scored["p_value"])
        _, kind = incident_times(self.layout, rows)
        found = self.of_series(rows, scored)
        self.take(pd.DataFrame() if found is None else found, kind)

    def take(self, found: pd.DataFrame, kind: pa.DataType) -> None:
        """Take incidents that ``of_series`` has found, whose times are of a kind."""
        if self._time_type != pa.float64():
            self._time_type = kind
        if len(found):
            self._parts.append(found)

    def explain_from(self, floor: float) -> None:
        """Explain no incident of a lower score: as many as are explained are known to be above."""
        below = np.nextafter(floor, -np.inf)
        self._worst = np.full(self.options.max_explained if np.isfinite(floor) else 0, below)

    def of_series(self, rows: pd.DataFrame, scored: pd.DataFrame) -> pd.DataFrame | None:
        """Incidents of whole series, with reasons where they may be among the worst of all."""
        times, _ = incident_times(self.layout, rows)
        found = self.detector.segments(scored, join=self.options.join)
        steps = alarm_rows(scored, self.layout.series, self.layout.time, self.options.join)
        if not steps:
            return None
        scores, p_values = scored["anomaly_score"].to_numpy(), scored["p_value"].to_numpy()
        peaks = np.array([own[np.nanargmax(scores[own])] for own in steps])
        begins, ongoing, may_go_on = self._at_the_ends(scored, steps)
        part = pd.DataFrame(
            {
                "start": times.take([own[0] for own in steps]),
                "end": times.take([own[-1] for own in steps]),
                "begins": begins,
                "ongoing": ongoing,
                MAY_GO_ON: may_go_on,
                "steps": [len(own) for own in steps],
                "channels": [", ".join(map(str, named)) for named in found["channels"]],
                "anomaly_score": scores[peaks],
                "p_value": p_values[peaks],
            }
        )
        label = None if self.layout.series is None else found[self.layout.series].to_numpy()
        part["series"] = label
        return part.join(self._explained(rows, scored, steps, peaks, found))

    def to_frame(self) -> pd.DataFrame:
        """Lay all incidents out, with the columns of ``schema``."""
        if not self._parts:
            return self.schema.empty_table().to_pandas()
        found = pd.concat(self._parts, ignore_index=True)
        order = largest(found["anomaly_score"].to_numpy(), len(found))
        found = found.iloc[order].reset_index(drop=True)
        explained = ["kind", *reason_types(self.options.n_reasons)]
        found.loc[self.options.max_explained :, explained] = None
        found["q_value"] = self.p_values.q_values(found["p_value"])
        found["severity"] = severities(self.detector, found["anomaly_score"])
        found["batch_date"] = self.options.batch_date
        found = continue_incidents(found, self.previous, self.layout, self._most_apart)
        if self.muting is not None:
            cells = found[["series"]].set_axis([str(self.layout.series)], axis=1)
            found = self.muting.settle(found.join(self.muting.of_rows(cells, None)))
        return found[self.schema.names]

    @property
    def _edge(self) -> int:
        """Steps at either end of a series that the shortest windows see less of than of others."""
        return max(self.options.join, min(self.detector.window_lengths_))

    @property
    def _most_apart(self) -> int:
        """Most steps between the parts of an incident in two nights."""
        return max(self.options.join + 1, APART_WINDOWS * min(self.detector.window_lengths_))

    def _at_the_ends(
        self, scored: pd.DataFrame, steps: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Whether incidents begin with their series, are ongoing at its end, and may go on there.

        Alarms alone tell what is ongoing. For the ends that another night is compared with, the
        steps around an incident count too that score high, because windows which cover them hold
        it.
        """
        high = scored["is_anomaly"].to_numpy(bool)
        high = high | (scored["anomaly_score"].to_numpy() > self.detector.threshold_)
        before, after, left = np.zeros((3, len(scored)), dtype=int)
        for _, rows in in_order(scored, self.layout.series, self.layout.time):
            left[rows] = np.arange(len(rows))[::-1]
            for start, stop in runs(high[rows], 0):
                before[rows[start:stop]], after[rows[start:stop]] = start, len(rows) - stop
        last = [own[-1] for own in steps]
        few = max(self.options.join, ONGOING_WINDOWS * min(self.detector.window_lengths_))
        begins = before[[own[0] for own in steps]] <= self._edge
        return begins, left[last] <= few, after[last] <= self._edge

    def _explained(
        self,
        rows: pd.DataFrame,
        scored: pd.DataFrame,
        steps: Sequence[np.ndarray],
        peaks: np.ndarray,
        found: pd.DataFrame,
    ) -> pd.DataFrame:
        """Kinds and reasons of the incidents that may be among the worst of all batches."""
        n_reasons, n = self.options.n_reasons, self.options.max_explained
        columns = ["kind", *reason_types(n_reasons)]
        scores = found["anomaly_score"].to_numpy()
        together = np.concatenate([self._worst, scores])
        chosen = largest(together, n)
        self._worst, places = together[chosen], chosen[chosen >= len(together) - len(scores)]
        places = places - (len(together) - len(scores))
        if not len(places):
            return pd.DataFrame(index=found.index, columns=columns, dtype=object)
        readable = self._readable(rows, peaks[places])
        kinds = alarm_kinds(
            self.detector.model_,
            readable,
            scored.loc[readable.index],
            _within(readable, rows, [steps[place] for place in places]),
            found["channels"].iloc[places],
        )
        asked = rows.index[peaks[places]]
        reasons = self.detector.explain(readable, top=n_reasons, rows=asked)
        cells = reason_cells(reasons, n_reasons).loc[asked].set_index(found.index[places])
        return cells.assign(kind=kinds).reindex(index=found.index, columns=columns)

    def _readable(self, rows: pd.DataFrame, asked: np.ndarray) -> pd.DataFrame:
        """Series that some rows are of, with missing cells where they cannot be read."""
        if self.layout.series is not None:
            labels = rows[self.layout.series]
            rows = rows[labels.isin(labels.iloc[asked]).to_numpy()]
        return _blanked(rows, self.layout.unreadable(rows))


def _blanked(rows: pd.DataFrame, unreadable: pd.DataFrame) -> pd.DataFrame:
    """Rows with missing cells where they cannot be read."""
    blanked = rows.copy(deep=False)
    for name in unreadable.columns[unreadable.any()]:
        blanked[name] = rows[name].mask(unreadable[name])
    return blanked


def _within(
    part: pd.DataFrame, rows: pd.DataFrame, steps: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """Numbers of the rows of some steps within a part of the rows."""
    return [part.index.get_indexer(rows.index[own]) for own in steps]
