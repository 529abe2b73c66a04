"""What every detector does with scores: fit, score, flag, screen, set thresholds."""

from abc import abstractmethod
from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.input_frames import InputFrames
from anomdiff.detectors.overview import Overview
from anomdiff.detectors.recalibration import Recalibration
from anomdiff.encoding.index_levels import without_levels
from anomdiff.encoding.json_values import from_json, to_json
from anomdiff.models.judged_steps import EVIDENT
from anomdiff.models.parameters import check_parameters, storable_parameter
from anomdiff.models.training_run import StepHook
from anomdiff.thresholds.conformal import conformal_p_values, conformal_threshold, rank_p_values

__all__ = ["DiffusionDetector"]


class DiffusionDetector(Overview, InputFrames, Recalibration, OutlierMixin, BaseEstimator):
    """Base of the detectors: what they do with scores, whatever the data.

    Attributes
    ----------
    unit : {"row", "step"}
        What is scored: rows by themselves, or the steps of whole series.
    model_ : TabularModel or WindowModel
        The fitted model; it never changes.
    threshold_ : float
        Anomaly score above which a row is an anomaly.
    offset_ : float
        ``-threshold_``, scikit-learn's name for it.
    """

    unit: ClassVar[str]
    model_class: ClassVar[Any]
    model_: Any

    def fit(self, X: ArrayLike, y: None = None, *, on_step: StepHook | None = None) -> Self:
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
        parameters = self.get_params(deep=False)
        check_parameters(parameters)
        frame, columns, known = self._infer(X)
        if parameters.get("warm_start"):
            known["start"] = getattr(self, "model_", None)
        self._adopt(self.model_class.fit(frame, columns, parameters, on_step=on_step, **known))
        self._set_first_threshold()
        return self

    def fit_predict(self, X: ArrayLike, y: None = None) -> np.ndarray:
        """Screen rows: fit to rows that hold anomalies, and find these.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to fit and to flag.
        y : None
            Ignored; present because scikit-learn passes it.

        Returns
        -------
        labels : ndarray of shape (row,)
            -1 for anomalies, 1 for normal rows; as ``screen``, not as ``fit(X).predict(X)``,
            for which the rows are normal ones that were learned from.
        """
        return _labels(self.screen(X)["is_anomaly"].to_numpy())

    def screen(
        self, X: ArrayLike, y: None = None, *, on_step: StepHook | None = None
    ) -> pd.DataFrame:
        """Fit to rows that hold anomalies, and find these: there is no clean training data.

        No row is compared with itself. A p-value is a row's rank among all rows, or of series a
        step's among those that are no clear anomalies. The detector is then ready for new rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to fit and to flag.
        y : None
            Ignored; present because scikit-learn passes it.
        on_step : callable, optional
            Called with the ``TrainingState`` after every training step.

        Returns
        -------
        scored : DataFrame
            As from ``score_frame``. At most ``alpha`` of the rows are flagged; of series, of the
            steps that are no clear anomalies.

        Raises
        ------
        ValueError
            If the data or a parameter cannot be used; the message names the column.
        """
        check_parameters(self.get_params(deep=False))
        frame, columns, _ = self._infer(X)
        parameters = self.get_params(deep=False)
        model, scores, extra = self.model_class.screen(frame, columns, parameters, on_step=on_step)
        self._adopt(model)
        self._set_threshold()
        if EVIDENT in extra:  # the steps that calibrate are those that are no clear anomalies
            p_values = conformal_p_values(self.calibration_scores_, scores)
            return self._scored(frame, scores, p_values, scores > self.threshold_, extra)
        p_values, flags = rank_p_values(scores, self.alpha)
        return self._scored(frame, scores, p_values, flags, extra)

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        """Score rows the way scikit-learn does: larger is more normal.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.

        Returns
        -------
        scores : ndarray of shape (row,)
            Minus the anomaly score; missing for steps of series that are not judged.
        """
        self._require_fitted()
        return -self.model_.score_frame(self._check(X))[0]

    def decision_function(self, X: ArrayLike) -> np.ndarray:
        """Score rows relative to the threshold: negative is an anomaly.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to score.

        Returns
        -------
        decisions : ndarray of shape (row,)
            ``score_samples(X) - offset_``; of steps of a series at least 0 where only windows
            that hold a step are unusual, not the step itself. Steps that are not judged count
            as typical ones, of an anomaly score of 0, and are never negative.
        """
        self._require_fitted()
        scores, extra = self.model_.score_frame(self._check(X))
        decisions = -np.nan_to_num(scores, nan=0.0) - self.offset_
        return np.where(extra.pop(EVIDENT, True), decisions, np.maximum(decisions, 0.0))

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Tell anomalies from normal rows.

        Parameters
        ----------
        X : DataFrame or array-like of shape (row, column)
            Rows to flag.

        Returns
        -------
        labels : ndarray of shape (row,)
            -1 for anomalies, 1 for normal rows and for steps that are not judged.
        """
        return _labels(self.decision_function(X) < 0)

    def score_frame(self, X: ArrayLike) -> pd.DataFrame:
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
            ``p_value <= alpha`` unless ``set_threshold`` set another). Of series, steps are
            flagged that are off themselves too, not those around which windows hold such steps.
            Of steps that no window fits around, at gaps and in short series, and of parts of a
            series whose rows are further apart or nearer than in training, score and p-value are
            missing, with a warning, and nothing is flagged.

        Raises
        ------
        ValueError
            If a column is missing or holds something that cannot be read, or ``alpha`` is not
            the one that the threshold was set for.
        """
        self._require_fitted()
        frame = self._check(X, by_name=True)
        scores, extra = self.model_.score_frame(frame)
        p_values = conformal_p_values(self.calibration_scores_, scores)
        return self._scored(frame, scores, p_values, scores > self.threshold_, extra)

    # -- what was fitted -----------------------------------------------------------------

    @property
    def calibration_scores_(self) -> np.ndarray:
        """Anomaly scores of the rows that calibrate, ascending."""
        return self.model_.calibration_scores

    @property
    def history_(self) -> pd.DataFrame:
        """Course of training: ``step``, ``loss``, ``validation_loss`` and ``learning_rate``."""
        return self.model_.history

    @property
    def n_iter_(self) -> int:
        """Training steps up to the last evaluation."""
        return int(self.history_["step"].max())

    @property
    def seed_(self) -> int:
        """Seed of everything that was drawn."""
        return self.model_.seed

    @property
    def columns_in_(self) -> list:
        """Input columns that scoring needs."""
        return self.model_.columns_in

    def describe(self) -> dict[str, Any]:
        """Return what the columns are, as JSON values."""
        return self.model_.describe()

    # -- storage -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the fitted detector as JSON values and tensors, nested; see ``anomdiff.save``."""
        parameters = self.get_params(deep=False)
        if not isinstance(parameters["random_state"], Integral | None):
            parameters["random_state"] = self.model_.seed
        parameters["device"] = str(parameters["device"])  # it may be a torch.device
        return {
            "parameters": {
                name: to_json(storable_parameter(name, value)) for name, value in parameters.items()
            },
            "n_features_in": self.n_features_in_,
            "feature_names_in": getattr(self, "feature_names_in_", np.array([])).tolist(),
            # A tensor, because JSON has no infinity: no row is flagged.
            "threshold": torch.tensor(self.threshold_, dtype=torch.float64),
            "threshold_alpha": self.alpha_,
            "model": self.model_.to_dict(),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted detector from `to_dict`."""
        given = {name: from_json(value) for name, value in state["parameters"].items()}
        if isinstance(given.get("kinds"), tuple):  # pairs, as models were stored before
            given["kinds"] = dict(given["kinds"])
        detector = cls(**given)
        known = {k: v for k, v in given.items() if k not in ("device", "checkpoint")}
        check_parameters(known)  # device and folder may be those of another machine
        detector.n_features_in_ = state["n_features_in"]
        if state["feature_names_in"]:
            detector.feature_names_in_ = np.array(state["feature_names_in"], dtype=object)
        detector._adopt(cls.model_class.from_dict(state["model"]))
        detector._require_seen(detector.columns_in_)
        threshold, alpha = state["threshold"].item(), state["threshold_alpha"]
        if np.isnan(threshold) or not 0 < alpha < 1:
            raise ValueError(f"need a threshold and its alpha; got {threshold} and {alpha!r}.")
        detector._keep_threshold(threshold, alpha)
        return detector

    def _require_seen(self, columns: list) -> None:
        """Refuse a stored model of columns that are none of those of training."""
        seen = getattr(self, "feature_names_in_", columns)
        if unknown := [name for name in columns if name not in seen]:
            raise ValueError(f"need columns among {list(seen)} in a stored model; got {unknown}.")

    # -- hooks ---------------------------------------------------------------------------

    @abstractmethod
    def _infer(self, X: ArrayLike) -> tuple[pd.DataFrame, Any, dict]:
        """Turn training data into a clean frame; say what its columns are, and what else helps."""

    @abstractmethod
    def _check(self, X: ArrayLike, *, by_name: bool = False) -> pd.DataFrame:
        """Turn the input into a clean frame, or say in one sentence what is wrong."""

    def _set_first_threshold(self) -> None:
        """Set the threshold after a fit; warn once where rows are too few for ``alpha``."""
        self._set_threshold()

    # -- inside --------------------------------------------------------------------------

    def _adopt(self, model: Any) -> None:
        """Take over a fitted model."""
        self.model_ = model

    def _require_fitted(self) -> None:
        """Refuse to flag by a threshold of another ``alpha``."""
        check_is_fitted(self)
        if self.alpha != self.alpha_:
            raise ValueError(
                f"need the alpha that the threshold was set for, {self.alpha_}; got alpha="
                f"{self.alpha}: call set_alpha({self.alpha})."
            )

    def _scored(
        self,
        frame: pd.DataFrame,
        scores: np.ndarray,
        p_values: np.ndarray,
        flags: np.ndarray,
        extra: Mapping,
    ) -> pd.DataFrame:
        """Lay out the scored frame; steps that are not off themselves are not flagged."""
        extra = dict(extra)
        flags = flags & extra.pop(EVIDENT, True)
        columns = {"anomaly_score": scores, "p_value": p_values, "is_anomaly": flags}
        return without_levels(pd.DataFrame({**columns, **extra}, index=frame.index))

    def _set_threshold(self) -> None:
        """Derive the threshold from the calibration scores and ``alpha``."""
        threshold = conformal_threshold(self.calibration_scores_, self.alpha)
        self._keep_threshold(threshold, self.alpha)

    def _keep_threshold(self, threshold: float, alpha: float) -> None:
        """Keep a threshold, scikit-learn's name for it, and the alpha in force."""
        self.threshold_, self.offset_, self.alpha_ = threshold, -threshold, alpha


def _labels(flags: np.ndarray) -> np.ndarray:
    """Labels of scikit-learn: -1 for anomalies."""
    return np.where(flags, -1, 1)
