"""A stored model is checked before use: finite, whole, and of parts that fit together."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.reference.window_bank import LevelBank, UncentredBank, WindowBank
from anomdiff.scoring.channel_regression import ChannelRegression, n_features
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.step_scores import StepScores
from anomdiff.scoring.window_scores import WindowCalibration

__all__ = [
    "as_stored",
    "require_calibrated",
    "require_finite",
    "require_finite_scores",
    "require_lengths",
    "require_positive",
    "require_regression",
    "require_whole",
    "restored_denoiser",
    "stored_bank",
    "stored_calibration",
    "stored_levels",
    "stored_step_bank",
    "stored_steps",
]

# Names under which banks are stored.
BANKS = {"WindowBank": WindowBank, "LevelBank": LevelBank}
# Parts of a description that may lack numbers: the course of training.
WITH_GAPS = ("history",)


def require_finite(state: Any, name: str = "model") -> None:
    """Refuse a stored part that is not finite, naming it: a score of it would mean nothing.

    Parameters
    ----------
    state : dict, list, Tensor or scalar
        Part of a stored model.
    name : str
        Its name.
    """
    if isinstance(state, Tensor):
        if state.is_floating_point() and not state.isfinite().all():
            raise ValueError(f"need finite numbers in a stored model; '{name}' has others.")
    elif isinstance(state, Mapping):
        for key, value in state.items():
            if key not in WITH_GAPS:
                require_finite(value, f"{name}.{key}")
    elif isinstance(state, Sequence) and not isinstance(state, str):
        for place, value in enumerate(state):
            require_finite(value, f"{name}.{place}")
    elif isinstance(state, float) and not math.isfinite(state):
        raise ValueError(f"need finite numbers in a stored model; '{name}' is {state}.")


def require_whole(state: Mapping[str, Any], lowest: Mapping[str, int]) -> None:
    """Refuse fields that are no whole numbers of at least so much."""
    for name, low in lowest.items():
        value = state[name]
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(
                f"need '{name}' of a stored model as a whole number from {low} on; got {value!r}."
            )


def require_calibrated(scores: Tensor) -> np.ndarray:
    """Return calibration scores, which are one or more numbers in ascending order."""
    values = scores.numpy()
    if values.ndim != 1 or not len(values) or not (np.diff(values) >= 0).all():
        raise ValueError(
            "need calibration scores of a stored model in ascending order, one at least; got "
            f"an array of shape {values.shape}."
        )
    return values


def as_stored(values: np.ndarray | None) -> Tensor | None:
    """Return numbers as they are stored; None where a model has none."""
    return None if values is None else torch.from_numpy(values)


def stored_levels(levels: Tensor | None) -> np.ndarray | None:
    """Return the scores that segments reach, in descending order; None in models without them."""
    if levels is None:
        return None
    values = levels.numpy()
    if values.ndim != 1 or not (np.diff(values) <= 0).all():
        raise ValueError(
            "need scores of segments of a stored model in descending order; got an array of shape "
            f"{values.shape}."
        )
    return values


def restored_denoiser(
    network: type[nn.Module], shape: Mapping[str, int], weights: Mapping[str, Tensor]
) -> Denoiser:
    """Build a network and fill it with stored weights, if they are those of a network so built.

    Its size is compared with that of the weights before any memory is asked for.
    """
    require_whole(shape, dict.fromkeys(shape, 1))
    described = {
        "blocks": shape["n_blocks"],
        "width": shape["width"],
        "entries": math.prod(n for name, n in shape.items() if name not in ("n_blocks", "width")),
    }
    blocks = {name.split("blocks.")[1].split(".")[0] for name in weights if "blocks." in name}
    found = {
        "blocks": len(blocks),
        "width": _length(weights, "inward.bias"),
        "entries": _length(weights, "outward.bias"),
    }
    if described != found:
        raise ValueError(
            f"need weights of the network that is described, {described}; got {found}."
        )
    with torch.random.fork_rng(devices=[]):
        denoiser = Denoiser(network(**shape))
    denoiser.network.load_state_dict(dict(weights))
    return denoiser.eval().requires_grad_(False)


def _length(weights: Mapping[str, Tensor], end: str) -> int:
    """Length of the weights of which the name ends so, 0 where there are none."""
    return next((len(x) for name, x in weights.items() if name.endswith(end) and x.ndim), 0)


def require_finite_scores(scores: Tensor) -> None:
    """Refuse a model whose own reference data get no scores."""
    if not scores.isfinite().all():
        raise ValueError("need a stored model that scores; its own reference data get no scores.")


def require_positive(name: str, value: Any) -> float:
    """Return a field that is a number above 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ValueError(f"need '{name}' of a stored model as a number above 0; got {value!r}.")
    return value


