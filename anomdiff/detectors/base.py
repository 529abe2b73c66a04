"""What every diffusion detector does with scores: fit, score, judge, screen, set thresholds."""

import math
from abc import abstractmethod
from numbers import Real

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.covariate_shift import shift_weights
from anomdiff.detectors.diagnostics import diagnose
from anomdiff.detectors.parameters import check_parameters
from anomdiff.thresholds.conformal import (
    conformal_p_values,
    conformal_threshold,
    largest_ties,
    weighted_p_values,
)
from anomdiff.thresholds.fdr import benjamini_hochberg


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
        smaller = np.searchsorted(largest_ties(np.sort(scores)), scores, side="left")
        p_values = (len(scores) - smaller) / len(scores)
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
            ``p_value`` (in (0, 1]) and ``is_anomaly`` (score above ``threshold_``, which is
            ``p_value <= alpha`` unless ``set_threshold`` set another).

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

    def discoveries(self, X, *, q=0.1, calibration=None, shifted=None):
        """Score a batch; flag rows so that at most a share ``q`` of the flags is false.

        The share is an expectation over batches, by Benjamini and Hochberg's procedure, and
        holds where normal rows of ``X`` are exchangeable with those that calibrate. Steps of
        series depend on their neighbours: there ``q`` is a guide. Nothing in the detector
        changes.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            The batch.
        q : float, default=0.1
            False-discovery rate, in (0, 1).
        calibration : DataFrame or array-like of shape (n, column), optional
            Normal rows that the detector was not fitted to; by default those that ``fit`` held
            out. Recent ones undo a drift.
        shifted : list of column, optional
            Columns whose mix is another in ``X`` than in ``calibration``, such as more of one
            country, while rows with the same values there are as before. A classifier of the
            two frames weighs the calibration rows. Name no column where anomalies show: they
            would be taken for the shift, and missed.

        Returns
        -------
        scored : DataFrame
            As from ``score_frame``, with the p-values and flags of this batch.

        Raises
        ------
        ValueError
            If the data cannot be used, or there is no ``calibration`` to be shifted from.
        """
        check_is_fitted(self)
        frame = self._check(X, reset=False, by_name=True)
        scores, extra = self._score(frame)
        if calibration is None and shifted is not None:
            raise ValueError("need calibration rows to tell what has shifted; got none.")
        if calibration is None:
            p_values = conformal_p_values(self.calibration_scores_, scores)
        else:
            known = self._check(calibration, reset=False, by_name=True)
            weights = np.ones(len(known)), np.ones(len(frame))
            if shifted is not None:
                weights = shift_weights(known, frame, list(shifted), self.seed_)
            p_values = weighted_p_values(self._score(known)[0], scores, *weights)
        return self._scored(frame, scores, p_values, benjamini_hochberg(p_values, q), extra)

    # -- thresholds ----------------------------------------------------------------------

    def set_alpha(self, alpha):
        """Set another share of alarms among normal rows; the network stays as it is.

        Parameters
        ----------
        alpha : float
            In (0, 1). The parameter ``alpha`` becomes this one, so that ``get_params``, a saved
            model and ``p_value <= alpha`` agree with the threshold.

        Returns
        -------
        self : DiffusionDetector
            The detector, with another ``threshold_``.

        Raises
        ------
        TypeError, ValueError
            If ``alpha`` is no such number.
        """
        check_is_fitted(self)
        check_parameters({"alpha": alpha})
        self.alpha = alpha
        self._set_threshold()
        return self

    def set_threshold(self, threshold):
        """Set the threshold itself, from costs or a budget for example.

        ``alpha`` and the p-values stay: they no longer tell which rows are flagged.

        Parameters
        ----------
        threshold : float
            Rows with a larger anomaly score are flagged; see ``anomdiff.thresholds``
            and ``anomdiff.thresholds.cost``.

        Returns
        -------
        self : DiffusionDetector
            The detector, with another ``threshold_``.

        Raises
        ------
        TypeError, ValueError
            If the threshold is no number.
        """
        check_is_fitted(self)
        if not isinstance(threshold, Real) or isinstance(threshold, bool):
            raise TypeError(f"threshold must be a number; got {threshold!r}.")
        if math.isnan(threshold):
            raise ValueError("threshold must be a number; got NaN.")
        self._keep_threshold(float(threshold))
        return self

    def recalibrate(self, X):
        """Set p-values and threshold by other normal rows; the network stays as it is.

        After a drift these are recent rows. With verdicts, they are all rows of a period but
        the confirmed anomalies: false alarms alone, without the rows that raised no alarm,
        would drive the threshold up with every round.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, column)
            Normal rows that the detector was not fitted to; best at least ``1 / alpha``.

        Returns
        -------
        self : DiffusionDetector
            The detector, with other ``calibration_scores_`` and another ``threshold_``.
        """
        check_is_fitted(self)
        scores, _ = self._score(self._check(X, reset=False, by_name=True))
        self.calibration_scores_ = np.sort(scores)
        self._set_threshold()
        return self

    # -- diagnosis -----------------------------------------------------------------------

    def diagnose(self, X=None):
        """Check the fitted detector; say in a sentence what to do about each finding.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column), optional
            New rows, mostly normal: do they score like those that set the threshold?

        Returns
        -------
        findings : DataFrame
            A row per check: ``check``, its ``value`` and ``limit``, ``ok``, and ``advice``.

            - ``equilibrium``: largest Kolmogorov-Smirnov distance of a column at the noise level
              from which missing columns are redrawn to the stationary Gaussian.
            - ``converged``: fall of the held-out loss in the last quarter of training.
            - ``overfitted``: held-out loss over training loss.
            - ``underfitted``: held-out loss; 1 is that of a network that predicts nothing.
            - ``samples: columns``, ``samples: pairs``: of generated rows and rows that training
              did not see, the largest Kolmogorov-Smirnov distance of a column, and the largest
              difference of a correlation.
            - ``calibration``: steps that set the threshold, in lengths of the longest window.
            - ``exchangeable``: p-value of the two-sample Kolmogorov-Smirnov test of the scores
              of ``X`` and those that calibrate, the largest ones left out.

            Those of samples and the equilibrium are for tables only, that of the calibration is
            for series only.
        """
        check_is_fitted(self)
        scores = None
        if X is not None:
            scores = self._score(self._check(X, reset=False, by_name=True))[0]
        return diagnose(self, scores)

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
        columns = ["step", "loss", "validation_loss", "learning_rate"]
        self.history_ = pd.DataFrame(result.history, columns=columns)
        self.n_iter_ = int(self.history_["step"].max())

    # -- scores --------------------------------------------------------------------------

    def _scored(self, frame, scores, p_values, flags, extra) -> pd.DataFrame:
        """Lay out the scored frame."""
        columns = {"anomaly_score": scores, "p_value": p_values, "is_anomaly": flags}
        return pd.DataFrame({**columns, **extra}, index=frame.index)

    def _set_threshold(self):
        """Derive the threshold from the calibration scores and ``alpha``."""
        self._keep_threshold(conformal_threshold(self.calibration_scores_, self.alpha))

    def _keep_threshold(self, threshold):
        """Keep a threshold, and scikit-learn's name for it."""
        self.threshold_, self.offset_ = threshold, -threshold
