"""Fitting the model of series: reference windows, network, calibration, evidence of steps."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.networks import WindowMLP
from anomdiff.encoding.calendar_features import Calendar
from anomdiff.encoding.channel_scaler import ChannelScaler
from anomdiff.encoding.excluded import excluded_rows
from anomdiff.encoding.glitches import without_glitches
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.segment import Segment
from anomdiff.encoding.wall_clock import zone_of
from anomdiff.models.parallel import map_blocks
from anomdiff.models.segment_errors import residual_names, residual_roles, segment_residuals
from anomdiff.models.training_run import StepHook, train_denoiser, warm_started
from anomdiff.reference.segments import (
    are_held_out,
    as_tensors,
    draw_segments,
    draw_windows,
    reference_banks,
    spread_out,
    training_windows,
    uncentred_banks,
    usable_lengths,
)
from anomdiff.reference.sliding_windows import WindowComponent
from anomdiff.scoring.channel_regression import ChannelRegression
from anomdiff.scoring.local_variation import LocalVariation
from anomdiff.scoring.step_evidence import StepEvidence
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.step_scores import StepScores
from anomdiff.scoring.window_scores import (
    WindowCalibration,
    WindowNetwork,
    optimism,
    scaled_network,
)
from anomdiff.thresholds.budget import segment_levels

__all__ = [
    "VARIATIONS",
    "Calibrated",
    "fit_calibration",
    "fit_denoiser",
    "fit_windows",
    "training_calendar",
]

# Steps around each over which too little movement counts.
VARIATIONS = (LocalVariation(17),)
# Windows that the regression of single steps is fitted to.
MAX_REGRESSION = 50_000
# Numbers in the windows that the network is trained on, and its windows at least.
MAX_TRAINING_NUMBERS, LEAST_TRAINING = 2**23, 256


def fit_windows(
    frame: pd.DataFrame,
    layout: PanelLayout,
    parameters: Mapping[str, Any],
    *,
    on_step: StepHook | None,
    fitted: tuple[Denoiser, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Learn normal series and return the fields of a ``WindowModel``; see its ``fit``.

    ``fitted`` is the network to start from and the names of its channels.
    """
    rng = check_random_state(parameters["random_state"])
    seed = int(rng.randint(2**31 - 1))
    left_out = excluded_rows(layout, frame, parameters["exclude"], warn=True)
    read = without_glitches(layout.read(frame, left_out), layout.channels)
    declared = parameters["covariates"]
    covariates = None if declared is None else tuple(declared)
    scaler = ChannelScaler.fit(layout, read, covariates)
    calendar = training_calendar(frame, layout, read, parameters)
    if calendar or covariates:
        scaler, encoded = scaler.conditioned(read, calendar, by_covariates=bool(covariates))
    else:
        encoded = [scaler.encode(segment) for segment in read]
    segments = [as_tensors(segment) for segment in encoded]
    lengths = usable_lengths(segments, [int(w) for w in parameters["window_lengths"]])
    segments = spread_out(segments, apart=max(lengths))
    banks = reference_banks(segments, lengths, parameters["max_reference"], rng)
    around, _, _ = draw_windows(segments, StepRegression.length, MAX_REGRESSION, rng)
    regression = StepRegression.fit(around)
    denoiser, history, held_out = fit_denoiser(
        segments, lengths, parameters, seed, rng, on_step, scaler.names, fitted
    )

    network = WindowNetwork(denoiser, denoiser.shape["length"], parameters["sigma"])
    together = ChannelRegression.fit(segments) if len(scaler.names) > 1 else None
    regressions = [regression] if together is None else [regression, together]
    components: list[WindowComponent] = [*banks, *regressions, network]
    drawn = draw_segments(segments, parameters["max_calibration"], rng)
    step_banks = uncentred_banks(segments, parameters["max_reference"], rng)
    further = [*step_banks, *VARIATIONS]
    calibrated = fit_calibration(components, further, drawn, held_out)
    return dict(
        scaler=scaler,
        denoiser=denoiser,
        sigma=float(parameters["sigma"]),
        banks=banks,
        regression=regression,
        channel_regression=together,
        calibration=calibrated.windows,
        calibration_scores=calibrated.scores,
        segment_levels=calibrated.levels,
        window_lengths=lengths,
        history=history,
        seed=seed,
        steps=calibrated.steps,
        step_banks=step_banks,
    )


