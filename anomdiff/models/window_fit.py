"""Fitting the network of a model of series, and its calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.networks import WindowMLP
from anomdiff.encoding.segment import Segment
from anomdiff.models.parallel import map_blocks
from anomdiff.models.segment_errors import segment_errors
from anomdiff.models.training_run import StepHook, train_denoiser
from anomdiff.reference.segments import (
    are_held_out,
    training_windows,
)
from anomdiff.reference.sliding_windows import WindowComponent
from anomdiff.scoring.window_scores import WindowCalibration, without_optimism

__all__ = ["fit_calibration", "fit_denoiser"]

# Numbers in the windows that the network is trained on, and its windows at least.
MAX_TRAINING_NUMBERS, LEAST_TRAINING = 2**23, 256


def fit_denoiser(
    segments: list[Segment[Tensor]],
    lengths: Sequence[int],
    parameters: Mapping[str, Any],
    seed: int,
    rng: np.random.RandomState,
    on_step: StepHook | None,
) -> tuple[Denoiser, pd.DataFrame, list[Segment[Tensor]]]:
    """Train the network; return it, the course of training, and the segments it did not see."""
    fitting = [w for w in lengths if w <= parameters["network_length"]]
    length, n_channels = max(fitting or lengths[:1]), segments[0].values.shape[1]
    most = max(LEAST_TRAINING, MAX_TRAINING_NUMBERS // (length * n_channels))
    fraction = parameters["validation_fraction"]
    training, validation, held_out = training_windows(segments, fraction, length, most, rng)
    shape = {name: int(parameters[name]) for name in ("width", "n_blocks")}
    trained = train_denoiser(
        lambda: WindowMLP(n_channels, length, **shape),
        training,
        validation,
        parameters,
        seed,
        on_step,
    )
    return *trained, held_out


def fit_calibration(
    components: Sequence[WindowComponent],
    segments: list[Segment[Tensor]],
    held_out: list[Segment[Tensor]],
) -> tuple[WindowCalibration, np.ndarray]:
    """Learn what errors of normal steps are like; return their scores too, ascending."""
    errors = map_blocks(lambda segment: segment_errors(components, segment, True), segments)
    whole = torch.cat(errors, 1)
    calibration = WindowCalibration.fit(whole, [each.noise_floor for each in components])
    length = components[-1].length
    unseen = torch.cat([are_held_out(segment, held_out, length) for segment in segments])
    whole = without_optimism(whole, unseen)
    known = ~whole.isnan().all(2).all(0)
    return calibration, np.sort(calibration.score(whole[:, known])[0].numpy())
