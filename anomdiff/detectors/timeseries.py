"""The detector for time series: one event is one window."""

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.series_answers import SeriesAnswers
from anomdiff.detectors.stream import Streams
from anomdiff.diffusion.networks import WindowMLP
from anomdiff.encoding.channel_scaler import WindowEncoder
from anomdiff.encoding.panel import PanelLayout
from anomdiff.explain.alarm_segments import alarm_segments
from anomdiff.models.parallel import map_blocks
from anomdiff.models.training_run import fit_denoiser
from anomdiff.reference.segments import (
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
from anomdiff.reference.window_bank import LevelMemory, Silence, WindowMemory
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.window_scores import WindowCalibration, WindowNetwork, without_optimism
from anomdiff.thresholds.conformal import conformal_p_values

# Windows whose energies are computed together, by one thread.
WINDOWS_AT_ONCE = 1024
# Steps whose mean is a level. Only of several channels: a single one's level wanders, and
# judging it cost more on TSB-AD-U than it found.
LEVEL_LENGTH = 16
# Windows that the regression of single steps is fitted to.
MAX_REGRESSION = 50_000
# Numbers in the windows that the network is trained on.
MAX_TRAINING_NUMBERS = 2**23


class TimeSeriesDetector(SeriesAnswers, DiffusionDetector):
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
    covariates : list of column, optional
        Channels that are not judged; by default those that hold only 0 and 1.
    window_lengths : tuple of int, default=(8, 16, 32, 64, 128, 256)
        Window lengths, in steps; those are used that training shows enough windows of.
    max_reference : int, default=10000
        Most remembered windows of a length, divided by the number of channels.
    validation_fraction : float, default=0.2
        Share of steps, at the end of each series, that the network does not see in training
        and that set the threshold.
    max_calibration : int, default=20000
        Most steps to calibrate on.
    max_iter : int, default=1200
        Most training steps; training stops early when the held-out loss does.
    batch_size : int, default=256
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
    window_lengths_ : list of int
        Window lengths in use.
    delay_ : int
        Steps after which the score of a step in a stream is final.
    history_ : DataFrame
        Columns ``step``, ``loss``, ``validation_loss`` and ``learning_rate``.

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

    def __init__(
        self,
        *,
        alpha=0.01,
        series=None,
        time=None,
        covariates=None,
        window_lengths=(8, 16, 32, 64, 128, 256),
        max_reference=10000,
        validation_fraction=0.2,
        max_calibration=20000,
        max_iter=1200,
        batch_size=256,
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
        self.covariates = covariates
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
        lengths = check_lengths(self.window_lengths)
        stretches = self.layout_.read(frame)
        covariates = None if self.covariates is None else tuple(self.covariates)
        self.encoder_ = WindowEncoder.fit(self.layout_, stretches, covariates)
        encoded = [self.encoder_.encode(part) for part in stretches]
        pieces = lay_out(encoded, apart=max(lengths))
        self.window_lengths_ = usable_lengths(pieces, lengths)
        most = max(2, self.max_reference // len(self.encoder_.names))
        self.memories_ = [remember_windows(pieces, w, most, rng) for w in self.window_lengths_]
        if LEVEL_LENGTH in self.window_lengths_ and len(self.encoder_.names) > 1:
            levels = remember_windows(pieces, LEVEL_LENGTH, most, rng, LevelMemory)
            self.memories_.append(levels)
        around = draw_windows(pieces, StepRegression.length, MAX_REGRESSION, rng)[0]
        self.regression_ = StepRegression.fit(around)
        held_out = self._train(pieces, rng, on_step)
        self._calibrate(pieces, held_out, rng)
        return stretches, pieces

    def _train(self, pieces, rng, on_step) -> list[Piece]:
        """Train the network; return the pieces that it did not see."""
        fitting = [w for w in self.window_lengths_ if w <= self.network_length]
        length = max(fitting or self.window_lengths_[:1])
        most = max(256, MAX_TRAINING_NUMBERS // (length * len(self.encoder_.names)))
        shown, unseen, held_out = training_windows(
            pieces, self.validation_fraction, length, most, rng
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
        return WindowMLP(*shape, width=self.width, n_blocks=self.n_blocks)

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
