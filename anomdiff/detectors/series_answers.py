"""What a detector of series answers beside scores: why, the future, gaps, repairs, windows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from anomdiff.conditional.forecasts import (
    QUANTILES,
    ForecastPaths,
    forecast_paths,
    path_frame,
    quantile_frame,
    risk_frame,
)
from anomdiff.conditional.imputation import impute_steps
from anomdiff.conditional.window_sampling import sample_windows
from anomdiff.encoding.index_levels import without_levels
from anomdiff.explain.segment_counterfactuals import repair_steps
from anomdiff.explain.step_explanation import explain_steps
from anomdiff.models.progress import showing
from anomdiff.models.window_model import WindowModel

__all__ = ["SeriesAnswers"]

Seed = int | np.random.RandomState | None


class SeriesAnswers:
    """Answers of a fitted detector of series; mixed into ``TimeSeriesDetector``."""

    model_: WindowModel
    threshold_: float
    progress: bool
    _check: Callable[..., pd.DataFrame]
    _require_fitted: Callable[[], None]

    def explain(
        self, X: ArrayLike, *, top: int | None = None, rows: ArrayLike | None = None
    ) -> pd.DataFrame:
        """Divide each step's score among its channels, and say what was expected when and where.

        Windows blur: steps around an anomaly are flagged too. Of a run of flagged steps, those
        are anomalous that lie far from what is expected when they are hidden, given the steps
        around and the other channels. Expected is what ``impute`` would fill in.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Whole series: a step is scored by the windows around it.
        top : int, optional
            Channels per step, the largest contributions first; all by default.
        rows : array-like, optional
            Rows to explain, as labels in the index of ``X`` or a mask; all by default. Best
            those that are flagged, ``scored["is_anomaly"]``. With five channels, a run of
            flagged steps takes about 0.2 s, however many of it are asked for, another step 1 ms.

        Returns
        -------
        contributions : DataFrame
            Columns ``row`` (label in the index of ``X``), ``column``, ``start`` and ``end`` (of
            the anomalous steps of the channel: times, or index labels; the step itself where
            the channel is not anomalous), ``value``, ``expected``, ``low`` and ``high`` (an
            interval of 90 %, in the units of the channel; missing where a segment is shorter
            than all windows) and ``contribution``. The contributions of a step add up to its
            score; of a step that scores less than a typical normal one, all contribute alike; of
            one that is not judged, they are 0.

        Raises
        ------
        ValueError
            If the data cannot be used, ``top`` is below 1, or ``rows`` names no rows of ``X``.
        """
        self._require_fitted()
        with showing(self.progress):
            return explain_steps(
                self.model_, self.threshold_, self._check(X, by_name=True), top, rows
            )

    def forecast(
        self,
        X: ArrayLike,
        horizon: int,
        *,
        n_draws: int = 400,
        quantiles: Sequence[float] = QUANTILES,
        random_state: Seed = None,
    ) -> pd.DataFrame:
        """Forecast each series: the steps to come are the missing end of a window.

        What reference windows and a regression on them expect after the history is weighted by
        how well both did within training; the spread is that of their residuals there. Calendar
        and holidays of the steps to come count; declared covariates stay as they were last.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Recent rows of every series, twice the longest window or more: what happened there
            is compared with too, which keeps up with a drift.
        horizon : int
            Steps to forecast. Beyond half of the longest window, draws are continued from
            where they have got to.
        n_draws : int, default=400
            Paths drawn per series.
        quantiles : sequence of float
            Quantiles of each step and channel.
        random_state : int, RandomState or None, default=None
            Seed of the draws; that of the fit by default.

        Returns
        -------
        expected : DataFrame
            One row per series, step and channel: the series (if there are several), the time
            (if there is one, a median step apart), ``step`` from 1, ``channel``, ``mean`` and
            the quantiles, ``q05`` for 0.05. In the units of the channel.

        Raises
        ------
        ValueError
            If a series has too few rows since its last gap in time.

        References
        ----------
        Forecasts as imputation: Tashiro et al. (2021), "CSDI", section 4.
        """
        forecasts = self._forecasts(X, horizon, n_draws, random_state)
        with showing(self.progress):
            return quantile_frame(self.model_, forecasts, quantiles)

    def forecast_paths(
        self, X: ArrayLike, horizon: int, *, n_draws: int = 400, random_state: Seed = None
    ) -> pd.DataFrame:
        """Draw how each series may go on; parameters as of ``forecast``.

        Returns
        -------
        paths : DataFrame
            One row per series, draw and step: the series and the time as of ``forecast``,
            ``step``, ``draw`` and a column for each channel. The steps and channels of a draw
            belong together.
        """
        forecasts = self._forecasts(X, horizon, n_draws, random_state)
        with showing(self.progress):
            return path_frame(self.model_, forecasts)

    def risk(
        self,
        X: ArrayLike,
        event: Mapping,
        horizon: int,
        *,
        n_draws: int = 400,
        random_state: Seed = None,
    ) -> pd.DataFrame:
        """Probability that channels leave their bounds within the steps to come.

        Parameters
        ----------
        X, horizon, n_draws, random_state
            As of ``forecast``.
        event : dict of channel to (low, high)
            What is harmless, None for no bound: ``{"temperature": (None, 80)}``. The event is
            that any of these channels is outside.

        Returns
        -------
        risks : DataFrame
            One row per series and step, as of ``forecast``: ``probability`` that the event
            has happened by then. That of the last step is the risk within the horizon.

        Raises
        ------
        ValueError
            If ``event`` names no channel that is scored, or a series has too few rows.
        """
        forecasts = self._forecasts(X, horizon, n_draws, random_state)
        with showing(self.progress):
            return risk_frame(self.model_, forecasts, event)

    def impute(
        self, X: ArrayLike, *, n_draws: int | None = None, random_state: Seed = None
    ) -> pd.DataFrame:
        """Fill missing cells by what is expected given the steps around, or by draws of that.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Series with missing cells, whole ones best: they are learned from too. Rows that
            are not there are not filled in.
        n_draws : int, optional
            Number of draws from the conditional distribution; by default its mean.
        random_state : int, RandomState or None, default=None
            Seed of the draws; that of the fit by default.

        Returns
        -------
        filled : DataFrame
            ``X`` without missing cells, but for those of covariates. With ``n_draws``,
            one frame below the other, the number of the draw first in the index.

        References
        ----------
        Tashiro et al. (2021), "CSDI", section 4.
        """
        check_is_fitted(self)
        frame = self._check(X, by_name=True)
        with showing(self.progress):
            return without_levels(impute_steps(self.model_, frame, n_draws, random_state))

    def repair(
        self, X: ArrayLike, *, max_channels: int | None = None, immutable: Sequence = ()
    ) -> pd.DataFrame:
        """Make flagged segments normal by changing as few channels and steps as possible.

        What is anomalous is replaced by what is expected given the rest of the series.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Whole series.
        max_channels : int, optional
            Most channels to change for a run of flagged steps; any number by default.
        immutable : sequence of column, default=()
            Channels that are not to change.

        Returns
        -------
        repaired : DataFrame
            Index, columns and dtypes of ``X``. Untouched cells are as they were, and missing
            ones stay missing; ``X.compare(repaired)`` shows the changes of a frame.

        Raises
        ------
        ValueError
            If the data cannot be used, ``max_channels`` is below 1, or ``immutable`` names
            unknown channels or all that are scored.

        Warns
        -----
        UserWarning
            If steps stay above the threshold, the fewest found.

        Notes
        -----
        The search is greedy: fewer changes may exist. What is filled in is a mean, smoother than
        a series is; a draw is what ``impute`` with ``n_draws`` gives where cells are missing.
        """
        self._require_fitted()
        frame = self._check(X, by_name=True)
        repaired = repair_steps(self.model_, self.threshold_, frame, max_channels, immutable)
        with showing(self.progress):
            return without_levels(repaired)

    def sample(
        self,
        n: int,
        *,
        length: int | None = None,
        series: Any = None,
        random_state: Seed = None,
    ) -> pd.DataFrame:
        """Draw new windows like the training data: for tests, and for what needs more data.

        Each is drawn from a Gaussian fitted to the neighbours of a reference window, with as
        many neighbours as take it as far from reference windows as unseen ones are. The trained
        network takes no part: what it draws is too rough.

        Parameters
        ----------
        n : int
            Number of windows.
        length : int, optional
            Steps of each, at most as many as the longest in ``window_lengths_`` has; by default
            those of the network's windows.
        series : label, optional
            Series of a panel whose scale the windows have; by default that of one drawn at
            random for each window. ``score_frame`` finds the scale by this label.
        random_state : int, RandomState or None, default=None
            Seed of the draws; that of the fit by default.

        Returns
        -------
        drawn : DataFrame
            A panel of ``n`` series, one below the other, laid out as the detector was fitted: a
            column of series (``series``, if there was none) with numbers from 0, the column of
            time, from 0 or 1970 in steps as of training (``step``, if there was none), and the
            channels as floats within the range of training; those that are not scored are
            missing, or at their means where they say what is normal. With a calendar and times
            in the index, the drawn ones have times there too.

        Raises
        ------
        ValueError
            If ``n`` or ``length`` is no such number, or training showed no such series.

        References
        ----------
        Vincent and Bengio (2003), "Manifold Parzen Windows".
        """
        check_is_fitted(self)
        with showing(self.progress):
            return sample_windows(self.model_, n, length, series, random_state)

    def _forecasts(
        self, X: ArrayLike, horizon: int, n_draws: int, random_state: Seed
    ) -> Iterator[ForecastPaths]:
        check_is_fitted(self)
        frame = self._check(X, by_name=True)
        return forecast_paths(self.model_, frame, horizon, n_draws, random_state)
