"""The detector for tables: one event is one row."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder


class TabularDetector(DiffusionDetector):
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
    held_out_fraction : float, default=0.2
        Share of the rows that calibrate instead of train; more where ``alpha`` needs it.
    max_held_out : int, default=5000
        Most rows held out.
    steps : int, default=3000
        Most training steps; training stops early when the held-out loss does.
    batch_rows : int, default=256
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
    max_memory : int, default=25000
        Most rows remembered.
    trim_fraction : float, default=0.0
        Share of the rows that ``fit`` is not to trust: it neither learns nor remembers the
        least central ones.
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
    calibration_scores_ : ndarray of shape (n_held_out_rows_,)
        Sorted anomaly scores of the held-out rows.
    history_ : DataFrame
        Columns ``step``, ``loss``, ``held_out_loss`` and ``learning_rate``.
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
    >>> detector = TabularDetector(steps=100, random_state=0).fit(normal)
    >>> detector.predict([[0.0, 0.0], [9.0, -9.0]])
    array([ 1, -1])
    """

    def __init__(
        self,
        *,
        alpha=0.05,
        kinds=None,
        held_out_fraction=0.2,
        max_held_out=5000,
        steps=3000,
        batch_rows=256,
        learning_rate=0.004,
        width=128,
        n_blocks=3,
        n_levels=2,
        n_draws=2,
        sigma_min=0.05,
        sigma_max=0.15,
        max_memory=25000,
        trim_fraction=0.0,
        max_categories=50,
        device="auto",
        checkpoint=None,
        progress=True,
        random_state=None,
    ):
        self.alpha = alpha
        self.kinds = kinds
        self.held_out_fraction = held_out_fraction
        self.max_held_out = max_held_out
        self.steps = steps
        self.batch_rows = batch_rows
        self.learning_rate = learning_rate
        self.width = width
        self.n_blocks = n_blocks
        self.n_levels = n_levels
        self.n_draws = n_draws
        self.sigma_min = sigma_min
        self.sigma_max = sigma_max
        self.max_memory = max_memory
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

    def _reasons(self, frame, expected, shares, top) -> pd.DataFrame:
        n_rows, n_columns = shares.shape
        restored = [
            self.encoder_.decode(copy)[c] for copy, c in zip(expected, self.columns_, strict=True)
        ]
        reasons = pd.DataFrame(
            {
                "row": np.repeat(frame.index.to_numpy(), n_columns),
                "column": np.tile(np.array(self.columns_, dtype=object), n_rows),
                "value": _cells([frame[c] for c in self.columns_]),
                "expected": _cells(restored),
                "contribution": shares.reshape(-1),
            }
        )
        place = np.repeat(np.arange(n_rows), n_columns)
        order = np.lexsort((-reasons["contribution"], place))
        rank = np.tile(np.arange(n_columns), n_rows)
        return reasons.iloc[order[rank < (top or n_columns)]].reset_index(drop=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _cells(columns: list[pd.Series]) -> np.ndarray:
    """Lay several columns out row by row, each cell as it is."""
    return np.stack([column.astype(object).to_numpy() for column in columns], axis=1).reshape(-1)