def training_calendar(
    frame: pd.DataFrame,
    layout: PanelLayout,
    segments: Sequence[Segment[np.ndarray]],
    parameters: Mapping[str, Any],
) -> Calendar:
    """Calendar of the parameters, in the zone of the times of training.

    It warns of parts that training does not show twice.
    """
    calendar = Calendar.of(parameters["calendar"], parameters["holidays"], "")
    if not calendar:
        return calendar
    zone = zone_of(layout.clock(frame), layout.durations)
    times = np.concatenate([segment.times for segment in segments])
    if unseen := calendar.unseen(times):
        warnings.warn(
            f"training does not show {unseen} of calendar={list(calendar.parts)} twice, so that "
            "what is usual then is hardly known: fit to more rows, or leave them out.",
            stacklevel=2,
        )
    return replace(calendar, zone=zone)


def fit_denoiser(
    segments: list[Segment[Tensor]],
    lengths: Sequence[int],
    parameters: Mapping[str, Any],
    seed: int,
    rng: np.random.RandomState,
    on_step: StepHook | None,
    names: Sequence[Any],
    fitted: tuple[Denoiser, Sequence[Any]] | None,
) -> tuple[Denoiser, pd.DataFrame, list[Segment[Tensor]]]:
    """Train the network; return it, the course of training, and the segments it did not see."""
    fitting = [w for w in lengths if w <= parameters["network_length"]]
    length, n_channels = max(fitting or lengths[:1]), segments[0].values.shape[1]
    most = max(LEAST_TRAINING, MAX_TRAINING_NUMBERS // (length * n_channels))
    fraction = parameters["validation_fraction"]
    training, validation, held_out = training_windows(segments, fraction, length, most, rng)
    shape = {name: int(parameters[name]) for name in ("width", "n_blocks")}
    if fitted is not None:
        fitted = fitted[0], _entries(fitted[1], fitted[0].shape["length"])
    make_network, parameters = warm_started(
        lambda: WindowMLP(n_channels, length, **shape), _entries(names, length), parameters, fitted
    )
    trained = train_denoiser(
        make_network,
        training,
        validation,
        parameters,
        seed,
        on_step,
    )
    return *trained, held_out


def _entries(names: Sequence[Any], length: int) -> list[tuple[Any, int]]:
    """Channel and step of each entry of a window, flattened."""
    return [(name, step) for name in names for step in range(length)]


class Calibrated(NamedTuple):
    """What is learned of normal steps once the components are there."""

    windows: WindowCalibration
    steps: StepScores
    scores: np.ndarray  # of training steps, ascending
    levels: np.ndarray  # that so many segments of them reach, descending


def fit_calibration(
    components: Sequence[WindowComponent],
    step_components: Sequence[WindowComponent],
    segments: list[Segment[Tensor]],
    held_out: list[Segment[Tensor]],
) -> Calibrated:
    """Learn what errors and residuals of normal steps are like, and their scores.

    The last of ``components``, which score windows, is the network; ``step_components`` have
    residuals only.
    """
    together = [*components, *step_components]
    found = map_blocks(lambda segment: segment_residuals(together, segment, True), segments)
    errors = torch.cat([each[: len(components)] for each, _ in found], 1)
    windows = WindowCalibration.fit(errors, [each.noise_floor for each in components])
    length = components[-1].length
    unseen = [are_held_out(segment, held_out, length) for segment in segments]
    ratio = optimism(errors[-1], torch.cat(unseen))
    network = [name for name, _ in residual_names(together)].index("WindowNetwork")
    corrected = [
        (
            scaled_network(own[: len(components)], len(components) - 1, ratio, new),
            scaled_network(residuals, network, ratio**0.5, new),
        )
        for (own, residuals), new in zip(found, unseen, strict=True)
    ]
    residuals = [each for _, each in corrected]
    evidence = StepEvidence.fit(residuals, *residual_roles(together))
    scored = [windows.score(own) for own, _ in corrected]
    reach = max(component.length for component in components)
    steps = StepScores.fit(evidence, reach, residuals, [each for each, _ in scored])
    judged = [steps.judge(*own, each) for own, each in zip(scored, residuals, strict=True)]
    known = [~own.isnan().all(2).all(0) for own, _ in corrected]
    scores = torch.cat([each.scores[k] for each, k in zip(judged, known, strict=True)])
    evident = [each.evident & k for each, k in zip(judged, known, strict=True)]
    levels = segment_levels([each.scores for each in judged], evident)
    return Calibrated(windows, steps, np.sort(scores.numpy()), levels)
