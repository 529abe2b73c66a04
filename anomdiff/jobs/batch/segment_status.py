"""What became of each segment of a table: its own model, the shared one, or unknown to it."""

from typing import Any

import pandas as pd

from anomdiff.encoding.schema import Schema
from anomdiff.models.segmented_model import SegmentedModel

__all__ = ["SegmentStatus"]

SCORED, SHARED, UNKNOWN = "scored", "shared", "unknown"


class SegmentStatus:
    """Collects the values of the column that tells segments apart; of other models nothing."""

    def __init__(self, detector: Any):
        model = getattr(detector, "model_", None)
        self.model = model if isinstance(model, SegmentedModel) else None
        self.values: set[str] = set()

    def add(self, rows: pd.DataFrame, scored: pd.DataFrame) -> None:
        """Take in a batch: rows as the model reads them."""
        if self.model is None:
            return
        by, schema = self.model.by, self.model.schema
        column = tuple(each for each in schema.columns if each.name == by)
        cells = Schema(column, schema.max_unreadable).check(rows[[by]])[by]
        self.values.update(cells.dropna().unique())

    def counts(self) -> dict[str, Any]:
        """Count the values by status, and list those without a model of their own."""
        if self.model is None:
            return {}
        status = {value: self._status(value) for value in sorted(self.values)}
        kinds = list(status.values())
        others = {value: each for value, each in status.items() if each != SCORED}
        counts = {each: kinds.count(each) for each in (SCORED, SHARED, UNKNOWN)}
        return {"segments": counts, "segment_status": others}

    def _status(self, value: str) -> str:
        assert self.model is not None
        if value in self.model.own:
            return SCORED
        return SHARED if value in self.model.rows_of_value else UNKNOWN
