"""Scores of several models on one scale: minus the logarithm of the p-value, with a tail."""

from functools import cached_property

import numpy as np
import torch

from anomdiff.scoring.calibration import LEAST_TAIL
from anomdiff.scoring.surprisal import Surprisal
from anomdiff.thresholds.conformal import conformal_p_values, largest_ties

__all__ = ["CommonScale", "common_threshold"]

# What scores of one p-value are apart at most: they keep their order, and no threshold notices.
WITHIN_STEP = 1e-9
# Halvings that find a score: more than a float has digits.
HALVINGS = 80


class CommonScale:
    r"""Maps the scores of one model to a scale on which those of other models compare.

    A score :math:`s` becomes :math:`-\ln p(s)`, with the conformal p-value among the model's own
    calibration scores. Beyond the largest of these, where the p-value is :math:`1 / (n + 1)`,
    follows what a generalised Pareto tail of the largest tenth adds. The map rises strictly.

    Parameters
    ----------
    calibration : ndarray of shape (n,)
        Scores of held-out normal rows, ascending.

    References
    ----------
    Tails: see ``anomdiff.scoring.surprisal``.
    """

    def __init__(self, calibration: np.ndarray):
        self.calibration = calibration

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Scores on the common scale, at least 0, of any shape (row,)."""
        upper = self._upper
        smaller = np.searchsorted(upper, scores, side="left")
        low = upper[np.maximum(smaller - 1, 0)]
        width = upper[np.minimum(smaller, len(upper) - 1)] - low
        # Below all calibration scores there is no lower end: what is nearer to them is larger.
        place = np.divide(scores - low, width, out=np.zeros(len(scores)), where=width > 0)
        place = np.where(smaller == 0, 1 / (1 + np.maximum(upper[0] - scores, 0.0)), place)
        beyond = self._tail(np.maximum(scores, upper[-1])) - self._tail(upper[-1:])
        within = WITHIN_STEP * np.where(smaller == len(upper), 1.0, place)
        return -np.log(self.p_values(scores)) + within + np.maximum(beyond, 0.0)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Conformal p-values, (row,)."""
        return conformal_p_values(self.calibration, scores)

    def score_at(self, threshold: float) -> float:
        """Score of the model that a threshold of the common scale stands for."""
        if not np.isfinite(threshold):
            return float(threshold)
        low, high = self.calibration[0] - 1.0, self.calibration[-1] + 1.0
        while self(np.array([high]))[0] <= threshold:
            high += high - low
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            above = self(np.array([middle]))[0] > threshold
            low, high = (low, middle) if above else (middle, high)
        return float(low)

    @cached_property
    def _upper(self) -> np.ndarray:
        """What counts as equal to each calibration score, at most."""
        return np.asarray(largest_ties(self.calibration))

    @cached_property
    def _surprisal(self) -> Surprisal:
        return Surprisal.fit(torch.from_numpy(self.calibration[:, None].copy()), LEAST_TAIL)

    def _tail(self, scores: np.ndarray) -> np.ndarray:
        return self._surprisal(torch.from_numpy(scores[:, None].copy())).numpy()[:, 0]


def common_threshold(alpha: float) -> float:
    """Threshold of the common scale with ``score > threshold`` where the p-value is ``<= alpha``.

    Where a model has too few calibration rows for any p-value to reach ``alpha``, it is one of
    the tail.
    """
    return float(-np.log(alpha) - WITHIN_STEP / 2)