def stored_bank(state: Mapping[str, Any], n_channels: int, together: bool) -> WindowBank:
    """Bank of reference windows whose shape is that of its length."""
    require_whole(state, {"length": 2})
    kind, length = BANKS[state["kind"]], state["length"]
    entries = n_channels if kind is LevelBank else n_channels * length
    windows, starts = state["windows"], state["starts"]
    if windows.shape != (len(starts), entries) or not len(starts) or starts.diff().lt(0).any():
        raise ValueError(
            f"need reference windows of {length} steps and {n_channels} channels in a stored "
            f"model, in order; got an array of shape {tuple(windows.shape)}."
        )
    return kind(length, windows, starts, together)


def stored_step_bank(state: Mapping[str, Any], n_channels: int) -> UncentredBank:
    """Bank of reference windows of a few steps, of the shape that its length says."""
    require_whole(state, {"length": 1})
    length, windows, starts = state["length"], state["windows"], state["starts"]
    if windows.shape != (len(starts), n_channels * length) or not len(starts):
        raise ValueError(
            f"need reference windows of {length} steps and {n_channels} channels in a stored "
            f"model; got an array of shape {tuple(windows.shape)}."
        )
    return UncentredBank(length, windows, starts)


def stored_steps(state: Mapping[str, Any] | None, n_channels: int) -> StepScores | None:
    """How scores of steps are put together, with the usual runs of as many channels."""
    if state is None:
        return None
    steps = StepScores.from_dict(state)
    if steps.usual_runs is not None and steps.usual_runs.shape != (n_channels + 1,):
        raise ValueError(
            f"need usual runs of {n_channels} channels and of all at once in a stored model; got "
            f"an array of shape {tuple(steps.usual_runs.shape)}."
        )
    return steps


def stored_channel_regression(
    state: Mapping[str, Any] | None, n_channels: int
) -> ChannelRegression | None:
    """Regression of channels from each other, where a model has one, of as many channels."""
    if state is None:
        return None
    precision, scale = state["precision"], state["scale"]
    shape = (n_features(n_channels), n_features(n_channels))
    if precision.shape != shape or scale.shape != (n_channels,) or not (scale > 0).all():
        raise ValueError(
            f"need a regression of channels of shape {shape} in a stored model, and a scale above "
            f"0 of each; got shapes {tuple(precision.shape)} and {tuple(scale.shape)}."
        )
    n_steps = require_positive("n_steps", state["n_steps"])
    return ChannelRegression(precision, n_steps, scale)


def stored_calibration(state: Mapping[str, Any], n_channels: int) -> WindowCalibration:
    """Calibration of windows, whose usual errors, where a model has them, are of all channels."""
    found = WindowCalibration(**state)
    shape = (len(found.mean), n_channels)
    if found.channels is not None and found.channels.shape != shape:
        raise ValueError(
            f"need usual errors of shape {shape} in a stored model; got "
            f"{tuple(found.channels.shape)}."
        )
    return found


def require_regression(regression: StepRegression, n_channels: int) -> None:
    """Refuse a regression of other channels, or of another reach."""
    shape, found = (n_channels, StepRegression.length), tuple(regression.weights.shape)
    if found != shape:
        raise ValueError(f"need a regression of shape {shape} in a stored model; got {found}.")


def require_lengths(banks: Sequence[int], used: Sequence[int], network: int) -> None:
    """Refuse window lengths that are not those of the reference windows."""
    if [*used] != [*banks] or network not in banks:
        raise ValueError(
            f"need reference windows of the lengths {[*used]} in a stored model, and a network of "
            f"one of them; got {[*banks]}, and {network}."
        )
