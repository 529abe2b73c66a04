"""What every diffusion detector does with scores: fit, score, judge, screen."""

from abc import abstractmethod

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.parameters import check_parameters
from anomdiff.scoring.calibration import conformal_p_values, conformal_threshold


class DiffusionDetector(OutlierMixin, BaseEstimator):
    """Base of the detectors: what they do with scores, whatever the data."""

    def fit(self, X, y=None, *, on_step=None):
        """Learn normal data, then set the alarm threshold on rows held out of training.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Mostly normal rows.
        y : None
            Ignored; present because scikit-learn passes it.
        on_step : callable, optional
            Called with the ``TrainingState`` after every training step.

        Returns
        -------
        self : DiffusionDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; the message names the column.
        """
        check_parameters(self.get_params(deep=False))
        self._fit(self._check(X, reset=True), on_step)
        return self

    def screen(self, X, y=None, *, on_step=None):
        """Fit to rows that hold anomalies, and find these: there is no clean training data.

        No row vouches for itself, and a p-value is a row's rank among all rows. The detector
        is then ready for new rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to fit and to judge.
        y : None
            Ignored; present because scikit-learn passes it.
        on_step : callable, optional
            Called with the ``TrainingState`` after every training step.

        Returns
        -------
        scored : DataFrame
            As from ``score_frame``. At most ``alpha`` of the rows are flagged.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; the message names the column.
        """
        check_parameters(self.get_params(deep=False))
        frame = self._check(X, reset=True)
        scores, extra = self._screen(frame, on_step)
        p_values = rankdata(-scores, method="max") / len(scores)
        return self._scored(frame, scores, p_values, p_values <= self.alpha, extra)

    def score_samples(self, X):
        """Score rows the way scikit-learn does: larger is more normal.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.

        Returns
        -------
        scores : ndarray of shape (row,)
            Minus the anomaly score.
        """
        check_is_fitted(self)
        return -self._score(self._check(X, reset=False))[0]

    def decision_function(self, X):
        """Score rows relative to the threshold: negative is an anomaly.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.

        Returns
        -------
        decisions : ndarray of shape (row,)
            ``score_samples(X) - offset_``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Tell anomalies from normal rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to judge.

        Returns
        -------
        labels : ndarray of shape (row,)
            -1 for anomalies, 1 for normal rows.
        """
        return np.where(-self.score_samples(X) > self.threshold_, -1, 1)

    def score_frame(self, X):
        """Score rows and say which are anomalies; columns are found by name.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score. Further columns are ignored with a warning.

        Returns
        -------
        scored : DataFrame
            Index of ``X``; columns ``anomaly_score`` (larger is more anomalous),
            ``p_value`` (in (0, 1]) and ``is_anomaly`` (``p_value <= alpha``).

        Raises
        ------
        ValueError
            If a column is missing or holds something that cannot be read.
        """
        check_is_fitted(self)
        frame = self._check(X, reset=False, by_name=True)
        scores, extra = self._score(frame)
        p_values = conformal_p_values(self.calibration_scores_, scores)
        return self._scored(frame, scores, p_values, scores > self.threshold_, extra)

    # -- hooks ---------------------------------------------------------------------------

    @abstractmethod
    def _check(self, X, *, reset, by_name=False) -> pd.DataFrame:
        """Turn the input into a clean frame, or say in one sentence what is wrong."""

    @abstractmethod
    def _fit(self, frame, on_step):
        """Fit to a checked frame."""

    @abstractmethod
    def _screen(self, frame, on_step) -> tuple[np.ndarray, dict]:
        """Fit to a checked frame and return what ``_score`` does, for the very same rows."""

    @abstractmethod
    def _score(self, frame) -> tuple[np.ndarray, dict]:
        """Anomaly scores of a checked frame, and further columns of its scored frame."""

    # -- fitting -------------------------------------------------------------------------

    def _keep(self, result):
        """Keep the trained network and the course of its training."""
        self.denoiser_ = result.denoiser.requires_grad_(False)
        columns = ["step", "loss", "held_out_loss", "learning_rate"]
        self.history_ = pd.DataFrame(result.history, columns=columns)

    # -- scores --------------------------------------------------------------------------

    def _scored(self, frame, scores, p_values, flags, extra) -> pd.DataFrame:
        """Lay out the scored frame."""
        columns = {"anomaly_score": scores, "p_value": p_values, "is_anomaly": flags}
        return pd.DataFrame({**columns, **extra}, index=frame.index)

    def _set_threshold(self):
        """Derive the threshold from the calibration scores and ``alpha``."""
        self.threshold_ = conformal_threshold(self.calibration_scores_, self.alpha)
        self.offset_ = -self.threshold_
