"""Other thresholds and calibrations of a fitted detector, and what may be wrong with it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.covariate_shift import shift_weights
from anomdiff.detectors.diagnostics import MODEL_FINDINGS, score_findings
from anomdiff.models.parameters import check_parameters
from anomdiff.thresholds.conformal import conformal_p_values, weighted_p_values
from anomdiff.thresholds.fdr import benjamini_hochberg

__all__ = ["Recalibration"]


class Recalibration:
    """Thresholds, calibration and diagnosis; mixed into ``DiffusionDetector``."""

    alpha: float
    model_: Any
    calibration_scores_: Any
    _check: Callable[..., pd.DataFrame]
    _scored: Callable[..., pd.DataFrame]
    unit: ClassVar[str]
    _require_fitted: Callable[[], None]
    _set_threshold: Callable[[], None]
    _keep_threshold: Callable[..., None]

    def _recalibrated(self, frame: pd.DataFrame, scores: np.ndarray, extra: Mapping) -> dict:
        """What else of the model is learned anew from normal rows."""
        return {}

    def discoveries(
        self,
        X: ArrayLike,
        *,
        q: float = 0.1,
        calibration: ArrayLike | None = None,
        shifted: Sequence | None = None,
    ) -> pd.DataFrame:
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
        self._require_fitted()
        frame = self._check(X, by_name=True)
        scores, extra = self.model_.score_frame(frame)
        if calibration is None and shifted is not None:
            raise ValueError("need calibration rows to tell what has shifted; got none.")
        if calibration is None:
            p_values = conformal_p_values(self.calibration_scores_, scores)
        else:
            known = self._check(calibration, by_name=True)
            weights = np.ones(len(known)), np.ones(len(frame))
            if shifted is not None:
                weights = shift_weights(known, frame, list(shifted), self.model_.seed)
            p_values = _judged_p_values(self.model_.score_frame(known)[0], scores, *weights)
        return self._scored(frame, scores, p_values, benjamini_hochberg(p_values, q), extra)

    def set_alpha(self, alpha: float) -> Self:
        """Set another share of alarms among normal rows; the network stays as it is.

        Parameters
        ----------
        alpha : float
            In (0, 1). The parameter ``alpha`` becomes this one, so that ``get_params``, a saved
            model and ``p_value <= alpha`` agree with the threshold. For series a larger one buys
            little sensitivity, since a step must be off itself too to be flagged.

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

    def set_threshold(self, threshold: float) -> Self:
        """Set the threshold itself, from costs or a budget for example.

        ``alpha`` and the p-values stay: they no longer tell which rows are flagged.

        Parameters
        ----------
        threshold : float
            Rows with a larger anomaly score are flagged; see ``anomdiff.thresholds``.

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
        self._keep_threshold(float(threshold), self.alpha)
        return self

    def recalibrate(self, X: ArrayLike) -> Self:
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
        frame = self._check(X, by_name=True)
        scores, extra = self.model_.score_frame(frame)
        judged = scores[~np.isnan(scores)]
        if not len(judged):
            raise ValueError(
                f"need rows that are judged to calibrate on; all {len(scores)} are at gaps or in "
                "series shorter than a window: give longer series."
            )
        further = self._recalibrated(frame, scores, extra)
        self.model_ = replace(self.model_, calibration_scores=np.sort(judged), **further)
        self._set_threshold()
        return self

    def update(self, X: ArrayLike) -> Self:
        """Take in further normal rows of a table: as reference rows and for calibration.

        The network and the encoding stay as they are, which takes a fraction of the time of a
        fit. A part of the rows, as ``validation_fraction`` says, becomes no reference row: these
        alone calibrate, so that p-values of rows like the new ones hold, drift or not.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, column)
            Normal rows that the detector has not seen, at least ``2.5 / alpha``.

        Returns
        -------
        self : TabularDetector
            The detector, with another ``model_`` and ``threshold_``.

        Raises
        ------
        ValueError
            If the rows are too few, lack a column, or have categories or missing cells where
            training showed none; or are steps of series, which have to be fitted to.
        """
        check_is_fitted(self)
        frame = self._check(X, by_name=True)
        if self.unit == "step":  # which steps are apart from which decides every part of the model
            raise ValueError(
                f"an update needs rows of a table; got {len(frame)} steps of series: fit to the "
                "recent period with warm_start=True, or set the threshold by it with recalibrate."
            )
        self.model_ = self.model_.updated(frame, self.get_params(deep=False))  # type: ignore[attr-defined]
        self._set_threshold()
        return self

    def diagnose(self, X: ArrayLike | None = None) -> pd.DataFrame:
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
            - ``converged``: fall of the validation loss in the last quarter of training.
            - ``overfitted``: validation loss over training loss.
            - ``underfitted``: of tables of several columns, the largest share of a column's
              variance that the network explains by the other columns; of series, the validation
              loss; 1 is that of a network that predicts nothing.
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
            scores, _ = self.model_.score_frame(self._check(X, by_name=True))
            scores = scores[~np.isnan(scores)]
        findings = MODEL_FINDINGS[self.unit](self.model_)
        return pd.DataFrame([*findings, *score_findings(self.calibration_scores_, scores)])


def _judged_p_values(
    calibration: np.ndarray,
    scores: np.ndarray,
    calibration_weights: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Weighted p-values of the rows that have a score, by the calibration rows that have one."""
    known, judged = ~np.isnan(calibration), ~np.isnan(scores)
    p_values = np.full(len(scores), np.nan)
    if judged.any():
        p_values[judged] = weighted_p_values(
            calibration[known], scores[judged], calibration_weights[known], weights[judged]
        )
    return p_values
