"""The detector for tables: one event is one row."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.row_answers import RowAnswers
from anomdiff.encoding.frames import as_pandas
from anomdiff.encoding.schema import Schema
from anomdiff.models.tabular_model import TabularModel

__all__ = ["TabularDetector"]


class TabularDetector(RowAnswers, DiffusionDetector):
    """Anomaly detector for tables of numbers, categories, flags and timestamps.

    A denoising diffusion model learns the normal rows. A row's score is how badly the model
    restores it in one step from low, middle and high noise, joined with its distances to the
    nearest reference rows, in all columns and in random subsets of columns and rows, and with
    how badly its categories go together. Each counts by how surprising it is among held-out
    normal rows, and weighs more the better it tells corrupted copies of these from them.

    Parameters
    ----------
    alpha : float, default=0.01
        Share of alarms among normal rows.
    kinds : dict of str to str, optional
        Column kinds that differ from the inferred ones: ``"number"``, ``"category"``,
        ``"boolean"``, ``"datetime"`` or ``"ignored"``.
    missing_values : sequence, or dict from column to sequence, default=()
        Numbers and texts that stand for a missing cell, such as ``(-999, "unknown")``, in all
        columns or in some.
    date_format : str, optional
        How dates are written that come as text, as for ``strptime``; found by looking at each
        column if not given, with a warning where nothing tells the order of day and month.
    max_unreadable : float, default=0.05
        Share of a column's cells that may be unreadable, such as ``ERR`` among numbers; they count
        as missing, with a warning. More of them are an error.
    validation_fraction : float, default=0.2
        Share of the rows that calibrate instead of train; more where ``alpha`` needs it.
    max_validation : int, default=5000
        Most rows held out.
    max_iter : int, default=3000
        Most training steps; training stops early when the validation loss does.
    batch_size : int, default=256
        Rows per training step.
    learning_rate : float, default=0.004
        Largest learning rate.
    width, n_blocks : int, default=128 and 3
        Size of the residual network.
    n_levels : int, default=5
        Noise levels of the score, evenly spaced on a logarithmic scale.
    n_draws : int, default=4
        Noise draws per level, even.
    sigma_min, sigma_max : float, default=0.05 and 4.0
        Range of the noise levels, in standard deviations of the encoded data.
    max_reference : int, default=25000
        Most reference rows.
    trim_fraction : float, default=0.0
        Share of the rows, the least central ones, that are neither trained on nor reference
        rows. ``screen`` leaves out 30 % if it is 0.
    max_categories : int, default=50
        Most values of a category with a coordinate of their own.
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
        Seed of split, training and noise.

    Attributes
    ----------
    model_ : TabularModel
        The fitted model.
    threshold_, offset_ : float
        Anomaly score above which a row is an anomaly; ``offset_`` is minus that.
    alpha_ : float
        The ``alpha`` that the threshold was set for.
    calibration_scores_ : ndarray of shape (calibration row,)
        Sorted anomaly scores of the held-out rows.
    n_training_rows_, n_validation_rows_ : int
        Rows that were trained on, and held out.
    columns_ : list
        Columns that take part in the score.
    n_iter_ : int
        Training steps up to the last evaluation.
    history_ : DataFrame
        Columns ``step``, ``loss``, ``validation_loss`` and ``learning_rate``.
    schema_ : Schema
        The columns, their kinds and types.
    columns_in_ : list
        Columns that rows to score need: as ``columns_``.
    feature_names_in_, n_features_in_ : ndarray of str, int
        Columns seen in ``fit``; names only where all are strings.
    seed_ : int
        Seed of split, training and noise.

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

    unit = "row"
    model_class: ClassVar[Any] = TabularModel

    def __init__(
        self,
        *,
        alpha: float = 0.01,
        kinds: Mapping[Any, str] | None = None,
        missing_values: Sequence | Mapping[Any, Sequence] = (),
        date_format: str | None = None,
        max_unreadable: float = 0.05,
        validation_fraction: float = 0.2,
        max_validation: int = 5000,
        max_iter: int = 3000,
        batch_size: int = 256,
        learning_rate: float = 0.004,
        width: int = 128,
        n_blocks: int = 3,
        n_levels: int = 5,
        n_draws: int = 4,
        sigma_min: float = 0.05,
        sigma_max: float = 4.0,
        max_reference: int = 25000,
        trim_fraction: float = 0.0,
        max_categories: int = 50,
        device: str = "auto",
        checkpoint: str | Path | None = None,
        warm_start: bool = False,
        progress: bool = True,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.alpha = alpha
        self.kinds = kinds
        self.missing_values = missing_values
        self.date_format = date_format
        self.max_unreadable = max_unreadable
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
        self.warm_start = warm_start
        self.progress = progress
        self.random_state = random_state

    @property
    def schema_(self) -> Schema:
        """The columns of the training frame, their kinds and dtypes."""
        return self.model_.schema

    @property
    def columns_(self) -> list:
        """Names of the columns that take part in the score."""
        return self.model_.columns

    @property
    def n_training_rows_(self) -> int:
        """Rows that were trained on."""
        return self.model_.n_training_rows

    @property
    def n_validation_rows_(self) -> int:
        """Rows that were held out and calibrate."""
        return self.model_.n_validation_rows

    def _infer(self, X: ArrayLike) -> tuple[pd.DataFrame, Schema, dict]:
        X = as_pandas(X)
        frame = self._framed(X, reset=True)
        schema, order = Schema.infer_with_order(
            frame,
            kinds=self._kinds(),
            missing_values=self.missing_values,
            date_format=self.date_format,
            max_unreadable=self.max_unreadable,
        )
        self._keep_names(X, frame)
        known = {"drifting": order.places if order.disagreeing else None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unreadable cells, told already
            return schema.check(frame), schema, known

    def _kinds(self) -> Mapping[Any, str] | None:
        """Column kinds that are not inferred."""
        return self.kinds

    def _check(self, X: ArrayLike, *, by_name: bool = False) -> pd.DataFrame:
        return self.schema_.check(self._framed(X, by_name=by_name))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags
