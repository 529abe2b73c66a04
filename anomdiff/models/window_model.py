"""The fitted model of series: frozen, from a frame of steps to their scores."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.encoding.channel_scaler import ChannelScaler
from anomdiff.encoding.excluded import excluded_rows
from anomdiff.encoding.json_values import to_json
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.segment import Segment
from anomdiff.encoding.step_changes import at_usual_steps
from anomdiff.models import stored_checks as checks
from anomdiff.models.judged_steps import EVIDENT, frame_cells, warn_of_unjudged, warn_of_unknown
from anomdiff.models.parallel import map_blocks
from anomdiff.models.segment_errors import segment_errors, segment_residuals, values_of
from anomdiff.models.silent_channels import warn_of_silent
from anomdiff.models.training_run import StepHook
from anomdiff.models.window_fields import restored_fields, stored_fields
from anomdiff.models.window_fit import VARIATIONS, fit_windows
from anomdiff.reference.segments import as_tensors, spread_out
from anomdiff.reference.sliding_windows import WindowComponent, cut_windows
from anomdiff.reference.window_bank import LevelBank, MissingComponent, UncentredBank, WindowBank
from anomdiff.scoring.channel_regression import ChannelRegression
from anomdiff.scoring.frozen_runs import run_lengths
from anomdiff.scoring.step_evidence import AHEAD, CLEARLY_OFF, STEPS_TOGETHER
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.step_scores import JudgedSteps, StepScores
from anomdiff.scoring.window_scores import WindowCalibration, WindowNetwork

__all__ = ["WindowModel"]


@dataclass(frozen=True, eq=False)
class WindowModel:
    """Everything that ``fit`` learned about series.

    Attributes
    ----------
    scaler : ChannelScaler
        Layout of the frame, channels that are scored, and their scales by series.
    denoiser : Denoiser
        Trained on windows of ``network_length`` steps.
    sigma : float
        Noise level of the network's component, in standard deviations.
    banks : tuple of WindowBank
        Reference windows of each length, and reference levels.
    regression : StepRegression
        Single steps from the steps around them.
    channel_regression : ChannelRegression, or None
        Channels from the other channels; None of a single one, and in models of older formats.
    calibration : WindowCalibration
        From components to scores.
    steps : StepScores, or None
        How window scores and the evidence of single steps are put together; None in models of
        older formats.
    step_banks : tuple of UncentredBank
        Reference windows of a few steps, compared with their levels.
    calibration_scores : ndarray of shape (n,)
        Scores of training steps, ascending.
    segment_levels : ndarray of shape (n,), or None
        Scores that so many segments of these steps reach, descending; None in older models.
    window_lengths : tuple of int
        Lengths in use, ascending.
    history : DataFrame
        The course of training.
    seed : int
        Seed of windows, training and noise.
    """

    scaler: ChannelScaler
    denoiser: Denoiser
    sigma: float
    banks: tuple[WindowBank, ...]
    regression: StepRegression
    calibration: WindowCalibration
    calibration_scores: np.ndarray
    window_lengths: tuple[int, ...]
    history: pd.DataFrame
    seed: int
    steps: StepScores | None = None
    step_banks: tuple[UncentredBank, ...] = ()
    segment_levels: np.ndarray | None = None
    channel_regression: ChannelRegression | None = None
    _derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        layout: PanelLayout,
        parameters: Mapping[str, Any],
        *,
        on_step: StepHook | None = None,
        start: "WindowModel | None" = None,
        screening: bool = False,
    ) -> "WindowModel":
        """Learn normal series; ``parameters`` are those of ``TimeSeriesDetector``.

        Training goes on from the network of ``start``, if it is given. For ``screening``, the
        series may hold anomalies.
        """
        fitted = None if start is None else (start.denoiser, start.scaler.names)
        further: dict[str, Any] = {"on_step": on_step, "screening": screening, "fitted": fitted}
        return cls(**fit_windows(frame, layout, parameters, **further))

    @classmethod
    def screen(
        cls,
        frame: pd.DataFrame,
        layout: PanelLayout,
        parameters: Mapping[str, Any],
        *,
        on_step: StepHook | None = None,
    ) -> tuple["WindowModel", np.ndarray, dict]:
        """Fit to series that hold anomalies; return what ``score_frame`` does for these too."""
        left_out = excluded_rows(layout, frame, parameters["exclude"])
        model = cls.fit(frame, layout, parameters, on_step=on_step, screening=True)
        return model, *model.score_frame(frame, exclude_self=True, left_out=left_out)

    # -- scoring -------------------------------------------------------------------------

    def encode(
        self, frame: pd.DataFrame, left_out: np.ndarray | None = None
    ) -> list[Segment[Tensor]]:
        """Cut a frame into segments of scaled steps; refuse steps as training shows none."""
        segments = self.layout.read(frame, left_out)
        self.scaler.require_clock(frame)
        self.layout.require_steps(segments)
        self.scaler.require_conditions(segments)
        return [as_tensors(self.scaler.encode(segment)) for segment in segments]

    def components(self, segment: Segment[Tensor], *, exclude_self: bool = False) -> Tensor:
        """Errors by component, step and channel of a segment; NaN where missing.

        With ``exclude_self``, windows are not compared with reference windows that overlap them:
        for segments of training, with their own ``start``.
        """
        return segment_errors(self.window_components(segment.known), segment, exclude_self)

    def score(
        self, segment: Segment[Tensor], *, exclude_self: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Window scores of the steps of a segment, and what each channel contributes to them."""
        return self.calibration.score(self.components(segment, exclude_self=exclude_self))

    def judge(
        self, segment: Segment[Tensor], *, exclude_self: bool = False
    ) -> tuple[JudgedSteps, Tensor]:
        """Scores of the steps of a segment, which are off themselves, and which are judged."""
        components = [*self.window_components(segment.known), *self.step_components(segment.known)]
        found = segment_residuals(components, segment, exclude_self)
        errors = found[0][: len(components) - len(self.step_components())]
        return self.combine(errors, found[1], run_lengths(values_of(segment)))

    def combine(
        self, errors: Tensor, residuals: Tensor, runs: Tensor
    ) -> tuple[JudgedSteps, Tensor]:
        """Put errors of windows and residuals of steps together; say which steps are judged.

        These are the steps that a window covers; others score about 0.
        """
        scores, contributions = self.calibration.score(errors)
        covered = ~errors.isnan().all(2).all(0)
        if self.steps is None:
            evident = torch.ones(len(scores), dtype=torch.bool)
            found = JudgedSteps(scores, evident, contributions.argmax(1), contributions)
        else:
            found = self.steps.judge(scores, contributions, residuals, runs)
        return found, covered

    def are_off_now(self, errors: Tensor, residuals: Tensor, length: int) -> Tensor:
        """Tell the steps that are far from normal ones, or in high errors of short windows."""
        if self.steps is None:
            return torch.ones(errors.shape[1], dtype=torch.bool)
        long = torch.tensor([each.length > length for each in self.window_components()])
        short = self.calibration.score(errors.where(~long[:, None, None], torch.nan))[0]
        n_own = sum(len(each.shares) for each in self.step_components())
        far = self.steps.evidence.tails.surprisals(residuals)[-n_own:] >= CLEARLY_OFF
        return (short > self.steps.raised) | far.any(2).any(0)

    def score_frame(
        self,
        frame: pd.DataFrame,
        *,
        exclude_self: bool = False,
        left_out: np.ndarray | None = None,
    ) -> tuple[np.ndarray, dict]:
        """Scores of the steps of a frame, and further columns beside them.

        These are whether a step is off itself, the channel that contributes most, and those of
        series and time. The frame that the model was fitted to is scored with ``exclude_self``.
        Score and channel are missing of rows that a mask leaves out, of steps not judged, and of
        parts in other steps than those of training.
        """
        segments = spread_out(self.encode(frame, left_out), apart=max(self.window_lengths))
        if not exclude_self:
            segments = at_usual_steps(self.layout, segments, frame)
        judged = map_blocks(lambda each: self.judge(each, exclude_self=exclude_self), segments)
        cells, unjudged = frame_cells(len(frame), segments, judged, self.names)
        warn_of_unjudged(self.layout, frame, unjudged, min(self.window_lengths))
        warn_of_unknown(self.scaler, segments)
        warn_of_silent(self.scaler, segments, frame, unjudged, self.window_lengths)
        found = {EVIDENT: cells.evident, "channel": cells.channels}
        return cells.scores, {**found, **self.layout.labels(frame)}

    def window_components(self, known: bool = True) -> list[WindowComponent]:
        """Components of the score: banks of windows and levels, the regressions, the network.

        Where the channels of a series that training did not show usually stand is not known: its
        levels are not scored, nor how they go together.
        """
        banks = [
            bank if known or not isinstance(bank, LevelBank) else MissingComponent(bank.length)
            for bank in self.banks
        ]
        together = self.calibration.channels is None
        network = WindowNetwork(self.denoiser, self.network_length, self.sigma, together)
        others = self.channel_regression
        if others is None:
            return [*banks, self.regression, network]
        missing = MissingComponent(others.length, others.shares)
        return [*banks, self.regression, others if known else missing, network]

    def step_components(self, known: bool = True) -> list[WindowComponent]:
        """Components of which only residuals count, none in models of older formats."""
        if self.steps is None:
            return []
        banks = [
            bank if known else MissingComponent(bank.length, bank.shares)
            for bank in self.step_banks
        ]
        return [*banks, *VARIATIONS]

    # -- what the answers need ------------------------------------------------------------

    @property
    def layout(self) -> PanelLayout:
        """Columns of series, time and channels."""
        return self.scaler.layout

    @property
    def names(self) -> list:
        """Names of the channels that are scored."""
        return self.scaler.names

    @property
    def columns_in(self) -> list:
        """Input columns that scoring needs: those of series and time, and the channels."""
        keys = [name for name in (self.layout.series, self.layout.time) if name is not None]
        return [*keys, *self.layout.channels]

    def describe(self) -> dict[str, Any]:
        """Return the layout, which channels are scored, and the window lengths, as JSON values."""
        layout = self.layout.to_dict()
        del layout["series_steps"]  # a line for each of perhaps thousands of series
        return {
            **layout,
            "scored": to_json(tuple(self.names)),
            "covariates": to_json(tuple(n for n in self.layout.channels if n not in self.names)),
            **self.scaler.describe_conditions(),
            "window_lengths": list(self.window_lengths),
            "network_length": self.network_length,
        }

    @property
    def network_length(self) -> int:
        """Steps of the network's windows."""
        return self.denoiser.shape["length"]

    @property
    def longest(self) -> int:
        """Steps of the longest window."""
        return max(component.length for component in self.window_components())

    @property
    def delay(self) -> int:
        """Steps after which the score of a step in a stream is final."""
        return self.longest - 1 + (0 if self.steps is None else self.steps.delay)

    def last_final(self, known: int, ended: bool) -> int:
        """Number of steps with final scores, where components have spoken of so many."""
        if self.steps is None or ended:
            return known
        edge = (known - AHEAD) // STEPS_TOGETHER * STEPS_TOGETHER  # what crosses it is known
        return max(0, edge - AHEAD - 2 * self.steps.reach)

    def first_needed(self, final: int) -> int:
        """First step, of a block, that steps after so many final ones are judged with."""
        if self.steps is None:
            return final
        return max(0, final - 2 * (AHEAD + self.steps.reach)) // STEPS_TOGETHER * STEPS_TOGETHER

    @property
    def shape_banks(self) -> list[WindowBank]:
        """Reference windows of each length, the shortest first, without those of levels."""
        banks = [bank for bank in self.banks if not isinstance(bank, LevelBank)]
        return sorted(banks, key=lambda bank: bank.length)

    def network_events(self, frame: pd.DataFrame) -> tuple[Tensor, Tensor]:
        """Values and observed of the windows of a frame as the network sees them."""
        length = self.network_length
        segments = [each for each in self.encode(frame) if len(each) >= length]
        windows = [cut_windows(each.values, each.observed, length) for each in segments]
        if not windows:
            raise ValueError(f"need at least {length} steps without a gap in time; got fewer.")
        values, observed = zip(*windows, strict=True)
        return torch.cat(values), torch.cat(observed)

    def reference_events(self) -> Tensor:
        """Reference windows as the network sees them."""
        bank = next(bank for bank in self.shape_banks if bank.length == self.network_length)
        return bank.windows.double().unflatten(1, (len(self.names), bank.length))

    def derived(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returns, called once per key: helpers that take long to set up."""
        if key not in self._derived:
            self._derived[key] = make()
        return self._derived[key]

    def to_dict(self) -> dict[str, Any]:
        """Return the model as JSON values and tensors, nested."""
        return stored_fields(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "WindowModel":
        """Rebuild a model from `to_dict`."""
        model = cls(**restored_fields(state))
        model._require_scores()
        return model

    def _require_scores(self) -> None:
        """Refuse a stored model whose parts do not fit together: it cannot score a flat segment."""
        checks.require_regression(self.regression, len(self.names))
        lengths = [bank.length for bank in self.shape_banks]
        checks.require_lengths(lengths, self.window_lengths, self.network_length)
        flat = torch.zeros(self.delay + 1, len(self.names), dtype=torch.float64)
        observed = torch.ones_like(flat, dtype=torch.bool)
        segment = Segment(None, np.arange(len(flat)), flat, observed)
        checks.require_finite_scores(self.judge(segment)[0].scores)
