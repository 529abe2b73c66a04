"""The detector for time series: one event is one window."""

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.fitting import fit_denoiser
from anomdiff.detectors.forecasting import QUANTILES, look_ahead, risks, sample_paths, summary
from anomdiff.detectors.parallel import map_blocks
from anomdiff.detectors.segments import alarm_segments
from anomdiff.detectors.streaming import Streams
from anomdiff.detectors.window_imputation import impute_steps
from anomdiff.detectors.window_parts import (
    Piece,
    are_held_out,
    check_lengths,
    draw_windows,
    lay_out,
    remember_windows,
    some_steps,
    training_windows,
    usable_lengths,
)
from anomdiff.detectors.window_reasons import explain_steps
from anomdiff.detectors.window_repairs import repair_steps
from anomdiff.detectors.window_samples import sample_windows
from anomdiff.diffusion.networks import TemporalNet
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.window import WindowEncoder
from anomdiff.scoring.calibration import conformal_p_values
from anomdiff.scoring.linear import StepRegression
from anomdiff.scoring.window_memory import LevelMemory, Silence, WindowMemory
from anomdiff.scoring.windows import WindowCalibration, WindowNetwork, without_optimism

# Windows whose energies are computed together, by one thread.
WINDOWS_AT_ONCE = 1024
# Steps whose mean is a level. Only of several channels: a single one's level wanders, and
# judging it cost more on TSB-AD-U than it found.
LEVEL_LENGTH = 16
# Windows that the regression of single steps is fitted to.
MAX_REGRESSION = 50_000
# Numbers in the windows that the network is trained on.
MAX_TRAINING_NUMBERS = 2**23


