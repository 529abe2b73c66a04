"""What became of each series: scored, too short, unknown, or failed; one never fails the others."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.jobs.model_columns import PanelColumns, TableColumns

__all__ = [
    "FAILED",
    "SCORED",
    "STATUS_TYPES",
    "TOO_SHORT",
    "UNKNOWN",
    "BatchScores",
    "SeriesScorer",
    "status_counts",
]

SCORED, TOO_SHORT, UNKNOWN, FAILED = "scored", "too short", "unknown", "failed"
STATUS_TYPES = {
    "series": pa.string(),
    "rows": pa.int64(),
    "alarms": pa.int64(),
    "status": pa.string(),
}


class BatchScores(NamedTuple):
    """A batch: the rows of which a model has scores, as it reads them, and these scores."""

    rows: pd.DataFrame
    scored: pd.DataFrame


class SeriesScorer:
    """Scores batches, and series by series where one of a batch cannot be scored.

    Attributes
    ----------
    failed : dict
        Why a series cannot be scored, by its label in the table; what is in it already is what
        could not be read.
    """

    def __init__(
        self,
        detector: Any,
        columns: TableColumns | PanelColumns,
        failed: dict[Hashable, str],
        score: Callable[[pd.DataFrame], pd.DataFrame],
    ):
        self.detector, self.columns, self.failed = detector, columns, failed
        self._score = score
        self._seen: list[pd.DataFrame] = []

    def score(self, frame: pd.DataFrame) -> BatchScores | None:
        """Score a batch of whole series, or of rows; None if all of its series have failed.

        Raises
        ------
        ValueError
            If rows cannot be scored that are of no series.
        """
        series = self.columns.series
        if series is None:
            return self._scores(frame)
        able = frame[~frame[series].isin(list(self.failed))]
        try:
            found = self._scores(able) if len(able) else None
        except ValueError:
            found = self._one_by_one(able, series)
        self._keep(frame, series, found)
        return found

    def status(self) -> pd.DataFrame:
        """One row per series, with the columns of ``STATUS_TYPES``."""
        return pd.concat(self._seen, ignore_index=True)

    def require_some(self) -> None:
        """Refuse a table of which no series could be scored.

        Raises
        ------
        ValueError
            If there is none, with what is wrong with the first.
        """
        if self.failed and len(self.failed) == sum(map(len, self._seen)):
            raise ValueError(next(iter(self.failed.values())))

    def _scores(self, frame: pd.DataFrame) -> BatchScores:
        rows = self.columns.rows(frame)
        return BatchScores(rows, self._score(rows))

    def _one_by_one(self, frame: pd.DataFrame, series: Hashable) -> BatchScores | None:
        """Scores of the series that can be scored; the others are kept with what is wrong."""
        parts = []
        for label, part in frame.groupby(series, sort=False, observed=True):
            try:
                parts.append(self._scores(part))
            except ValueError as error:
                self.failed[label] = " ".join(str(error).split())
        if not parts:
            return None
        return BatchScores(*(pd.concat(each) for each in zip(*parts, strict=True)))

    def _keep(self, frame: pd.DataFrame, series: Hashable, found: BatchScores | None) -> None:
        """Keep how many rows and alarms each series has, and its status."""
        labels = frame[series]
        judged, flagged, known = (pd.Series(False, index=frame.index) for _ in range(3))
        if found is not None:
            index = found.rows.index
            judged[index] = found.scored["anomaly_score"].notna().to_numpy()
            flagged[index] = found.scored["is_anomaly"].to_numpy(bool)
            own = found.rows[self.detector.layout_.series]
            known[index] = own.isin(list(self.detector.model_.scaler.scales)).to_numpy()
        cells = pd.DataFrame({"judged": judged, "flagged": flagged, "known": known, "rows": 1})
        counts = cells.groupby(labels, sort=False, observed=True).sum()
        cases = [counts["judged"] == 0, counts["known"] == 0]
        status = np.select(cases, [TOO_SHORT, UNKNOWN], SCORED)
        told = [
            f"{FAILED}: {self.failed[label]}" if label in self.failed else own
            for label, own in zip(counts.index, status.tolist(), strict=True)
        ]
        self._seen.append(
            pd.DataFrame(
                {
                    "series": counts.index,
                    "rows": counts["rows"].to_numpy(),
                    "alarms": counts["flagged"].to_numpy(),
                    "status": told,
                }
            )
        )


def status_counts(status: pd.DataFrame) -> dict[str, Any]:
    """Count the series by their status, and list those that are not just scored."""
    kinds = status["status"].str.partition(":")[0]
    others = status[kinds != SCORED]
    counts = {each: int((kinds == each).sum()) for each in (SCORED, UNKNOWN, TOO_SHORT, FAILED)}
    return {"series": counts, "series_status": dict(others[["series", "status"]].to_numpy())}
