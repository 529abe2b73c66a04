"""The alarm table of a table: one line per flagged row, the worst first."""

from typing import Any

import pandas as pd
import pyarrow as pa

from anomdiff.explain.reasons import reason_cells
from anomdiff.jobs.alarms.batch import (
    AlarmOptions,
    PValueCounts,
    largest,
    reason_types,
    severities,
)
from anomdiff.jobs.alarms.muting import Muting
from anomdiff.jobs.exit_codes import SettingsError

__all__ = ["RowAlarms"]

NUMBERS = {
    "anomaly_score": pa.float64(),
    "p_value": pa.float64(),
    "q_value": pa.float64(),
    "severity": pa.float64(),
}


class RowAlarms:
    """Collects the alarms of all batches; memory holds them, and the rows that are explained.

    ``keys`` are the types of the columns that tell rows apart, beside the number of the row. One
    that is named like another column of the table is a ``SettingsError``. ``muting`` is what mutes
    lines, if anything does.
    """

    def __init__(
        self, detector: Any, options: AlarmOptions, keys: pa.Schema, muting: Muting | None = None
    ):
        self.detector, self.options, self.p_values = detector, options, PValueCounts()
        self.muting = muting
        self.schema = pa.schema(
            [
                ("row", pa.int64()),
                *keys,
                ("batch_date", pa.date32()),
                *NUMBERS.items(),
                *({} if muting is None else muting.types).items(),
                *reason_types(options.n_reasons).items(),
            ]
        )
        taken = [name for name in keys.names if self.schema.names.count(name) > 1]
        if taken:
            raise SettingsError(
                f"need other names for the key columns {taken}; the alarm table has them."
            )
        self._alarms: list[pd.DataFrame] = []
        self._worst = pd.DataFrame()
        self._worst_scores = pd.Series(dtype=float)

    def add(
        self, keys: pd.DataFrame, cells: pd.DataFrame, rows: pd.DataFrame, scored: pd.DataFrame
    ) -> None:
        """Take the alarms of a batch.

        Parameters are the key columns, those that rules look at, the rows as the model reads them,
        and their scores.
        """
        self.p_values.add(scored["p_value"])
        flagged = scored["is_anomaly"].to_numpy(bool)
        if not flagged.any():
            return
        found = scored.loc[flagged, ["anomaly_score", "p_value"]]
        ranks = found["anomaly_score"]
        if self.muting is not None:
            told = self.muting.of_rows(cells[flagged], rows[flagged])
            if "priority" in told:  # what is muted is explained last
                ranks = told["priority"].where(told["muted_by"] == "", -1.0)
            found = found.join(told)
        self._alarms.append(keys[flagged].assign(row=found.index, **found))
        scores = pd.concat([self._worst_scores, ranks])
        worst = largest(scores.to_numpy(), self.options.max_explained)
        self._worst_scores = scores.iloc[worst]
        own = rows[flagged][found.index.isin(self._worst_scores.index)]
        known = self._worst[self._worst.index.isin(self._worst_scores.index)]
        self._worst = pd.concat([known, own]) if len(known) else own

    def to_frame(self) -> pd.DataFrame:
        """Lay all alarms out, with the columns of ``schema``."""
        if not self._alarms:
            return self.schema.empty_table().to_pandas()
        found = pd.concat(self._alarms)
        found["batch_date"] = self.options.batch_date
        found["q_value"] = self.p_values.q_values(found["p_value"])
        found["severity"] = severities(self.detector, found["anomaly_score"])
        found = found.join(self._reasons())
        order = largest(found["anomaly_score"].to_numpy(), len(found))
        found = found.iloc[order]
        return (found if self.muting is None else self.muting.settle(found))[self.schema.names]

    def _reasons(self) -> pd.DataFrame:
        """Reasons of the worst alarms."""
        n_reasons = self.options.n_reasons
        if not len(self._worst):
            return pd.DataFrame(columns=list(reason_types(n_reasons)), dtype=object)
        readable = self._worst.mask(self.detector.schema_.unreadable(self._worst))
        return reason_cells(self.detector.explain(readable, top=n_reasons), n_reasons)
