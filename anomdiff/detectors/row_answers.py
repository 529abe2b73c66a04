"""What a detector of tables answers beside scores: why, repairs, missing cells, new rows."""

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
from anomdiff.models.tabular_model import TabularModel

__all__ = ["RowAnswers"]


class RowAnswers:
    """Answers of a fitted detector of rows; mixed into ``TabularDetector``."""

    model_: TabularModel
    threshold_: float
    progress: bool
    _framed: Callable[..., pd.DataFrame]
    _require_fitted: Callable[[], None]

    def explain(self, X: ArrayLike, *, top: int | None = None) -> pd.DataFrame:
        """Divide each row's score among its columns, and say what was expected in them.

        A column contributes as far as the score falls when its value is replaced by one that is
        expected given the other columns: the better of what the network expects there and what
        the reference row has that is nearest in the other columns.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to explain; best the few with the highest scores, because each costs two
            scorings per column, or a third of that from 64 columns on.
        top : int, optional
            Columns per row, the largest contributions first; all by default.

        Returns
        -------
        contributions : DataFrame
            Columns ``row`` (label in the index of ``X``), ``column``, ``value``, ``expected``,
            ``low`` and ``high`` (range of the 19 reference rows nearest in the other columns,
            which holds at least about 90 % of normal values; missing for categories and flags)
            and ``contribution``. The contributions of a row add up to its anomaly score, 0 for
            a typical normal row; of a row that scores less, all columns contribute alike.

        Raises
        ------
        ValueError
            If the data cannot be used, or ``top`` is below 1.
        """
        check_is_fitted(self)
        with showing(self.progress):
            return explain_rows(self.model_, *self._asked(X), top)

    def repair(
        self, X: ArrayLike, *, max_columns: int | None = None, immutable: Sequence = ()
    ) -> pd.DataFrame:
        """Make anomalies normal by changing as few columns as possible.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to repair.
        max_columns : int, optional
            Most columns to change in a row; any number by default.
        immutable : sequence of str, default=()
            Columns that are not to change.

        Returns
        -------
        repaired : DataFrame
            Index, columns and dtypes of ``X``. Normal rows and untouched cells are as they
            were; ``X.compare(repaired)`` shows the changes of a frame.

        Raises
        ------
        ValueError
            If the data cannot be used, ``max_columns`` is below 1, or ``immutable`` names
            unknown columns or all.

        Warns
        -----
        UserWarning
            If rows stay above the threshold, with the lowest score found; ``score_frame``
            flags these.

        Notes
        -----
        The columns are searched greedily, in two ways: fewer changes may exist. In a table of 64
        columns or more, 32 of a row are changed at most if ``max_columns`` is not set. A value
        comes from a reference row; a present cell becomes missing only where it mostly is.

        References
        ----------
        Counterfactual explanations: Wachter et al. (2018), "Counterfactual Explanations
        without Opening the Black Box". Nearest unlike rows as their source: Keane and Smyth
        (2020), "Good Counterfactuals and Where to Find Them".
        """
        self._require_fitted()
        frames = self._asked(X)
        with showing(self.progress):
            return repair_rows(self.model_, self.threshold_, *frames, max_columns, immutable)

    def impute(
        self,
        X: ArrayLike,
        *,
        n_draws: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> pd.DataFrame:
        """Fill missing cells by what is expected given the other cells of the row.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows with missing cells, missing at random: that a cell is missing is not used.
        n_draws : int, optional
            Number of times to draw the missing cells from their joint distribution, for
            multiple imputation and intervals. By default every cell gets one best value: the
            mean of a number, the likeliest category.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        filled : DataFrame
            Index, columns and dtypes of ``X``, observed cells unchanged. With ``n_draws``,
            so many such frames, one below the other, told apart by ``draw``, a further first
            level of the index: ``filled.xs(0, level="draw")`` is the first.

        Raises
        ------
        ValueError
            If the data cannot be used, or ``n_draws`` is below 1.

        References
        ----------
        Multiple imputation: Rubin (1987), "Multiple Imputation for Nonresponse in Surveys".
        """
        check_is_fitted(self)
        with showing(self.progress):
            return impute_rows(self.model_, *self._asked(X), n_draws, random_state)

    def sample(
        self,
        n: int,
        *,
        conditions: dict[Any, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> pd.DataFrame:
        """Draw new rows like the training rows, as far from these as held-out rows are.

        Reference rows are recombined, noised and denoised. How much of that it takes is found
        at the first call on a fitted model, which therefore takes longer than the next.

        Parameters
        ----------
        n : int
            Number of rows.
        conditions : dict of column to value, optional
            Columns to fix: to one value, or to one per row. A missing value is a value too. What
            training never showed is taken for what comes nearest.
        random_state : int, RandomState or None, default=None
            Seed of the draws.

        Returns
        -------
        rows : DataFrame of shape (n, used column)
            In the dtypes and categories of training. Columns that the detector ignores, such
            as identifiers, are left out.

        Raises
        ------
        ValueError
            If ``n`` is below 1, or ``conditions`` name an unknown column or hold a value that
            cannot be read.
        """
        check_is_fitted(self)
        with showing(self.progress):
            return sample_rows(self.model_, n, conditions, random_state)

    def _asked(self, X: ArrayLike) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Rows as they came, and checked."""
        frame = self._framed(X, by_name=True)
        return frame, self.model_.schema.check(frame)
