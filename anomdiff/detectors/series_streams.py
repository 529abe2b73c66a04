"""What a detector of series answers about steps as they come."""

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anomdiff.detectors.stream import PanelStream
from anomdiff.models.judged_steps import EVIDENT, channel_cells
from anomdiff.models.window_model import WindowModel
from anomdiff.thresholds.conformal import conformal_p_values

__all__ = ["SeriesStreams"]


class SeriesStreams:
    """Streams of a fitted detector of series; mixed into ``TimeSeriesDetector``."""

    model_: WindowModel
    stream_: PanelStream
    threshold_: float
    calibration_scores_: Any
    _check: Callable[..., pd.DataFrame]
    _require_fitted: Callable[[], None]
    _scored: Callable[..., pd.DataFrame]

    def score_next(self, rows: ArrayLike) -> pd.DataFrame:
        """Score a stream: rows as they arrive, of one or many series.

        A step's score is final, and the same as in a batch, once ``delay_`` more steps of its
        series are there, at the latest; steps are returned once they are final, many at once.
        Memory and time per step are bounded: where more than 64 series are open, those that are
        behind the others by four of the longest windows have ended, and their last steps are
        returned too.

        Parameters
        ----------
        rows : DataFrame or array-like of shape (row, column)
            The next rows, in the order of their time.

        Returns
        -------
        scored : DataFrame
            As from ``score_frame``, for the steps that have become final; possibly none. Their
            index is that of the rows, or a running number where they had none.

        Raises
        ------
        ValueError
            If a column is missing or unreadable, or a time is not after those before. Rows that
            repeat the time of those before are left out with ``duplicate_times="first"``.

        Warns
        -----
        UserWarning
            Once of a series whose steps are not as far apart as in training, which ``score_frame``
            refuses, and once of steps that are not judged, and of series that training did not show
            where those that it showed differ in mean or spread.
        """
        self._require_fitted()
        numbered = not isinstance(rows, pd.DataFrame | pd.Series)
        return self._final(*self.stream_.push(self._check(rows, by_name=True), numbered))

    def stream(self, rows: ArrayLike) -> pd.DataFrame:
        """Score a stream at once: new rows with scores that may change, others once these do not.

        The same stream as that of ``score_next``, which answers with final scores only. A score
        that is not final is that of a batch of the rows so far: what is around the step on its
        other side is still to come. Rows are flagged as in a batch; of the last 16 of a series also
        those with high scores that are far from normal steps, or held by short windows of high
        error, so that alarms end soon after a fault. A call takes longer than one of
        ``score_next``, with three channels some 10 ms instead of 1, and no longer in a long stream:
        rows are judged again with at most ``delay_`` steps before them.

        Parameters
        ----------
        rows : DataFrame or array-like of shape (row, column)
            The next rows, in the order of their time.

        Returns
        -------
        scored : DataFrame
            As from ``score_frame``, with a column ``final``: first the steps that have become
            final, as from ``score_next``, then all others of ``rows``. A step is returned twice,
            unless it becomes final at once.

        Raises
        ------
        ValueError
            If a column is missing or unreadable, or a time is not after those before.
        """
        final = self.score_next(rows).assign(final=True)
        new = self._final(*self.stream_.provisional()).assign(final=False)
        parts = [part for part in (final, new) if len(part)]
        return pd.concat(parts) if parts else final

    def finish(self, series: Hashable | None = None) -> pd.DataFrame:
        """End the streams of ``score_next`` and ``stream``; return the steps still waiting.

        Parameters
        ----------
        series : label, optional
            The series of a panel that has ended, while the others go on; all by default.

        Returns
        -------
        scored : DataFrame
            As from ``score_frame``, of steps whose scores are final now.

        Raises
        ------
        ValueError
            If no such series is open.
        """
        self._require_fitted()
        if series is not None:
            return self._final(*self.stream_.finish_series(series))
        final = self.stream_.finish()
        self.stream_ = PanelStream(self.model_)
        return self._final(*final)

    def _adopt(self, model: WindowModel) -> None:
        super()._adopt(model)  # type: ignore[misc]
        self.stream_ = PanelStream(model)

    def _final(
        self, labels: pd.DataFrame, scores: np.ndarray, evident: np.ndarray, channels: list
    ) -> pd.DataFrame:
        """Scored frame of steps of a stream."""
        p_values = conformal_p_values(self.calibration_scores_, scores)
        known = self.model_.layout.labels(labels)
        extra = {EVIDENT: evident, "channel": channel_cells(channels, self.model_.names), **known}
        return self._scored(labels, scores, p_values, scores > self.threshold_, extra)
