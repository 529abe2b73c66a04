"""The detector for tables: one event is one row."""

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data
from torch import Tensor

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.row_answers import RowAnswers
from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.diffusion.noise import geometric_levels, noise_bank
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from anomdiff.models.parallel import map_blocks
from anomdiff.models.row_parts import relate, remember, split_rows
from anomdiff.models.training_run import fit_denoiser
from anomdiff.reference.nearest import Memory
from anomdiff.reference.trimming import central_rows
from anomdiff.scoring.calibration import MIN_SPREAD, ScoreCalibration
from anomdiff.scoring.ensemble import Ensemble
from anomdiff.thresholds.conformal import needed_rows

# Rows scored at once: bounds memory without slowing the matrix products.
SCORED_AT_ONCE = 2048
# Share of the rows left out where there is no clean training data.
SUSPECTED = 0.3


class TabularDetector(RowAnswers, DiffusionDetector):
    """Anomaly detector for tables of numbers, categories, flags and timestamps.

    A denoising diffusion model learns the normal rows. A row's score is how badly
    the model restores it after partial noise, in one step and at several noise
    levels, compared with held-out normal rows.

    Parameters
    ----------
    alpha : float, default=0.05
        Share of alarms among normal rows.
    kinds : dict of str to str, optional
        Column kinds that differ from the inferred ones: ``"number"``, ``"category"``,
        ``"boolean"``, ``"datetime"`` or ``"ignored"``.
    validation_fraction : float, default=0.2
        Share of the rows that calibrate instead of train; more where ``alpha`` needs it.
    max_validation : int, default=5000
        Most rows held out.
    max_iter : int, default=3000
        Most training steps; training stops early when the held-out loss does.
    batch_size : int, default=256
        Rows per training step.
    learning_rate : float, default=0.004
        Largest learning rate.
    width, n_blocks : int, default=128 and 3
        Size of the residual network.
    n_levels : int, default=2
        Noise levels of the score.
    n_draws : int, default=2
        Noise draws per level, even.
    sigma_min, sigma_max : float, default=0.05 and 0.15
        Range of the noise levels, in standard deviations of the encoded data.
    max_reference : int, default=25000
        Most rows remembered.
    trim_fraction : float, default=0.0
        Share of the rows that ``fit`` is not to trust: it neither learns nor remembers the
        least central ones. ``screen`` leaves out 30 % if it is 0.
    max_categories : int, default=50
        Most values of a category with a coordinate of their own.
    device : str, default="auto"
        Where to train: ``"cpu"``, ``"cuda"``, or a GPU if there is one.
    checkpoint : str, optional
        File to write the training state to, and to resume from if it exists.
    progress : bool, default=True
        Show a progress bar where there is a terminal or a notebook.
    random_state : int, RandomState or None, default=None
        Seed of split, training and noise.

    Attributes
    ----------
    threshold_ : float
        Anomaly score above which a row is an anomaly.
    calibration_scores_ : ndarray of shape (n_validation_rows_,)
        Sorted anomaly scores of the held-out rows.
    history_ : DataFrame
        Columns ``step``, ``loss``, ``validation_loss`` and ``learning_rate``.
    schema_ : Schema
        The columns, their kinds and types.

    References
    ----------
    Partial-noise reconstruction: Wyatt et al. (2022), "AnoDDPM". Diffusion model:
    Karras et al. (2022), https://arxiv.org/abs/2206.00364.

    Examples
    --------
    >>> import numpy as np
    >>> from anomdiff import TabularDetector
    >>> normal = np.random.default_rng(0).normal(size=(500, 2))
    >>> detector = TabularDetector(max_iter=100, random_state=0).fit(normal)
    >>> detector.predict([[0.0, 0.0], [9.0, -9.0]])
    array([ 1, -1])
    """

    def __init__(
        self,
        *,
        alpha=0.05,
        kinds=None,
        validation_fraction=0.2,
        max_validation=5000,
        max_iter=3000,
        batch_size=256,
        learning_rate=0.004,
        width=128,
        n_blocks=3,
        n_levels=2,
        n_draws=2,
        sigma_min=0.05,
        sigma_max=0.15,
        max_reference=25000,
        trim_fraction=0.0,
        max_categories=50,
        device="auto",
        checkpoint=None,
        progress=True,
        random_state=None,
    ):
        self.alpha = alpha
        self.kinds = kinds
        self.validation_fraction = validation_fraction
        self.max_validation = max_validation
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.width = width
        self.n_blocks = n_blocks
        self.n_levels = n_levels
        self.n_draws = n_draws
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        self.max_reference = max_reference
        self.trim_fraction = trim_fraction
        self.max_categories = max_categories
        self.device = device
        self.checkpoint = checkpoint
        self.progress = progress
        self.random_state = random_state

    @property
    def columns_(self) -> list:
        """Names of the columns that take part in the score."""
        return [column.name for column in self.schema_.used]

    def _check(self, X, *, reset, by_name=False) -> pd.DataFrame:
        if not isinstance(X, pd.DataFrame):
            array = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan")
            X = pd.DataFrame(array, columns=[f"x{i}" for i in range(array.shape[1])])
            if hasattr(self, "feature_names_in_"):
                X.columns = self.feature_names_in_
        elif reset:
            self.schema_ = Schema.infer(X, kinds=self.kinds)
            validate_data(self, X, reset=True, skip_check_array=True)
            return self.schema_.check(X)
        elif not by_name:
            validate_data(self, X, reset=False, skip_check_array=True)
        if reset:
            self.schema_ = Schema.infer(X, kinds=self.kinds)
        return self.schema_.check(X)

    def _make_encoder(self, frame):
        return TableEncoder(max_categories=self.max_categories).fit(frame, self.schema_)

    def _make_network(self, event_shape):
        return ResidualMLP(*event_shape, width=self.width, n_blocks=self.n_blocks)

    # -- fitting -------------------------------------------------------------------------

    def _fit(self, frame, on_step):
        self._learn(frame, self.trim_fraction, on_step)

    def _screen(self, frame, on_step) -> tuple[np.ndarray, dict]:
        """Learn and remember only the most central rows."""
        everyone = np.arange(len(frame))
        self._learn(frame, self.trim_fraction or SUSPECTED, on_step, shy=everyone)
        return self._score(frame)

    def _learn(self, frame, trim_fraction, on_step, shy=None):
        """Fit to a checked frame, whose ``shy`` rows (held-out ones) vouch for no copy."""
        rng = check_random_state(self.random_state)
        self.seed_ = int(rng.randint(2**31 - 1))
        training, held_out = split_rows(
            len(frame),
            self.validation_fraction,
            needed_rows(self.alpha),
            self.max_validation,
            rng,
        )
        self.n_training_rows_, self.n_validation_rows_ = len(training), len(held_out)
        self.encoder_ = self._make_encoder(frame.iloc[training])
        values, observed = self._encode(frame)
        trusted = self._trusted(values, trim_fraction)
        training, typical = training[trusted[training]], held_out[trusted[held_out]]

        self._train(values, observed, training, typical, on_step)
        self.noise_ = noise_bank(self.n_levels, self.n_draws, self._event_shape(), self.seed_)
        self.memory_ = remember(
            values * self._factors(),
            np.flatnonzero(trusted),
            held_out if shy is None else shy,
            self.max_reference,
            self._views(),
            rng,
        )
        codes = self._codes(values, observed)
        self.dependence_, weight = relate(
            codes[training],
            codes[typical],
            self.encoder_.category_sizes(),
            self.encoder_.category_share(),
            self.seed_,
        )
        self._make_ensemble()
        held = values[held_out], observed[held_out]
        self._calibrate(_joined(self._map_rows(self._misses, *held)), trusted[held_out], weight)

    def _trusted(self, values, trim_fraction) -> np.ndarray:
        """Tell the rows to learn from; all of them, if the data are said to be clean."""
        if not trim_fraction:
            return np.ones(len(values), dtype=bool)
        views = [(values * self._factors())[:, view] for view in self._views()]
        generator = torch.Generator().manual_seed(self.seed_)
        return central_rows(views, 1 - trim_fraction, generator).numpy()

    def _train(self, values, observed, training, held_out, on_step):
        """Train the network on its view and keep the course of the training."""
        view = self._views()[0]
        result = fit_denoiser(
            lambda: self._make_network(self._event_shape()),
            *((values[rows][:, view], observed[rows][:, view]) for rows in (training, held_out)),
            self.get_params(deep=False),
            self.seed_,
            on_step,
        )
        self._keep(result)

    def _make_ensemble(self):
        """Set up the ways to look at a row."""
        views = self._views()
        levels = geometric_levels(self.n_levels, self.sigma_min, self.sigma_max)
        memory = [
            Memory(self.memory_["rows"][:, view], scales, self.memory_["shy"])
            for view, scales in zip(views, self.memory_["scales"], strict=True)
        ]
        self.ensemble_ = Ensemble.build(
            self.denoiser_, memory, views, self._factors(), levels, self.noise_
        )

    def _calibrate(self, misses, trusted, weight):
        """Learn what normal misses look like, then the scores and the threshold.

        Held-out rows are remembered but do not vouch for themselves: a new row has one row more
        to be near to, so that p-values err on the safe side. So they do where anomalies are
        among the held-out rows, which count here even if they are not trusted.
        """
        weights, least = None, None
        if self.dependence_ is not None:
            rest = len(misses) - 1
            weights = [(1 - weight) / rest] * rest + [weight]
            least = [MIN_SPREAD] * rest + [1.0]
        typical = [voice[trusted] for voice in misses]
        self.calibration_ = ScoreCalibration.fit(typical, weights, least)
        self.calibration_scores_ = np.sort(self.calibration_.score(misses).numpy())
        self._set_threshold()

    # -- scoring -------------------------------------------------------------------------

    def _encode(self, frame) -> tuple[Tensor, Tensor]:
        """Encode a checked frame to float64 values and the observed mask."""
        values, observed = self.encoder_.encode(frame)
        return torch.from_numpy(values), torch.from_numpy(observed)

    def _score(self, frame) -> tuple[np.ndarray, dict]:
        """Score a checked frame block by block; larger is more anomalous."""
        starts = range(0, len(frame), SCORED_AT_ONCE)
        blocks = [frame.iloc[start : start + SCORED_AT_ONCE] for start in starts]
        scored = map_blocks(lambda block: self._score_encoded(*self._encode(block)), blocks)
        return torch.cat(scored).numpy(), {}

    def _map_rows(self, function, *tensors) -> list:
        """Apply a function to encoded rows, block by block."""
        blocks = list(zip(*(each.split(SCORED_AT_ONCE) for each in tensors), strict=True))
        return map_blocks(lambda block: function(*block), blocks)

    def _score_encoded(self, values, observed) -> Tensor:
        """Score encoded rows."""
        return self.calibration_.score(self._misses(values, observed))

    def _misses(self, values, observed) -> list[Tensor]:
        """Misses of encoded rows, one tensor per voice."""
        share = self._observed_share(observed)
        misses = self.ensemble_.misses(values, observed, share)
        if self.dependence_ is not None:
            misses.append(self.dependence_.misses(self._codes(values, observed)))
        return misses

    def _codes(self, values, observed) -> Tensor:
        """Codes of the categories of encoded rows."""
        return torch.from_numpy(self.encoder_.category_codes(values.numpy(), observed.numpy()))

    def _observed_share(self, observed) -> Tensor:
        """Share of each row's columns that is observed; at least one column's worth."""
        seen, whole = (
            self.encoder_.fold(mask.double().numpy()) for mask in (observed, observed[:1] | True)
        )
        return torch.from_numpy((seen / whole).mean(1)).clamp(min=1 / seen.shape[1])

    def _views(self) -> Tensor:
        """Entries of each view, of shape (view, *event); the network works on the first."""
        return torch.from_numpy(self.encoder_.views())

    def _factors(self) -> Tensor:
        """What entries are multiplied by where rows are compared, of shape (*event)."""
        return torch.from_numpy(self.encoder_.rarity())

    def _event_shape(self) -> tuple[int, ...]:
        """Shape of the events that the network sees."""
        return (int(self._views()[0].sum()),)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _joined(blocks: list[list[Tensor]]) -> list[Tensor]:
    """Blocks of rows put together, for every voice."""
    return [torch.cat(voice) for voice in zip(*blocks, strict=True)]
