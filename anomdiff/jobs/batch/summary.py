"""The summary of a scored file, counted batch by batch."""

from typing import Any

import numpy as np
import pandas as pd

from anomdiff.metrics.detection import auroc, average_precision

__all__ = ["ScoreSummary"]

SUMMARY_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


class ScoreSummary:
    """Rows, alarms, missing cells and scores of all batches, in 5 bytes per row."""

    def __init__(self, columns: list[str]):
        self.rows = self.alarms = self.failed = 0
        self.missing = pd.Series(0, index=columns)
        self.scores: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def add(
        self, scored: pd.DataFrame, missing: pd.Series, labels: np.ndarray, failed: int = 0
    ) -> None:
        """Count a batch: its scored frame, missing cells by column, and known labels.

        Of ``failed`` rows, those of series that cannot be scored, no missing cells are counted.
        """
        self.rows += len(scored)
        self.failed += failed
        self.alarms += int(scored["is_anomaly"].sum())
        self.missing += missing
        self.scores.append(scored["anomaly_score"].to_numpy(np.float32))
        self.labels.append(labels)

    def to_dict(self) -> dict[str, Any]:
        """Counts, rates, quantiles and quality, as JSON values."""
        scores = np.concatenate(self.scores)
        judged = ~np.isnan(scores)
        labels = np.where(judged, np.concatenate(self.labels), -1)
        quantiles = np.full(len(SUMMARY_QUANTILES), np.nan)
        if judged.any():
            quantiles = np.quantile(scores[judged], SUMMARY_QUANTILES)
        return {
            "rows": self.rows,
            "rows_not_judged": int((~judged).sum()),
            "alarms": self.alarms,
            "alarm_rate": self.alarms / self.rows,
            "score_quantiles": dict(
                zip(map(str, SUMMARY_QUANTILES), quantiles.tolist(), strict=True)
            ),
            "missing_rates": (self.missing / (self.rows - self.failed)).to_dict(),
            "quality": _quality(labels, scores),
        }


def _quality(labels: np.ndarray, scores: np.ndarray) -> dict[str, Any] | None:
    """Compare with the labels; None where they are missing or all the same."""
    labels, scores = labels[labels >= 0], scores[labels >= 0]
    if len(np.unique(labels)) < 2:
        return None
    return {
        "labelled_rows": len(labels),
        "anomalies": int(labels.sum()),
        "auroc": auroc(labels, scores),
        "average_precision": average_precision(labels, scores),
    }
