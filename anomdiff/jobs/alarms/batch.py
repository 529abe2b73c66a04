"""What the alarms of a batch are compared with: p-values of all rows, and the worst alarms."""

from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from anomdiff.explain.reasons import reason_names
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.thresholds.fdr import q_values
from anomdiff.thresholds.severity import severity

__all__ = ["AlarmOptions", "PValueCounts", "largest", "reason_types", "severities"]


class AlarmOptions(NamedTuple):
    """What the settings say about an alarm table."""

    batch_date: date
    n_reasons: int
    max_explained: int
    join: int

    @classmethod
    def of(cls, settings: ScoreSettings) -> "AlarmOptions":
        """Options of a batch; its date is today if the settings have none."""
        day = settings.batch_date or datetime.now(UTC).date()
        return cls(day, settings.reasons, settings.max_explained, settings.join)


class PValueCounts:
    """How many rows of a batch have each p-value: as many as there are calibration rows at most."""

    def __init__(self, counts: pd.Series | None = None) -> None:
        self.counts = pd.Series(dtype=float) if counts is None else counts

    def add(self, p_values: pd.Series) -> None:
        """Count rows; those without a p-value do not count."""
        self.counts = self.counts.add(p_values.value_counts(), fill_value=0)

    def q_values(self, p_values: pd.Series) -> np.ndarray:
        """Benjamini-Hochberg q-values of some of the rows, within all of them."""
        known = self.counts.index.to_numpy(float)
        found = pd.Series(q_values(known, self.counts.to_numpy()), index=self.counts.index)
        return found.reindex(p_values).to_numpy()


def severities(detector: Any, scores: pd.Series) -> np.ndarray:
    """Severities by what normal rows of the model's calibration score."""
    return severity(scores, detector.calibration_scores_, detector.threshold_)


def largest(scores: np.ndarray, n: int) -> np.ndarray:
    """Places of the largest scores, in their order; of equal ones the first."""
    return np.argsort(-scores, kind="stable")[:n]


def reason_types(n_reasons: int) -> dict[str, pa.DataType]:
    """Arrow types of the cells of some reasons, and of the sentence.

    Values are text, because those of one reason come from columns of different types.
    """
    numbers = {name: pa.float64() for name in reason_names(n_reasons) if "_contribution" in name}
    return dict.fromkeys(reason_names(n_reasons), pa.string()) | numbers
