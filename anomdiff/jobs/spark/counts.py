"""What the summary and the statuses of series count, counted by Spark."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.integrations.spark.frames import collected, grouped, quoted
from anomdiff.jobs.batch.series_status import FAILED, SCORED, TOO_SHORT, UNKNOWN
from anomdiff.jobs.batch.summary import ScoreSummary

__all__ = ["SparkSummary", "p_value_counts", "repeated_keys", "segments", "series_status"]

# Scores and labels on the driver, in 5 bytes each; of more rows, quantiles and quality are those
# of a sample.
MAX_SAMPLE = 10_000_000


class SparkSummary(ScoreSummary):
    """Rows, alarms and missing cells of a scored frame, and its scores or a sample of them."""

    def __init__(self, columns: list[str], scored: Any):
        super().__init__(columns)
        counts = grouped(
            scored,
            [],
            rows="count(*)",
            judged="count(anomaly_score)",
            alarms="count_if(is_anomaly)",
            failed="count(row_failed)",
            top="max(anomaly_score)",
        ).to_pylist()[0]
        self.rows, self.alarms, self.failed = (counts[n] for n in ("rows", "alarms", "failed"))
        self._not_judged, self._top = self.rows - counts["judged"], counts["top"]
        self.missing = pd.Series(_missing(scored, len(columns)), index=columns)
        rows = collected(
            scored,
            ["cast(anomaly_score as float) as score", "row_label"],
            share=min(1.0, MAX_SAMPLE / max(self.rows, 1)),
        )
        self.scores = [rows["score"].to_numpy()]
        self.labels = [rows["row_label"].to_numpy()]

    def to_dict(self) -> dict[str, Any]:
        """Counts, rates, quantiles and quality, as JSON values."""
        found = super().to_dict()
        if self._top is not None:
            found["score_quantiles"]["1.0"] = float(np.float32(self._top))
        return {**found, "rows_not_judged": self._not_judged}


def p_value_counts(scored: Any) -> pd.Series:
    """How many rows have each p-value."""
    found = grouped(scored.where("p_value is not null"), ["p_value"], rows="count(*)").to_pandas()
    return found.set_index("p_value")["rows"].astype(float).sort_index()


def segments(scored: Any) -> set[str]:
    """Values of the column that tells segments apart."""
    found = scored.selectExpr("explode(batch_segments) as value")
    return set(grouped(found, ["value"], rows="count(*)")["value"].to_pylist())


def series_status(scored: Any, series: str, kind: pa.DataType) -> pd.DataFrame:
    """What became of each series, in the order in which they begin.

    Parameters
    ----------
    scored : pyspark.sql.DataFrame
        Scored steps.
    series : str
        Column of the series.
    kind : DataType
        Its type.

    Returns
    -------
    status : DataFrame
        ``series``, ``rows``, ``alarms`` and ``status`` as ``SeriesScorer`` has them, ``failed``
        (why, or None) and ``top``, the highest score of its alarms.
    """
    found = grouped(
        scored,
        [series],
        first="min(row)",
        rows="count(*)",
        alarms="count_if(is_anomaly)",
        judged="count(anomaly_score)",
        known="bool_or(row_known)",
        failed="max(row_failed)",
        top="max(if(is_anomaly, anomaly_score, null))",
    ).sort_by("first")
    frame = found.to_pandas()
    cases = [frame["judged"] == 0, ~frame["known"]]
    status = pd.Series(np.select(cases, [TOO_SHORT, UNKNOWN], SCORED), dtype=object)
    failed = frame["failed"].notna()
    status[failed] = [f"{FAILED}: {reason}" for reason in frame["failed"][failed]]
    labels = found.column(series).cast(kind).to_pandas().astype(object)
    return frame[["rows", "alarms", "failed", "top"]].assign(series=labels, status=status)


def repeated_keys(scored: Any, keys: list[str]) -> tuple[int, int, int] | None:
    """Rows that have the key of an earlier one, and the first of them and that; None if none."""
    same = ", ".join(map(quoted, keys))
    found = scored.selectExpr("row", f"min(row) over (partition by {same}) as earlier")
    found = grouped(
        found.where("row > earlier"), [], rows="count(*)", first="min(struct(row, earlier))"
    ).to_pylist()[0]
    if not found["rows"]:
        return None
    return found["rows"], found["first"]["row"], found["first"]["earlier"]


def _missing(scored: Any, n_columns: int) -> np.ndarray:
    """Missing cells by column."""
    found = scored.selectExpr("posexplode(batch_missing) as (place, missing)")
    totals = grouped(found, ["place"], missing="sum(missing)").to_pydict()
    missing = np.zeros(n_columns, dtype=np.int64)
    missing[totals["place"]] = totals["missing"]
    return missing
