"""The detector for tables of several populations: a model per value of a column."""

import warnings
from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.diagnostics import MODEL_FINDINGS, score_findings
from anomdiff.detectors.segment_answers import SegmentAnswers
from anomdiff.detectors.tabular import TabularDetector
from anomdiff.encoding.schema import Schema
from anomdiff.models.common_scale import common_threshold
from anomdiff.models.segmented_model import SEGMENT, SegmentedModel
from anomdiff.thresholds.conformal import needed_rows
from anomdiff.thresholds.fdr import benjamini_hochberg

__all__ = ["SegmentedDetector"]


class SegmentedDetector(SegmentAnswers, TabularDetector):
    """Anomaly detector for tables whose rows are of several populations, such as countries.

    Each value of the column ``by`` that has enough rows gets a ``TabularDetector``'s model of its
    own, of the other columns. All other rows, those of rare, new and missing values, are scored
    by a shared model of all rows and all columns.

    Scores of segments compare: ``anomaly_score`` is minus the natural logarithm of the p-value
    among the held-out rows of a row's own model, and beyond the largest of these follows its
    tail. One threshold is that of every segment: a normal row of any of them is an alarm
    with a probability of at most ``alpha``; of rare values, on average over all of these if the
    shared model holds out ``1 / alpha`` of their rows, else over the table. Scores do
    not compare with those of a ``TabularDetector``.

    Parameters
    ----------
    by : label
        Column that tells the segments apart; it is read as a category.
    min_rows : int, optional
        Rows that a value needs for a model of its own, at least ``2.5 / alpha``. By default 500,
        and at least ``10 / alpha``.
    alpha, kinds, missing_values, date_format, max_unreadable, validation_fraction, \
max_validation, max_iter, batch_size, learning_rate, width, n_blocks, n_levels, n_draws, \
sigma_min, sigma_max, max_reference, trim_fraction, max_categories, device, checkpoint, \
warm_start, progress, random_state : optional
        As of ``TabularDetector``, of every model. Each model but the shared one writes a
        checkpoint of its own, ``checkpoint.1`` and so on.

    Attributes
    ----------
    model_ : SegmentedModel
        The fitted models.
    segments_ : DataFrame
        A row per value of ``by`` in training, the most frequent first: ``rows`` and ``own``,
        whether it has a model of its own.
    threshold_, offset_, alpha_, calibration_scores_, n_training_rows_, n_validation_rows_, \
columns_, n_iter_, history_, schema_, columns_in_, feature_names_in_, n_features_in_, seed_
        As of ``TabularDetector``: scores on the scale that segments share, all else of the shared
        model.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from anomdiff import SegmentedDetector
    >>> rng = np.random.default_rng(0)
    >>> town = rng.choice(["Oslo", "Rome"], 1_000)
    >>> warm = rng.normal(np.where(town == "Rome", 25.0, 5.0), 1.0)
    >>> table = pd.DataFrame({"town": town, "warm": warm})
    >>> detector = SegmentedDetector(by="town", min_rows=300, max_iter=50, random_state=0)
    >>> batch = pd.DataFrame({"town": ["Oslo", "Rome", "Nice"], "warm": [25.0, 25.0, 15.0]})
    >>> detector.fit(table).score_frame(batch)["segment"].fillna("shared").tolist()
    ['Oslo', 'Rome', 'shared']
    """

    model_class = SegmentedModel

    def __init__(
        self,
        *,
        by: Any = None,
        min_rows: int | None = None,
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
        super().__init__(
            alpha=alpha,
            kinds=kinds,
            missing_values=missing_values,
            date_format=date_format,
            max_unreadable=max_unreadable,
            validation_fraction=validation_fraction,
            max_validation=max_validation,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate=learning_rate,
            width=width,
            n_blocks=n_blocks,
            n_levels=n_levels,
            n_draws=n_draws,
            sigma_min=sigma_min,
            sigma_max=sigma_max,
            max_reference=max_reference,
            trim_fraction=trim_fraction,
            max_categories=max_categories,
            device=device,
            checkpoint=checkpoint,
            warm_start=warm_start,
            progress=progress,
            random_state=random_state,
        )
        self.by = by
        self.min_rows = min_rows

    @property
    def segments_(self) -> pd.DataFrame:
        """Values of ``by`` in training: ``rows``, and whether they have their ``own`` model."""
        rows = pd.Series(self.model_.rows_of_value, name="rows", dtype=np.int64)
        found = rows.rename_axis(self.by).to_frame()
        found["own"] = [value in self.model_.own for value in found.index]
        return found.sort_values("rows", ascending=False, kind="stable")

    def score_frame(self, X: ArrayLike) -> pd.DataFrame:
        """Score rows and say which are anomalies; columns are found by name.

        Parameters
        ----------
        X : DataFrame of shape (row, column)
            Rows to score, the column ``by`` among the columns.

        Returns
        -------
        scored : DataFrame
            As from ``TabularDetector.score_frame``, with the p-values of each row's own model, and
            the column ``segment``: the value of ``by`` whose model scored the row, missing where
            the shared one did.

        Raises
        ------
        ValueError
            As of ``TabularDetector.score_frame``.
        """
        self._require_fitted()
        frame = self._check(X, by_name=True)
        scores, p_values, segments = self.model_.scored(frame)
        extra = {SEGMENT: segments}
        return self._scored(frame, scores, p_values, scores > self.threshold_, extra)

    def discoveries(
        self,
        X: ArrayLike,
        *,
        q: float = 0.1,
        calibration: ArrayLike | None = None,
        shifted: Sequence | None = None,
    ) -> pd.DataFrame:
        """Score a batch; flag rows so that at most a share ``q`` of the flags is false.

        As of ``TabularDetector``, with the p-values of each row's own model; there is no other
        ``calibration``, which is a ``ValueError``.
        """
        if calibration is not None or shifted is not None:
            raise ValueError(
                "need no calibration rows for discoveries by segments; got some: fit to them."
            )
        scored = self.score_frame(X)
        return scored.assign(is_anomaly=benjamini_hochberg(scored["p_value"].to_numpy(), q))

    def diagnose(self, X: ArrayLike | None = None) -> pd.DataFrame:
        """Check every model, as ``TabularDetector.diagnose``; the column ``segment`` says which."""
        check_is_fitted(self)
        new = {}
        if X is not None:
            parts = self.model_.segments(self._check(X, by_name=True))
            new = {part.segment: part.model.score_rows(part.frame) for part in parts}
        found = []
        for name in [None, *self.model_.own]:
            model = self.model_.model_of(name)
            told = [*MODEL_FINDINGS[self.unit](model)]
            told += score_findings(model.calibration_scores, new.get(name))
            found.append(pd.DataFrame(told).assign(segment=name))
        return pd.concat(found, ignore_index=True)

    def recalibrate(self, X: ArrayLike) -> Self:
        """Not for segments: a ``ValueError`` says what to do instead."""
        return self._fit_anew("recalibrated", X)

    def update(self, X: ArrayLike) -> Self:
        """Not for segments: a ``ValueError`` says what to do instead."""
        return self._fit_anew("updated", X)

    def _fit_anew(self, what: str, X: ArrayLike) -> Self:
        raise ValueError(
            f"a detector by segments is not {what}; got {len(np.asarray(X))} rows: fit to the "
            "recent rows, with warm_start=True to train on from the fitted networks."
        )

    def _infer(self, X: ArrayLike) -> tuple[pd.DataFrame, Schema, dict]:
        self._require_segments(X)
        return super()._infer(X)

    def _kinds(self) -> dict[Any, str]:
        """Column kinds, ``by`` a category also where it looks like a number or an identifier."""
        return {**(self.kinds or {}), self.by: "category"}

    def _require_segments(self, X: ArrayLike) -> None:
        """Refuse parameters that tell no segments apart, before training."""
        if self.by is None:
            raise ValueError(
                "need the column `by` that tells the segments apart; got none: set it."
            )
        columns = list(getattr(X, "columns", []))
        if self.by not in columns:
            raise ValueError(f"need the column {self.by!r} of `by`; the table has {columns}.")
        kind = (self.kinds or {}).get(self.by, "category")
        if kind != "category":
            raise ValueError(
                f"need the column {self.by!r} of `by` as a category; got {kind!r} in `kinds`."
            )
        if self.min_rows is None:
            return
        if not isinstance(self.min_rows, Integral) or isinstance(self.min_rows, bool):
            raise TypeError(f"min_rows must be a whole number; got {self.min_rows!r}.")
        least = int(np.ceil(2.5 / self.alpha))
        if self.min_rows < least:
            raise ValueError(
                f"need min_rows of at least {least}, 2.5 / alpha, to calibrate a segment; got "
                f"{self.min_rows}: set it, or a larger alpha."
            )

    def _set_threshold(self) -> None:
        """The same threshold for all segments; warn where it lies beyond what their rows show."""
        few = {
            name: len(self.model_.model_of(name).calibration_scores)
            for name in [None, *self.model_.own]
        }
        few = {name: n for name, n in few.items() if n < needed_rows(self.alpha)}
        if few:
            shown = ["the shared one" if name is None else repr(name) for name in few]
            warnings.warn(
                f"alpha={self.alpha} needs at least {needed_rows(self.alpha)} held-out rows of "
                f"each segment; {', '.join(shown)} of `by` have {min(few.values())} or more: their "
                "rows are flagged by an estimated tail; set a larger alpha or give more rows.",
                UserWarning,
                stacklevel=3,
            )
        self._keep_threshold(common_threshold(self.alpha), self.alpha)
