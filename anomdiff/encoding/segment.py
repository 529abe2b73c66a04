"""Consecutive steps of one series: what panels are cut into, scaled, scored and explained."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

__all__ = ["Segment"]

Array = TypeVar("Array", bound=Any)  # ndarray or Tensor; this room does not know torch


@dataclass(frozen=True, eq=False)
class Segment(Generic[Array]):
    """Consecutive steps of one series, as read (ndarray) or scaled (Tensor).

    Parameters
    ----------
    series : object
        Label of the series; None where there is only one.
    rows : int ndarray of shape (step,)
        Places of the steps in the frame.
    values : float array of shape (step, channel)
        As read, NaN where missing; scaled, in standard deviations and 0 where missing.
    observed : bool array of shape (step, channel)
        False where missing.
    times : ndarray of shape (step,), optional
        Ascending numbers; None where rows are only in order.
    start : int, default=0
        Place of the first step on an axis on which all segments of a frame lie apart.
    known : bool, default=True
        Whether training showed the series.
    """

    series: Any
    rows: np.ndarray
    values: Array
    observed: Array
    times: np.ndarray | None = None
    start: int = 0
    known: bool = True

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
            start=self.start + start,
        )
