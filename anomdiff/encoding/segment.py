"""Consecutive steps of one series: what panels are cut into, scaled, scored and explained."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

__all__ = ["Segment"]

Array = TypeVar("Array", bound=Any)  # ndarray or Tensor; this room does not know torch


@dataclass(frozen=True, eq=False)
class Segment(Generic[Array]):
    """Consecutive steps of one series, as read (ndarray) or scaled (Tensor)."""

    series: Any  # label; None where there is only one
    rows: np.ndarray  # places of the steps in the frame, (step,)
    values: Array  # (step, channel): as read, NaN where missing; scaled, 0 where missing
    observed: Array  # (step, channel), False where missing
    times: np.ndarray | None = None  # ascending numbers; None where rows are only in order
    start: int = 0  # place of the first step where all segments of a frame lie apart
    known: bool = True  # whether training showed the series
    # What scaled steps are decoded with, (step, channel) each, where it differs from step to step.
    mean: np.ndarray | None = None
    std: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def slice(self, start: int, stop: int) -> "Segment[Array]":
        """Return the steps from ``start`` up to ``stop``."""
        part = slice(start, stop)
        return dataclasses.replace(
            self,
            rows=self.rows[part],
            values=self.values[part],
            observed=self.observed[part],
            times=None if self.times is None else self.times[part],
            mean=None if self.mean is None else self.mean[part],
            std=None if self.std is None else self.std[part],
            start=self.start + start,
        )
