"""The detector for time series: one event is one window."""

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.series_answers import SeriesAnswers
from anomdiff.detectors.stream import PanelStream
from anomdiff.encoding.frames import as_pandas
from anomdiff.encoding.json_values import label_array
from anomdiff.encoding.panel import PanelLayout
from anomdiff.explain.alarm_segments import alarm_segments
from anomdiff.models.judged_steps import EVIDENT
from anomdiff.models.window_model import WindowModel
from anomdiff.thresholds.conformal import conformal_p_values

__all__ = ["TimeSeriesDetector"]


class TimeSeriesDetector(SeriesAnswers, DiffusionDetector):
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
        Column of the time; by default a DatetimeIndex, or the order of the rows.
    covariates : list of column, optional
        Channels that are not scored, but say what is normal for those that are, as the outdoor
        temperature does for a heating. By default those that switch between 0 and 1 are not
        scored, and say nothing.
    calendar : sequence of str, default=()
        What of the time says what is normal, out of ``"minute"``, ``"hour"``, ``"weekday"`` and
        ``"month"``, by the wall clock of the zone that times have in ``fit``. Training shows all
        of them twice, best many times: ``("hour", "weekday")`` takes some weeks.
    holidays : str or sequence of date, optional
        Country whose public holidays count, such as ``"DE"`` or ``"US-CA"`` (needs ``pip install
        'anomdiff[holidays]'``), or dates. With ``"weekday"``, they begin as Sundays.
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
        ones: the alarm rate is ``alpha`` on average over stationary series if training is at
        least ten times the longest window; a shorter one raises more.
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
        What ``score_next`` keeps between calls.
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
        progress: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.alpha = alpha
        self.series = series
        self.time = time
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
        self.progress = progress
        self.random_state = random_state

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
            If a column is missing or unreadable, or a time is not after those before.
        """
        self._require_fitted()
        numbered = not isinstance(rows, pd.DataFrame | pd.Series)
        return self._final(*self.stream_.push(self._check(rows, by_name=True), numbered))

    def finish(self) -> pd.DataFrame:
        """End the streams of ``score_next``; return the steps that were still waiting."""
        self._require_fitted()
        final = self.stream_.finish()
        self.stream_ = PanelStream(self.model_)
        return self._final(*final)

    def segments(self, scored: pd.DataFrame, *, join: int = 0) -> pd.DataFrame:
        """Alarms in a row as one: from when to when, how strong, and which channels.

        Parameters
        ----------
        scored : DataFrame
            From ``score_frame`` or ``screen``.
        join : int, default=0
            Alarms that are at most this many steps apart belong together.

        Returns
        -------
        segments : DataFrame
            One row per segment: the series (if there are several), ``start``, ``end``, ``peak``
            (times, or index labels), ``steps``, ``anomaly_score`` (at the peak), ``channels``
            (those named at its steps, the most frequent first), and ``context_start`` and
            ``context_end``: the steps around it whose scores are above the threshold, because
            windows that cover them hold it.

        Raises
        ------
        ValueError
            If ``join`` is no such number, or ``scored`` is no scored frame.
        """
        check_is_fitted(self)
        if not isinstance(join, Integral) or join < 0:
            raise ValueError(f"need join as a whole number of at least 0; got {join!r}.")
        return alarm_segments(scored, self.layout_.series, self.layout_.time, join, self.threshold_)

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
        frame = self._framed(X, reset=True)
        layout = PanelLayout.infer(
            frame, self.series, self.time, self.missing_values, self.max_unreadable
        )
        self._keep_names(X, frame)
        return frame, layout, {}

    def _check(self, X: ArrayLike, *, by_name: bool = False) -> pd.DataFrame:
        return self._framed(X, by_name=by_name)

    stream_: PanelStream

    def _adopt(self, model: WindowModel) -> None:
        super()._adopt(model)
        self.stream_ = PanelStream(model)

    def _final(
        self, labels: pd.DataFrame, scores: np.ndarray, evident: np.ndarray, channels: list
    ) -> pd.DataFrame:
        """Scored frame of steps of a stream."""
        p_values = conformal_p_values(self.calibration_scores_, scores)
        known = self.layout_.labels(labels)
        extra = {EVIDENT: evident, "channel": label_array(channels), **known}
        return self._scored(labels, scores, p_values, scores > self.threshold_, extra)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
