"""The detector for time series: one event is one window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.series_alarms import SeriesAlarms
from anomdiff.detectors.series_answers import SeriesAnswers
from anomdiff.detectors.series_streams import SeriesStreams
from anomdiff.encoding.frames import as_pandas
from anomdiff.encoding.index_levels import keys_as_columns
from anomdiff.encoding.panel import PanelLayout
from anomdiff.models.judged_steps import warn_of_few_steps
from anomdiff.models.window_model import WindowModel
from anomdiff.thresholds.conformal import threshold_at

__all__ = ["TimeSeriesDetector"]


class TimeSeriesDetector(SeriesStreams, SeriesAnswers, SeriesAlarms, DiffusionDetector):
    """Anomaly detector for one time series or a panel of many.

    Windows of several lengths are compared with normal reference windows, and restored by a
    denoising diffusion model; the joint level of several channels is compared with reference
    levels; single steps with what is expected given their neighbours. A step's score is the mean
    squared error of the windows that cover it, on a scale calibrated on normal steps, and falls off
    away from steps that are off themselves; these are flagged, where the score is above the
    threshold.

    Parameters
    ----------
    alpha : float, default=0.01
        Share of alarms among normal steps.
    series : str, optional
        Column that tells the series of a panel apart.
    time : str, optional
        Column of the time; by default the index if it has timestamps, periods or durations, or
        the order of the rows. Both may be levels of the index; where one level has times and
        there is one other, these are found.
    drop : list of column, default=()
        Columns to leave out, such as notes and names: they are no channels.
    duplicate_times : {"warn", "error", "first", "last", "mean"}, default="warn"
        What becomes of rows of one series that share their time, as in the hour that clocks are
        set back: refused, or one step; by default the first of few with a warning. A step has the
        cells of the first or last of these rows or the mean, and its score stands there, that of a
        mean in the first row; the others have none.
    exclude : list of (start, end) or (start, end, series), or DataFrame, default=None
        Known incidents to leave out of training and calibration, ends included; a day without a
        time is all of it as an end. A frame has columns ``start``, ``end`` and maybe one of the
        series. In ``screen`` these steps have no score.
    covariates : list of column, optional
        Channels that are not scored, but say what is normal for those that are, as the outdoor
        temperature does for a heating. By default those that switch between 0 and 1 are not
        scored, and say nothing.
    calendar : sequence of str, default=()
        What of the time says what is normal, out of ``"minute"``, ``"hour"``, ``"weekday"`` and
        ``"month"``, by the wall clock of the zone that times have in ``fit``; those to score need
        a zone too, or none where these had none. Training shows all of them twice, best many
        times: ``("hour", "weekday")`` takes some weeks.
    holidays : str or sequence of date, optional
        Country whose public holidays count, such as ``"DE"`` or ``"US-CA"`` (needs ``pip install
        'anomdiff[holidays]'``), or dates, also as text like ``"2026-01-06"``. With ``"weekday"``,
        they begin as Sundays.
    missing_values : sequence of float or str, default=()
        Numbers and texts that stand for a missing cell of a channel, such as ``(-200, "ERR")``.
    max_unreadable : float, default=0.05
        Share of a channel's cells that may be unreadable; they count as missing, with a warning.
        More of them are an error.
    window_lengths : tuple of int, default=(8, 16, 32, 64, 128, 256)
        Window lengths, in steps; those are used that training shows enough windows of.
    max_reference : int, default=10000
        Most reference windows of a length, divided by the number of channels.
    validation_fraction : float, default=0.2
        Share of steps, at the end of each series, that the network does not see in training
        and that set the threshold.
    max_calibration : int, default=20000
        Most steps to calibrate on.
    max_iter : int, default=1200
        Most training steps; training stops early when the validation loss does.
    batch_size : int, default=256
        Windows per training step.
    learning_rate : float, default=0.004
        Largest learning rate.
    width, n_blocks : int, default=128 and 3
        Size of the residual network.
    network_length : int, default=64
        Longest window of the network, in steps.
    sigma : float, default=0.15
        Noise level of the network's component, in standard deviations.
    device : str, default="auto"
        Where to train: ``"cpu"``, ``"cuda"``, or a GPU if there is one.
    checkpoint : str, optional
        File to write the training state to, and to resume from if it exists.
    warm_start : bool, default=False
        Let a further ``fit`` go on from the fitted network, with a quarter of ``max_iter``; all
        else is learned anew. Best on rows that the network has not seen, as those held out are.
    progress : bool, default=True
        Show a progress bar where there is a terminal or a notebook.
    random_state : int, RandomState or None, default=None
        Seed of windows, training and noise.

    Attributes
    ----------
    model_ : WindowModel
        The fitted model.
    threshold_, offset_ : float
        Anomaly score above which a step is an anomaly; ``offset_`` is minus that.
    alpha_ : float
        The ``alpha`` that the threshold was set for.
    calibration_scores_ : ndarray
        Sorted anomaly scores of training steps. Windows that overlap a step are not compared
        with it, and the network's errors are scaled up to those at the end of training, which
        it did not see. Neighbouring steps share windows, so that these are worth fewer independent
        ones: the alarm rate is at most ``alpha`` on average over stationary series if training
        has ``10 / alpha`` steps or more; with fewer, ``fit`` warns and names an ``alpha``.
    window_lengths_ : tuple of int
        Window lengths in use.
    delay_ : int
        Steps after which the score of a step in a stream is final at the latest.
    n_iter_ : int
        Training steps up to the last evaluation.
    history_ : DataFrame
        Columns ``step``, ``loss``, ``validation_loss`` and ``learning_rate``.
    layout_ : PanelLayout
        Columns of series and time, and the channels.
    stream_ : PanelStream
        What ``score_next`` and ``stream`` keep between calls.
    columns_in_ : list
        Columns that rows to score need.
    feature_names_in_, n_features_in_ : ndarray of str, int
        Columns seen in ``fit``; names only where all are strings.
    seed_ : int
        Seed of windows, training and noise.

    References
    ----------
    Conformal prediction for dependent data: Oliveira et al. (2024), "Split Conformal Prediction
    and Non-Exchangeable Data".

    Examples
    --------
    >>> import numpy as np
    >>> from anomdiff import TimeSeriesDetector
    >>> wave = np.sin(np.arange(1000) / 5)[:, None]
    >>> detector = TimeSeriesDetector(max_iter=100, random_state=0).fit(wave[:600])
    >>> wave[800] += 2
    >>> bool(detector.score_frame(wave[600:])["anomaly_score"].idxmax() in range(190, 211))
    True
    """

    unit = "step"
    model_class = WindowModel

    def __init__(
        self,
        *,
        alpha: float = 0.01,
        series: Any = None,
        time: Any = None,
        drop: Sequence = (),
        duplicate_times: str = "warn",
        exclude: Sequence | pd.DataFrame | None = None,
        covariates: Sequence | None = None,
        calendar: Sequence[str] = (),
        holidays: str | Sequence | None = None,
        missing_values: Sequence = (),
        max_unreadable: float = 0.05,
        window_lengths: Sequence[int] = (8, 16, 32, 64, 128, 256),
        max_reference: int = 10000,
        validation_fraction: float = 0.2,
        max_calibration: int = 20000,
        max_iter: int = 1200,
        batch_size: int = 256,
        learning_rate: float = 0.004,
        width: int = 128,
        n_blocks: int = 3,
        network_length: int = 64,
        sigma: float = 0.15,
        device: str = "auto",
        checkpoint: str | Path | None = None,
        warm_start: bool = False,
        progress: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.alpha = alpha
        self.series = series
        self.time = time
        self.drop = drop
        self.duplicate_times = duplicate_times
        self.exclude = exclude
        self.covariates = covariates
        self.calendar = calendar
        self.holidays = holidays
        self.missing_values = missing_values
        self.max_unreadable = max_unreadable
        self.window_lengths = window_lengths
        self.max_reference = max_reference
        self.validation_fraction = validation_fraction
        self.max_calibration = max_calibration
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.n_blocks = n_blocks
        self.network_length = network_length
        self.sigma = sigma
        self.device = device
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.progress = progress
        self.random_state = random_state

    # -- what was fitted -----------------------------------------------------------------

    @property
    def layout_(self) -> PanelLayout:
        """Columns of series, time and channels."""
        return self.model_.layout

    @property
    def window_lengths_(self) -> tuple[int, ...]:
        """Window lengths in use."""
        return self.model_.window_lengths

    @property
    def delay_(self) -> int:
        """Steps after which the score of a step in a stream is final."""
        return self.model_.delay

    # -- hooks ---------------------------------------------------------------------------

    def _infer(self, X: ArrayLike) -> tuple[pd.DataFrame, PanelLayout, dict]:
        X = as_pandas(X)
        rows = self._framed(X, reset=True)
        frame, series, time = keys_as_columns(rows, self.series, self.time)
        layout = PanelLayout.infer(
            frame,
            series,
            time,
            self.missing_values,
            self.max_unreadable,
            drop=self.drop,
            duplicate_times=self.duplicate_times,
        )
        self._keep_names(X, frame)
        return frame, layout, {}

    def _check(self, X: ArrayLike, *, by_name: bool = False) -> pd.DataFrame:
        X, keys = as_pandas(X), (self.layout_.series, self.layout_.time)
        if isinstance(X, pd.DataFrame) and None not in keys:
            X, *_ = keys_as_columns(X, *keys)
        return self._framed(X, by_name=by_name)

    def _set_first_threshold(self) -> None:
        scores = self.calibration_scores_
        self._keep_threshold(threshold_at(scores, self.alpha), self.alpha)
        warn_of_few_steps(len(scores), self.alpha)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
