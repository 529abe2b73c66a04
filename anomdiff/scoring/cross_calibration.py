"""Scores of the held-out rows themselves: each is calibrated on the others."""

from collections.abc import Sequence
from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.scoring.calibration import ScoreCalibration

__all__ = ["cross_calibrated"]

# With as many held-out rows as folds or fewer, every row is a fold of its own.
CALIBRATION_FOLDS = 20


def cross_calibrated(
    calibration: ScoreCalibration,
    components: Sequence[Float[Tensor, "row _"]],
    calibrating: Bool[Tensor, "row"],
    least_tails: Sequence[float],
) -> Float[Tensor, "row"]:
    """Scores of held-out rows, as if the calibration had never seen them.

    A row that took part in the calibration is itself among the errors that it is compared with,
    so that few held-out rows look more alike than new rows do. The rows are therefore dealt out
    in 20 folds, and each is scored by a calibration of the rows of the others.

    Parameters
    ----------
    calibration : ScoreCalibration
        Fitted to the calibrating rows; its weights and the share of the maximum are kept.
    components : sequence of float Tensor of shape (row, level)
        Errors of all held-out rows, one tensor per component.
    calibrating : bool Tensor of shape (row,)
        Rows that the calibration was fitted to.
    least_tails : sequence of float
        As the calibration was fitted with.

    Returns
    -------
    scores : float Tensor of shape (row,)
        Those of rows that are not calibrating are the scores of ``calibration``.

    References
    ----------
    Barber et al. (2021), "Predictive inference with the jackknife+", Annals of Statistics 49(1).
    """
    scores = calibration.score(components)
    weights, share = calibration.weights, calibration.maximum_share
    numbers = calibrating.nonzero()[:, 0]
    folds = [
        numbers[first::CALIBRATION_FOLDS] for first in range(min(CALIBRATION_FOLDS, len(numbers)))
    ]
    for fold in folds if len(folds) > 1 else []:
        others = calibrating.clone()
        others[fold] = False
        known = ScoreCalibration.fit([each[others] for each in components], least_tails)
        known = replace(known, weights=weights, maximum_share=share)
        scores[fold] = known.score([each[fold] for each in components])
    return scores
