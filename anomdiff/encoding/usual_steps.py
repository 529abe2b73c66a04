"""How far apart the steps of each series are as a rule, and what is a gap or another step."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

__all__ = ["STEP_ROWS", "StepRange", "UsualSteps", "infer_steps", "shown_step"]

# Where time jumps by more than this many usual steps, a new segment begins.
GAP = 3.0
# Steps that differ from those of training by more than this factor are other steps: windows of
# them hold another length of time, or one row only. So many rows tell what their usual step is.
OTHER_STEP, STEP_ROWS = 1.08, 9
# So many steps one after the other that are all longer, or all shorter, are other ones: single rows
# that are missing and jitter hardly make as many, and the shortest windows hold no more.
RUN_STEPS = 7
# Standard errors by which the median of irregular steps may miss those of training besides; one
# error in interquartile ranges over the root of their number, as of a Gaussian.
MEDIAN_ERRORS, MEDIAN_ERROR = 3.0, 0.93
# Steps of a series in training are within these quantiles, those over gaps left out.
RANGE = (0.1, 0.9)


class StepRange(NamedTuple):
    """Differences of the times of a series: usual ones, short ones and long ones."""

    usual: float
    least: float
    most: float

    def holds(self, step: float | np.ndarray, error: float) -> bool | np.ndarray:
        """Tell whether a usual step, known up to an error, is as in training."""
        low, high = self.least / OTHER_STEP - error, self.most * OTHER_STEP + error
        return (low <= step) & (step <= high)

    def widened(self, step: float) -> "StepRange":
        """Range that holds a further step, unless that is a gap."""
        if not self.usual / GAP <= step <= self.usual * GAP:
            return self
        return StepRange(self.usual, min(self.least, step), max(self.most, step))


class UsualSteps:
    """Steps of all series of training, looked up by the label of a series.

    Parameters
    ----------
    step : float or None
        Usual step of all series together; None where rows are only in order.
    by_series : tuple of (label, usual, least, most)
        Those of each series; none in models of older formats.
    """

    def __init__(self, step: float | None, by_series: tuple = ()):
        self.step = step or None
        self.known = {label: StepRange(*found) for label, *found in by_series}
        one = [] if self.step is None else [StepRange(self.step, self.step, self.step)]
        self.ranges = sorted(set(self.known.values())) or one
        self.alike = len(self.ranges) < 2 or self.ranges[-1].usual <= OTHER_STEP * (
            self.ranges[0].usual
        )

    def of(self, series: Any, times: np.ndarray | None = None) -> float | None:
        """Usual step of a series; of an unknown one, the known step nearest to that of its times.

        The longest known step where nothing tells: nothing is cut that belongs together.
        """
        if series in self.known:
            return self.known[series].usual
        if self.step is None or self.alike:
            return self.step
        if times is None or len(times) < STEP_ROWS:
            return self.ranges[-1].usual
        return _nearest(self.ranges, float(np.median(np.diff(times)))).usual

    def is_gap(
        self, differences: float | np.ndarray, series: Any, times: np.ndarray | None = None
    ) -> bool | np.ndarray:
        """Tell whether times this far apart are no neighbours."""
        step = self.of(series, times)
        return differences > (np.inf if step is None else GAP * step)

    def other(self, series: Any, differences: np.ndarray) -> float | None:
        """Usual one of the differences of times, where it is none of training, else None."""
        if self.step is None or len(differences) < STEP_ROWS - 1:
            return None
        return self._other(self._own(series), differences)

    def in_other_runs(self, series: Any, times: np.ndarray) -> np.ndarray:
        """Tell the rows that are part of a run of other steps than those of training.

        Parameters
        ----------
        series : label
            Of the series.
        times : ndarray of shape (row,)
            Ascending times of all its rows.

        Returns
        -------
        others : bool ndarray of shape (row,)
            Rows before and after which steps are other ones, ``RUN_STEPS`` of them or more one
            after the other. Where most are so long that they are gaps, rows stand alone anyway.
        """
        others, differences = np.zeros(len(times), dtype=bool), np.diff(times)
        if self.step is None or len(differences) < RUN_STEPS:
            return others
        own, usual = self._own(series), self.of(series, times)
        inside = np.any([np.asarray(each.holds(differences, 0.0)) for each in own], axis=0)
        side = np.where(inside, 0, np.where(differences > usual, 1, -1))
        ends = np.flatnonzero(np.diff(side)) + 1
        for start, stop in zip([0, *ends], [*ends, len(side)], strict=True):
            if not side[start] or stop - start < RUN_STEPS:
                continue
            step = self._other(own, differences[start:stop])
            if step is not None and not self.is_gap(step, series, times):
                last = stop + (stop == len(side))
                others[start + (start > 0) : last] = True
        return others

    def _own(self, series: Any) -> list[StepRange]:
        """Steps that a series may have: its own, those of any where training did not show it."""
        return [self.known[series]] if series in self.known else self.ranges

    @staticmethod
    def _other(own: list[StepRange], differences: np.ndarray) -> float | None:
        """Usual one of the differences, where none of the ranges holds it, else None."""
        found = float(np.median(differences))
        apart = float(np.subtract(*np.quantile(differences, (0.75, 0.25))))
        error = MEDIAN_ERRORS * MEDIAN_ERROR * apart / len(differences) ** 0.5
        return None if any(each.holds(found, error) for each in own) else found


def infer_steps(series: Iterable[tuple[Any, np.ndarray]]) -> tuple[float | None, tuple]:
    """Find the usual step of all series together, and the steps of each.

    Parameters
    ----------
    series : iterable of (label, times)
        Ascending times of each series, of shape (row,).

    Returns
    -------
    step : float or None
        Median difference; None where no series has two times.
    by_series : tuple of (label, usual, least, most)
        As ``UsualSteps`` takes them. A series of a few rows has the steps of the longer one that
        is most like it, and its own.
    """
    differences = {label: _positive(np.diff(times)) for label, times in series}
    together = np.concatenate([*differences.values(), np.empty(0)])
    if not len(together):
        return None, ()
    long = {label: _range(d) for label, d in differences.items() if len(d) >= STEP_ROWS - 1}
    ranges = sorted(set(long.values())) or [_range(together)]
    usual = float(np.median(together))
    medians = {label: float(np.median(d)) if len(d) else usual for label, d in differences.items()}
    found = {
        label: long.get(label) or _nearest(ranges, median).widened(median)
        for label, median in medians.items()
    }
    return usual, tuple((label, *each) for label, each in found.items())


def shown_step(step: float | None, is_time: bool) -> str:
    """Write a step as a duration if times are dates or durations, else as a number."""
    if step is None:
        return "unknown"
    return str(pd.Timedelta(step, "ns")) if is_time else f"{step:g}"


def _positive(differences: np.ndarray) -> np.ndarray:
    """Differences of times that are not the same."""
    return differences[differences > 0].astype(float)


def _range(differences: np.ndarray) -> StepRange:
    usual = float(np.median(differences))
    least, most = np.quantile(differences[differences <= GAP * usual], RANGE).tolist()
    return StepRange(usual, min(least, usual), max(most, usual))


def _nearest(ranges: list[StepRange], step: float) -> StepRange:
    """Range whose usual step has the smallest ratio to this one."""
    return min(ranges, key=lambda each: abs(np.log(each.usual / step)))
