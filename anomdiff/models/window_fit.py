"""Fitting the model of series: reference windows, network, calibration, evidence of steps."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
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
from anomdiff.models.forward_errors import Ends, ends_of_training
from anomdiff.models.segment_errors import values_of
from anomdiff.models.training_run import StepHook, train_denoiser, warm_started
from anomdiff.models.window_calibration import fit_calibration
from anomdiff.reference.segments import (
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
from anomdiff.scoring.frozen_runs import longest_usual, run_lengths
from anomdiff.scoring.local_variation import LocalVariation
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.window_scores import WindowNetwork

__all__ = [
    "VARIATIONS",
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
    screening: bool = False,
    fitted: tuple[Denoiser, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Learn normal series and return the fields of a ``WindowModel``; see its ``fit``.

    For ``screening``, what single steps tell does not count anomalies among them as normal.
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
    most = parameters["max_calibration"] // 4
    ends = Ends([], []) if screening else ends_of_training(segments, max(lengths) - 1, most)
    calibrated = fit_calibration(components, further, drawn, held_out, ends, screening=screening)
    if calibrated.changed:
        _warn_of_change(calibrated.changed)
    counted = [run_lengths(values_of(each)) for each in segments]
    runs = longest_usual(counted, with_anomalies=screening)
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
        steps=replace(calibrated.steps, usual_runs=runs),
        step_banks=step_banks,
    )


def _warn_of_change(lengths: tuple[int, ...]) -> None:
    """Warn of series that do not stay as they were, so that new steps are unlike training too."""
    warnings.warn(
        "need series that stay as they are; the last fifth of training is unlike what came before "
        f"it in windows of {', '.join(map(str, lengths))} steps: these count less, and more of new "
        "normal steps than alpha may be flagged: give a longer training.",
        stacklevel=4,
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
