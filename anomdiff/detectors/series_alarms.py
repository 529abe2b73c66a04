"""What a detector of series makes of alarms: segments, their kinds, a fleet, a budget."""

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from anomdiff.encoding.index_levels import levels_as_columns
from anomdiff.explain.alarm_segments import (
    alarm_rows,
    alarm_segments,
    in_order,
    require_other_name,
)
from anomdiff.explain.fleet import fleet_frame
from anomdiff.explain.segment_kinds import alarm_kinds
from anomdiff.models.judged_steps import EVIDENT
from anomdiff.models.window_model import WindowModel
from anomdiff.thresholds.budget import segment_budget_threshold, segment_levels

__all__ = ["SeriesAlarms"]

# Steps this part of the longest window from an alarm, or less, are near to it.
NEAR = 8


class SeriesAlarms:
    """Alarms of a fitted detector of series; mixed into ``TimeSeriesDetector``."""

    model_: WindowModel
    alpha: float
    threshold_: float
    calibration_scores_: Any
    _check: Callable[..., pd.DataFrame]
    _keep_threshold: Callable[..., None]

    def segments(
        self, scored: pd.DataFrame, X: ArrayLike | None = None, *, join: int = 0
    ) -> pd.DataFrame:
        """Alarms in a row as one: from when to when, how strong, which channels, of what kind.

        Parameters
        ----------
        scored : DataFrame
            From ``score_frame`` or ``screen``.
        X : DataFrame or array-like of shape (row, column), optional
            The rows that were scored, in the same order, to tell the kind of each segment; about
            0.2 s each.
        join : int, default=0
            Alarms that are at most this many steps apart belong together.

        Returns
        -------
        segments : DataFrame
            One row per segment: the series (if there are several), ``start``, ``end``, ``peak``
            (times, or index labels), ``steps``, ``anomaly_score`` (at the peak), ``channels``
            (those named at its steps, the most frequent first), and ``context_start`` and
            ``context_end``: the steps around it whose scores are above the threshold, because
            windows that cover them hold it. With ``X`` also ``kind``, of the first channel:

            - ``"spike"``: one to three steps are far from what is expected;
            - ``"shift"``: the level is another, and stays on a plateau;
            - ``"drift"``: the level moves steadily, along a straight line;
            - ``"noise"``: neighbouring steps differ much more than usual;
            - ``"flatline"``: neighbouring steps differ much less than usual;
            - ``"joint"``: the channels do not go together, each by itself is as usual;
            - ``"shape"``: none of these.

        Raises
        ------
        ValueError
            If ``join`` is no such number, ``scored`` is no scored frame, or ``X`` has other rows.
        """
        check_is_fitted(self)
        if not isinstance(join, Integral) or join < 0:
            raise ValueError(f"need join as a whole number of at least 0; got {join!r}.")
        series, time = self.model_.layout.series, self.model_.layout.time
        index = scored.index
        scored = levels_as_columns(scored, (series, time))
        found = alarm_segments(scored, series, time, int(join), self.threshold_)
        if X is None:
            return found
        require_other_name(series, ["kind"])
        frame = self._check(X, by_name=True)
        if not frame.index.equals(index):
            raise ValueError(
                f"need the rows that were scored, in their order; got {len(frame)} rows for "
                f"{len(scored)} scored ones, or another index: pass the X of score_frame(X)."
            )
        rows = alarm_rows(scored, series, time, int(join))
        return found.assign(kind=alarm_kinds(self.model_, frame, scored, rows, found["channels"]))

    def fleet(self, scored: pd.DataFrame) -> pd.DataFrame:
        """Compare the series of a panel: one row each, the worst first.

        Parameters
        ----------
        scored : DataFrame
            From ``score_frame`` or ``screen``.

        Returns
        -------
        fleet : DataFrame
            The series (if there are several), ``rank`` from 1, ``steps``, ``segments`` (of
            alarms), ``flagged`` (share of its steps), of the worst segment ``anomaly_score``,
            ``start``, ``end`` and ``channels`` (missing where there is none), ``mean_score``,
            and ``deviation``: how unlike the others the whole series is, as the robust z-score
            of its median score among those of the series. A short fault raises the scores of
            all windows that hold it: these steps do not count, unless alarms are near to most of
            a series; where hardly any is left, it counts as typical, 0. Missing where fewer than
            three series are left. Series are ranked by their worst segment, those without one by
            their mean score.

        Raises
        ------
        ValueError
            If ``scored`` is no scored frame.

        References
        ----------
        Robust z-score: Iglewicz and Hoaglin (1993), "How to Detect and Handle Outliers".
        """
        series, time = self.model_.layout.series, self.model_.layout.time
        rows = levels_as_columns(scored, (series, time))
        longest = max(self.model_.window_lengths)
        return fleet_frame(
            rows,
            self.segments(scored),
            series,
            time,
            threshold=self.threshold_,
            reach=longest - 1,
            near=longest // NEAR,
        )

    def set_alarm_budget(self, segments_per_1000: float) -> Self:
        """Set the threshold so that normal steps raise about so many segments of alarms.

        ``alpha`` and the p-values stay: they no longer tell which steps are flagged.

        Parameters
        ----------
        segments_per_1000 : float
            About how many segments of flagged steps, on average, per 1,000 steps like those of
            training, or of ``recalibrate``; with several series, 1,000 steps of all together. It
            is counted on these steps: new ones may raise twice as many where they are few, or
            less. A budget beyond what steps that are off themselves can make, some 3, is not used
            up.

        Returns
        -------
        self : TimeSeriesDetector
            The detector, with another ``threshold_``; see ``set_threshold``.

        Raises
        ------
        TypeError, ValueError
            If it is no such number, or the model was stored before segments were counted.

        Warns
        -----
        UserWarning
            If training has too few steps for the budget, so that none is flagged.
        """
        check_is_fitted(self)
        levels = self.model_.segment_levels
        if levels is None:
            raise ValueError(
                "need a model that has counted segments of alarms in training; this one was stored "
                "by an older version: fit it again, or call recalibrate with normal rows."
            )
        n_steps = len(self.calibration_scores_)
        threshold = segment_budget_threshold(levels, n_steps, segments_per_1000)
        self._keep_threshold(threshold, self.alpha)
        return self

    def _recalibrated(self, frame: pd.DataFrame, scores: np.ndarray, extra: Mapping) -> dict:
        """Scores that segments of normal rows reach."""
        orders = [
            rows for _, rows in in_order(frame, self.model_.layout.series, self.model_.layout.time)
        ]
        evident = np.asarray(extra[EVIDENT]) & ~np.isnan(scores)
        parts = ([each[rows] for rows in orders] for each in (scores, evident))
        return {"segment_levels": segment_levels(*parts)}