class TimeSeriesDetector(DiffusionDetector):
    """Anomaly detector for one time series or a panel of many.

    Windows of several lengths are compared with remembered normal windows, and restored by a
    denoising diffusion model; the joint level of several channels is compared with remembered
    levels; single steps with what their neighbours let one expect. What a window misses is its
    energy; a step's score adds up the energies of the windows that cover it, on a scale
    calibrated on normal steps.

    Parameters
    ----------
    alpha : float, default=0.01
        Share of alarms among normal steps.
    series : str, optional
        Column that tells the series of a panel apart.
    time : str, optional
        Column of the time; by default a DatetimeIndex, or the order of the rows.
    context : list of column, optional
        Channels that are not judged; by default those that hold only 0 and 1.
    lengths : tuple of int, default=(8, 16, 32, 64, 128, 256)
        Window lengths, in steps; those are used that training shows enough windows of.
    max_memory : int, default=10000
        Most remembered windows of a length, divided by the number of channels.
    held_out_fraction : float, default=0.2
        Share of steps, at the end of each series, that the network does not see in training
        and that set the threshold.
    max_calibration : int, default=20000
        Most steps to calibrate on.
    steps : int, default=1200
        Most training steps; training stops early when the held-out loss does.
    batch_rows : int, default=256
        Windows per training step.
    learning_rate : float, default=0.004
        Largest learning rate.
    width, n_blocks : int, default=128 and 3
        Size of the residual network.
    network_length : int, default=64
        Longest window of the network, in steps.
    sigma : float, default=0.15
        Noise level of the network's score, in standard deviations.
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
    threshold_ : float
        Anomaly score above which a step is an anomaly.
    calibration_scores_ : ndarray
        Sorted anomaly scores of training steps. Windows that overlap a step do not vouch for
        it, and the network's energies are scaled up to those of the end of training, which it
        did not see. Neighbouring steps share windows, so that these are worth fewer independent
        ones: the alarm rate is ``alpha`` on average over stationary series if training is at
        least ten times the longest window; a shorter one raises more.
    lengths_ : list of int
        Window lengths in use.
    delay_ : int
        Steps after which the score of a step in a stream is final.
    history_ : DataFrame
        Columns ``step``, ``loss``, ``held_out_loss`` and ``learning_rate``.

    References
    ----------
    Conformal prediction for dependent data: Oliveira et al. (2024), "Split Conformal Prediction
    and Non-Exchangeable Data".

    Examples
    --------
    >>> import numpy as np
    >>> from anomdiff import TimeSeriesDetector
    >>> wave = np.sin(np.arange(1000) / 5)[:, None]
    >>> detector = TimeSeriesDetector(steps=100, random_state=0).fit(wave[:600])
    >>> wave[800] += 2
    >>> bool(detector.score_frame(wave[600:])["anomaly_score"].idxmax() in range(190, 211))
    True
    """

    def __init__(
        self,
        *,
        alpha=0.01,
        series=None,
        time=None,
        context=None,
        lengths=(8, 16, 32, 64, 128, 256),
        max_memory=10000,
        held_out_fraction=0.2,
        max_calibration=20000,
        steps=1200,
        batch_rows=256,
        learning_rate=0.004,
        width=128,
        n_blocks=3,
        network_length=64,
        sigma=0.15,
        device="auto",
        checkpoint=None,
        progress=True,
        random_state=None,
    ):
        self.alpha = alpha
        self.series = series
        self.time = time
        self.context = context
        self.lengths = lengths
        self.max_memory = max_memory
        self.held_out_fraction = held_out_fraction
        self.max_calibration = max_calibration
        self.steps = steps
        self.batch_rows = batch_rows
        self.learning_rate = learning_rate
        self.width = width
        self.n_blocks = n_blocks
        self.network_length = network_length
        self.sigma = sigma
        self.device = device
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    def score_next(self, rows) -> pd.DataFrame:
        """Score a stream: rows as they arrive, of one or many series.

        A step's score is final, and the same as in a batch, once ``delay_`` more steps of its
        series are there; only then it is returned. Memory and time per step are bounded.

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
            If a column is missing or unreadable, or time runs backwards.
        """
        check_is_fitted(self)
        if not hasattr(self, "_streams"):
            self._streams = Streams(self)
        return self._streams.push(rows)

    def finish(self) -> pd.DataFrame:
        """End the streams of ``score_next``; return the steps that were still waiting."""
        check_is_fitted(self)
        streams = self.__dict__.pop("_streams", None) or Streams(self)
        return streams.finish()

    def segments(self, scored, *, join=0) -> pd.DataFrame:
        """Alarms in a row as one: from when to when, how strong, and which channels.

        Parameters
        ----------
        scored : DataFrame
            From ``score_frame`` or ``screen``.
        join : int, default=0
            Alarms that are at most this many quiet steps apart belong together.

        Returns
        -------
        segments : DataFrame
            One row per segment: the series (if there are several), ``start``, ``end``, ``peak``
            (times, or index labels), ``steps``, ``anomaly_score`` (at the peak) and ``channels``
            (those named at its steps, the most frequent first).
        """
        check_is_fitted(self)
        return alarm_segments(scored, self.layout_.series, self.layout_.time, join)

    def explain(self, X, *, top=None, rows=None) -> pd.DataFrame:
        """Name the channels and steps to blame for a step's score, and what was expected there.

        Windows blur: steps around an anomaly are flagged too. Of a run of flagged steps, those
        are to blame that lie far from what is expected when they are hidden, given the steps
        around and the other channels. Expected is what ``impute`` would fill in.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Whole series: a step is judged by the windows around it.
        top : int, optional
            Channels per step, the largest contributions first; all by default.
        rows : array-like, optional
            Rows to explain, as labels in the index of ``X`` or a mask; all by default. Best
            those that are flagged, ``scored["is_anomaly"]``. With five channels, a run of
            flagged steps takes about 0.2 s, however many of it are asked for, another step 1 ms.

        Returns
        -------
        reasons : DataFrame
            Columns ``row`` (label in the index of ``X``), ``column``, ``start`` and ``end`` (of
            the steps of the channel that are to blame: times, or index labels; the step itself
            where the channel is not to blame), ``value``, ``expected``, ``low`` and ``high`` (an
            interval of 90 %, in the units of the channel; missing where a stretch is shorter
            than all windows) and ``contribution``. The contributions of a step add up to its
            score; a step that scores less than a typical normal one blames all channels alike.

        Raises
        ------
        ValueError
            If the data cannot be used, ``top`` is below 1, or ``rows`` names no rows of ``X``.
        """
        check_is_fitted(self)
        return explain_steps(self, self._check(X, reset=False, by_name=True), top, rows)

    def forecast(
        self, X, horizon, *, n_draws=400, quantiles=QUANTILES, random_state=None
    ) -> pd.DataFrame:
        """Forecast each series: the steps to come are the missing end of a window.

        What remembered windows and a regression on them expect after the history is weighed by
        how well both did within training; the spread is that of their misses there.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Recent rows of every series, twice the longest window or more: what happened there
            is remembered too, which keeps up with a drift.
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
        aheads = self._look_ahead(X, horizon, n_draws, random_state)
        return summary(self.layout_, self.encoder_.names, aheads, quantiles)

    def forecast_paths(self, X, horizon, *, n_draws=400, random_state=None) -> pd.DataFrame:
        """Draw how each series may go on; parameters as of ``forecast``.

        Returns
        -------
        paths : DataFrame
            One row per series, draw and step: the series and the time as of ``forecast``,
            ``step``, ``draw`` and a column for each channel. The steps and channels of a draw
            belong together.
        """
        aheads = self._look_ahead(X, horizon, n_draws, random_state)
        return sample_paths(self.layout_, self.encoder_.names, aheads)

    def risk(self, X, event, horizon, *, n_draws=400, random_state=None) -> pd.DataFrame:
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
            If ``event`` names no channel that is judged, or a series has too few rows.
        """
        aheads = self._look_ahead(X, horizon, n_draws, random_state)
        return risks(self.layout_, self.encoder_.names, aheads, event)

    def impute(self, X, *, n_draws=None, random_state=None) -> pd.DataFrame:
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
            ``X`` without missing cells, but for those of context channels. With ``n_draws``,
            one frame below the other, the number of the draw first in the index.

        References
        ----------
        Tashiro et al. (2021), "CSDI", section 4.
        """
        check_is_fitted(self)
        frame = self._check(X, reset=False, by_name=True)
        return impute_steps(self, frame, n_draws, random_state)

    def repair(self, X, *, max_channels=None, immutable=()) -> pd.DataFrame:
        """Make flagged stretches normal by changing as few channels and steps as possible.

        What is to blame is replaced by what the rest of the series lets one expect.

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
            unknown channels or all that are judged.

        Warns
        -----
        UserWarning
            If steps stay above the threshold, the fewest found.

        Notes
        -----
        The search is greedy: fewer changes may exist. What is filled in is a mean, smoother than
        a series is; a draw is what ``impute`` with ``n_draws`` gives where cells are missing.
        """
        check_is_fitted(self)
        frame = self._check(X, reset=False, by_name=True)
        return repair_steps(self, X, frame, max_channels, immutable)

    def sample(self, n, *, length=None, series=None, random_state=None) -> pd.DataFrame:
        """Draw new windows like the training data: for tests, and for what needs more data.

        Each is drawn from a Gaussian fitted to the neighbours of a remembered window, with as
        many neighbours as take it as far from remembered windows as unseen ones are. The trained
        network takes no part: what it draws is too rough.

        Parameters
        ----------
        n : int
            Number of windows.
        length : int, optional
            Steps of each, at most as many as the longest window in ``lengths_`` has; by default
            those of the network's windows.
        series : label, optional
            Series of a panel whose scale the windows have; by default that of one drawn at
            random for each window. ``score_frame`` knows the scale by this label.
        random_state : int, RandomState or None, default=None
            Seed of the draws; that of the fit by default.

        Returns
        -------
        drawn : DataFrame
            A panel of ``n`` series, one below the other, laid out as the detector was fitted: a
            column of series (``series``, if there was none) with numbers from 0, the column of
            time, from 0 or 1970 in steps as of training (``step``, if there was none), and the
            channels as floats within the range of training; those that are not judged are
            missing.

        Raises
        ------
        ValueError
            If ``n`` or ``length`` is no such number, or training showed no such series.

        References
        ----------
        Vincent and Bengio (2003), "Manifold Parzen Windows".
        """
        check_is_fitted(self)
        return sample_windows(self, n, length, series, random_state)

    # -- checking ------------------------------------------------------------------------

    def _check(self, X, *, reset, by_name=False) -> pd.DataFrame:
        if isinstance(X, pd.Series):
            X = X.to_frame(X.name if X.name is not None else "value")
        if not isinstance(X, pd.DataFrame):
            array = validate_data(self, X, reset=reset, dtype=float, ensure_all_finite="allow-nan")
            X = pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
            if hasattr(self, "feature_names_in_"):
                X.columns = self.feature_names_in_
        elif reset or not by_name:
            validate_data(self, X, reset=reset, skip_check_array=True)
        if reset:
            self.layout_ = PanelLayout.infer(X, self.series, self.time)
        return X

    # -- fitting -------------------------------------------------------------------------

    def _fit(self, frame, on_step):
        rng = check_random_state(self.random_state)
        self.seed_ = int(rng.randint(2**31 - 1))
        self.__dict__.pop("_streams", None)
        self.__dict__.pop("_futures", None)
        self.__dict__.pop("_expecting", None)
        lengths = check_lengths(self.lengths)
        stretches = self.layout_.read(frame)
        context = None if self.context is None else tuple(self.context)
        self.encoder_ = WindowEncoder.fit(self.layout_, stretches, context)
        encoded = [self.encoder_.encode(part) for part in stretches]
        pieces = lay_out(encoded, apart=max(lengths))
        self.lengths_ = usable_lengths(pieces, lengths)
        most = max(2, self.max_memory // len(self.encoder_.names))
        self.memories_ = [remember_windows(pieces, w, most, rng) for w in self.lengths_]
        if LEVEL_LENGTH in self.lengths_ and len(self.encoder_.names) > 1:
            levels = remember_windows(pieces, LEVEL_LENGTH, most, rng, LevelMemory)
            self.memories_.append(levels)
        around = draw_windows(pieces, StepRegression.length, MAX_REGRESSION, rng)[0]
        self.regression_ = StepRegression.fit(around)
        held_out = self._train(pieces, rng, on_step)
        self._calibrate(pieces, held_out, rng)
        return stretches, pieces

    def _train(self, pieces, rng, on_step) -> list[Piece]:
        """Train the network; return the pieces that it did not see."""
        fitting = [w for w in self.lengths_ if w <= self.network_length]
        length = max(fitting or self.lengths_[:1])
        most = max(256, MAX_TRAINING_NUMBERS // (length * len(self.encoder_.names)))
        shown, unseen, held_out = training_windows(
            pieces, self.held_out_fraction, length, most, rng
        )
        self.network_length_ = length
        result = fit_denoiser(
            self._make_network,
            shown,
            unseen,
            self.get_params(deep=False),
            self.seed_,
            on_step,
        )
        self._keep(result)
        return held_out

    def _make_network(self):
        shape = len(self.encoder_.names), self.network_length_
        return TemporalNet(*shape, width=self.width, n_blocks=self.n_blocks)

    def _calibrate(self, pieces, held_out, rng):
        """Learn what energies of normal steps are like, and set the threshold on these."""
        body = some_steps(pieces, self.max_calibration, rng)
        folded = torch.cat(map_blocks(lambda piece: self._folded(piece, training=True), body), 1)
        noise = [voice.noise for voice in self._voices()]
        self.calibration_ = WindowCalibration.fit(folded, noise)
        fresh = torch.cat([are_held_out(piece, held_out, self.network_length_) for piece in body])
        folded = without_optimism(folded, fresh)
        known = ~folded.isnan().all(2).all(0)
        self.calibration_scores_ = np.sort(self.calibration_.score(folded[:, known])[0].numpy())
        self._set_threshold()

    def _screen(self, frame, on_step) -> tuple[np.ndarray, dict]:
        stretches, pieces = self._fit(frame, on_step)
        judged = map_blocks(lambda piece: self._judge(piece, training=True), pieces)
        return self._lay_out(frame, stretches, judged)

    # -- scoring -------------------------------------------------------------------------

    def _score(self, frame) -> tuple[np.ndarray, dict]:
        stretches = self.layout_.read(frame)
        judged = map_blocks(lambda part: self._judge(self._piece(part)), stretches)
        return self._lay_out(frame, stretches, judged)

    def _laid_out(self, frame, scores, channels) -> pd.DataFrame:
        """Scored frame of steps whose scores and channels to blame are known."""
        p_values = conformal_p_values(self.calibration_scores_, scores)
        extra = {"channel": np.array(channels, dtype=object), **self.layout_.labels(frame)}
        return self._scored(frame, scores, p_values, scores > self.threshold_, extra)

    def _look_ahead(self, X, horizon, n_draws, random_state):
        check_is_fitted(self)
        frame = self._check(X, reset=False, by_name=True)
        return look_ahead(self, frame, horizon, n_draws, random_state)

    def _lay_out(self, frame, stretches, judged) -> tuple[np.ndarray, dict]:
        """Put scores and the channel most to blame back into the order of the frame."""
        scores, channels = np.zeros(len(frame)), np.zeros(len(frame), dtype=int)
        for part, (score, blame) in zip(stretches, judged, strict=True):
            scores[part.rows], channels[part.rows] = score.numpy(), blame.argmax(1).numpy()
        names = np.array(self.encoder_.names, dtype=object)
        return scores, {"channel": names[channels], **self.layout_.labels(frame)}

    def _piece(self, stretch) -> Piece:
        values, observed = self.encoder_.encode(stretch)
        familiar = self.encoder_.is_familiar(stretch)
        return Piece(torch.from_numpy(values), torch.from_numpy(observed), 0, familiar)

    def _judge(self, piece: Piece, training: bool = False) -> tuple[Tensor, Tensor]:
        """Scores of the steps of a piece, and what each channel adds to them."""
        return self.calibration_.score(self._folded(piece, training))

    def _folded(self, piece: Piece, training: bool) -> Tensor:
        """Energies by voice, step and channel; NaN for windows longer than the piece."""
        folded = []
        for voice in self._voices(piece.familiar):
            if len(piece) < voice.length:
                folded.append(torch.full_like(piece.values, torch.nan))
                continue
            folded.append(voice.fold(self._energies(voice, piece, training)))
        return torch.stack(folded)

    def _voices(self, familiar: bool = True) -> list:
        """The memories, the regression, and the network.

        Where the channels of a series that training did not show usually stand, nobody knows.
        """
        network = WindowNetwork(self.denoiser_, self.network_length_, self.sigma)
        memories = [
            memory if familiar or not isinstance(memory, LevelMemory) else Silence(memory.length)
            for memory in self.memories_
        ]
        return [*memories, self.regression_, network]

    @property
    def delay_(self) -> int:
        """Steps after which the score of a step in a stream is final."""
        return max(voice.length for voice in self._voices()) - 1

    def _energies(self, voice, piece: Piece, training: bool) -> Tensor:
        """Energies of all windows of a piece; those of training do not vouch for themselves."""
        n_windows = len(piece) - voice.length + 1
        parts = []
        for start in range(0, n_windows, WINDOWS_AT_ONCE):
            stop = min(start + WINDOWS_AT_ONCE, n_windows)
            parts.append(piece.cut(start, stop + voice.length - 1))

        def compute(part: Piece) -> Tensor:
            if training and isinstance(voice, WindowMemory):
                return voice.energies(part.values, part.observed, part.places(voice.length))
            return voice.energies(part.values, part.observed)

        return torch.cat(map_blocks(compute, parts))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
