"""What a detector of tables by segments answers beside scores: each row by its own model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from anomdiff.conditional.imputation import impute_rows
from anomdiff.conditional.row_sampling import sample_rows
from anomdiff.explain.row_counterfactuals import repair_rows
from anomdiff.explain.row_explanation import explain_rows
from anomdiff.models.progress import showing
from anomdiff.models.segmented_model import SegmentRows

__all__ = ["SegmentAnswers"]


class SegmentAnswers:
    """Answers of a fitted detector by segments; mixed into ``SegmentedDetector``."""

    by: Any
    model_: Any  # a SegmentedModel
    threshold_: float
    progress: bool
    columns_: Any
    _framed: Callable[..., pd.DataFrame]
    _asked: Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
    _require_fitted: Callable[[], None]

    def explain(self, X: ArrayLike, *, top: int | None = None) -> pd.DataFrame:
        """Divide each row's score among its columns, as ``TabularDetector.explain`` does.

        Parameters
        ----------
        X : DataFrame of shape (row, column)
            Rows to explain.
        top : int, optional
            Columns per row, the largest contributions first; all by default.

        Returns
        -------
        contributions : DataFrame
            As of ``TabularDetector.explain``, by each row's own model; the contributions of a row
            add up to its ``anomaly_score``. The column ``by`` contributes in rows of the shared
            model only.

        Raises
        ------
        ValueError
            If the data cannot be used, or ``top`` is below 1.
        """
        check_is_fitted(self)

        def explained(part: SegmentRows, shown: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
            found = explain_rows(part.model, shown, part.frame, top)
            scores = part.model.score_rows(part.frame)
            n_lines = len(found) // len(shown)
            factors = part.scale(scores) / np.where(scores > 0, scores, np.nan)
            alike = part.scale(scores) / len(part.model.columns)
            scaled = found["contribution"] * np.repeat(factors, n_lines)
            found["contribution"] = scaled.fillna(pd.Series(np.repeat(alike, n_lines)))
            return found, np.repeat(part.rows, n_lines)

        with showing(self.progress):
            return self._by_segment(X, explained).reset_index(drop=True)

    def repair(
        self, X: ArrayLike, *, max_columns: int | None = None, immutable: Sequence = ()
    ) -> pd.DataFrame:
        """Make anomalies normal by changing as few columns as possible, but never ``by``.

        As ``TabularDetector.repair``, by each row's own model.
        """
        self._require_fitted()
        unknown = [name for name in immutable if name not in self.columns_]
        if unknown:
            raise ValueError(f"need columns of {self.columns_} in immutable; got {unknown}.")
        kept = {*immutable, self.by}

        def repaired(part: SegmentRows, shown: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
            threshold = part.scale.score_at(self.threshold_)
            fixed = [name for name in part.model.columns if name in kept]
            frames = shown, part.frame
            return repair_rows(part.model, threshold, *frames, max_columns, fixed), part.rows

        with showing(self.progress):
            return self._by_segment(X, repaired)

    def impute(
        self,
        X: ArrayLike,
        *,
        n_draws: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> pd.DataFrame:
        """Fill missing cells by what is expected given the other cells of the row.

        As ``TabularDetector.impute``, by each row's own model.
        """
        check_is_fitted(self)
        draws = range(n_draws or 1)

        def filled(part: SegmentRows, shown: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
            found = impute_rows(part.model, shown, part.frame, n_draws, random_state)
            return found, np.concatenate([part.rows + draw * n_rows for draw in draws])

        n_rows = len(self._framed(X, by_name=True))
        with showing(self.progress):
            return self._by_segment(X, filled)

    def sample(
        self,
        n: int,
        *,
        conditions: dict[Any, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> pd.DataFrame:
        """Draw new rows by the shared model, with the column ``by``; see ``TabularDetector``."""
        check_is_fitted(self)
        with showing(self.progress):
            return sample_rows(self.model_.shared, n, conditions, random_state)

    def _by_segment(
        self,
        X: ArrayLike,
        answer: Callable[[SegmentRows, pd.DataFrame], tuple[pd.DataFrame, np.ndarray]],
    ) -> pd.DataFrame:
        """Answers of all models in the order of the rows; each has the places of its lines."""
        shown, checked = self._asked(X)
        parts = [answer(part, shown.iloc[part.rows]) for part in self.model_.segments(checked)]
        places = np.concatenate([place for _, place in parts])
        return pd.concat([found for found, _ in parts]).iloc[np.argsort(places, kind="stable")]
