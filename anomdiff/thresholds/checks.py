"""What scores, weights and shares have to be like."""

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["check_scores", "check_share", "check_weights"]


def check_scores(name: str, scores: ArrayLike) -> np.ndarray:
    """Turn scores into a line of numbers, or say what is wrong with them."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 1 or not len(scores) or np.isnan(scores).any():
        raise ValueError(
            f"need {name} of shape (row,), at least one and none NaN; got shape {scores.shape} "
            f"with {np.isnan(scores).sum()} NaN."
        )
    return scores


def check_weights(name: str, weights: ArrayLike, scores: np.ndarray) -> np.ndarray:
    """Turn weights into numbers, one per score, or say what is wrong with them."""
    weights = np.asarray(weights, dtype=float)
    if weights.shape != scores.shape or not (np.isfinite(weights) & (weights > 0)).all():
        raise ValueError(
            f"need {len(scores)} {name}, positive and finite; got shape {weights.shape}, "
            f"{(~(np.isfinite(weights) & (weights > 0))).sum()} of them not."
        )
    return weights


def check_share(name: str, value: float) -> None:
    """Refuse a number that is not strictly between 0 and 1."""
    if not 0 < value < 1:
        raise ValueError(f"need {name} between 0 and 1; got {value}.")
