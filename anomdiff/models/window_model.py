"""The fitted model of series: frozen, from a frame of steps to their scores."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_random_state
from torch import Tensor

from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.diffusion.networks import WindowMLP
from anomdiff.encoding.channel_scaler import ChannelScaler
from anomdiff.encoding.glitches import without_glitches
from anomdiff.encoding.json_values import label_array, to_json
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.segment import Segment
from anomdiff.models import stored_checks as checks
from anomdiff.models.judged_steps import warn_of_unjudged
from anomdiff.models.parallel import map_blocks
from anomdiff.models.segment_errors import segment_errors
from anomdiff.models.training_run import HISTORY, StepHook
from anomdiff.models.window_fit import fit_calibration, fit_denoiser
from anomdiff.reference.segments import (
    as_tensors,
    draw_segments,
    draw_windows,
    reference_banks,
    spread_out,
    usable_lengths,
)
from anomdiff.reference.sliding_windows import WindowComponent, cut_windows
from anomdiff.reference.window_bank import LevelBank, MissingComponent, WindowBank
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.window_scores import WindowCalibration, WindowNetwork

__all__ = ["WindowModel"]

# Windows that the regression of single steps is fitted to.
MAX_REGRESSION = 50_000


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
    calibration : WindowCalibration
        From components to scores.
    calibration_scores : ndarray of shape (n,)
        Scores of training steps, ascending.
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
    _derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def fit(
        cls,
        frame: pd.DataFrame,
        layout: PanelLayout,
        parameters: Mapping[str, Any],
        *,
        on_step: StepHook | None = None,
    ) -> "WindowModel":
        """Learn normal series; ``parameters`` are those of ``TimeSeriesDetector``."""
        rng = check_random_state(parameters["random_state"])
        seed = int(rng.randint(2**31 - 1))
        read = without_glitches(layout.read(frame), layout.channels)
        covariates = parameters["covariates"]
        scaler = ChannelScaler.fit(layout, read, None if covariates is None else tuple(covariates))
        segments = [as_tensors(scaler.encode(segment)) for segment in read]
        lengths = usable_lengths(segments, [int(w) for w in parameters["window_lengths"]])
        segments = spread_out(segments, apart=max(lengths))
        banks = reference_banks(segments, lengths, parameters["max_reference"], rng)
        around, _, _ = draw_windows(segments, StepRegression.length, MAX_REGRESSION, rng)
        regression = StepRegression.fit(around)
        denoiser, history, held_out = fit_denoiser(
            segments, lengths, parameters, seed, rng, on_step
        )

        network = WindowNetwork(denoiser, denoiser.shape["length"], parameters["sigma"])
        components: list[WindowComponent] = [*banks, regression, network]
        drawn = draw_segments(segments, parameters["max_calibration"], rng)
        calibration, scores = fit_calibration(components, drawn, held_out)
        return cls(
            scaler=scaler,
            denoiser=denoiser,
            sigma=float(parameters["sigma"]),
            banks=banks,
            regression=regression,
            calibration=calibration,
            calibration_scores=scores,
            window_lengths=lengths,
            history=history,
            seed=seed,
        )

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
        model = cls.fit(frame, layout, parameters, on_step=on_step)
        return model, *model.score_frame(frame, exclude_self=True)

    # -- scoring -------------------------------------------------------------------------

    def encode(self, frame: pd.DataFrame) -> list[Segment[Tensor]]:
        """Cut a frame into segments of scaled steps, which together are all its rows."""
        return [as_tensors(self.scaler.encode(segment)) for segment in self.layout.read(frame)]

    def components(self, segment: Segment[Tensor], *, exclude_self: bool = False) -> Tensor:
        """Errors by component, step and channel of a segment; NaN where missing.

        With ``exclude_self``, windows are not compared with reference windows that overlap them:
        for segments of training, with their own ``start``.
        """
        return segment_errors(self.window_components(segment.known), segment, exclude_self)

    def score(
        self, segment: Segment[Tensor], *, exclude_self: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Scores of the steps of a segment, and what each channel contributes to them."""
        return self.calibration.score(self.components(segment, exclude_self=exclude_self))

    def score_frame(
        self, frame: pd.DataFrame, *, exclude_self: bool = False
    ) -> tuple[np.ndarray, dict]:
        """Scores of the steps of a frame, and further columns beside them.

        These are the channel that contributes most, and those of series and time. The frame that
        the model was fitted to is scored with ``exclude_self``. A warning says so where most
        steps are not judged, and score 0.
        """

        def of_segment(segment: Segment[Tensor]) -> tuple[Tensor, Tensor, int]:
            errors = self.components(segment, exclude_self=exclude_self)
            score, contributions = self.calibration.score(errors)
            return score, contributions.argmax(1), int(errors.isnan().all(2).all(0).sum())

        segments = spread_out(self.encode(frame), apart=max(self.window_lengths))
        scored = map_blocks(of_segment, segments)
        scores, channels = np.zeros(len(frame)), np.zeros(len(frame), dtype=int)
        for segment, (score, channel, _) in zip(segments, scored, strict=True):
            scores[segment.rows] = score.numpy()
            channels[segment.rows] = channel.numpy()
        n_unjudged = sum(n for _, _, n in scored)
        warn_of_unjudged(self.layout, frame, n_unjudged, min(self.window_lengths))
        return scores, {"channel": label_array(self.names)[channels], **self.layout.labels(frame)}

    def window_components(self, known: bool = True) -> list[WindowComponent]:
        """Components of the score: banks of windows and levels, the regression, the network.

        Where the channels of a series that training did not show usually stand is not known: its
        levels are not scored.
        """
        banks = [
            bank if known or not isinstance(bank, LevelBank) else MissingComponent(bank.length)
            for bank in self.banks
        ]
        network = WindowNetwork(self.denoiser, self.network_length, self.sigma)
        return [*banks, self.regression, network]

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
        return {
            **self.layout.to_dict(),
            "scored": to_json(tuple(self.names)),
            "covariates": to_json(tuple(n for n in self.layout.channels if n not in self.names)),
            "window_lengths": list(self.window_lengths),
            "network_length": self.network_length,
        }

    @property
    def network_length(self) -> int:
        """Steps of the network's windows."""
        return self.denoiser.shape["length"]

    @property
    def delay(self) -> int:
        """Steps after which the score of a step in a stream is final."""
        return max(component.length for component in self.window_components()) - 1

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

    # -- storage -------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the model as JSON values and tensors, nested."""
        banks = [
            {"kind": type(bank).__name__, "length": bank.length, "windows": bank.windows}
            | {"starts": bank.starts}
            for bank in self.banks
        ]
        return {
            "scaler": self.scaler.to_dict(),
            "network": self.denoiser.shape,
            "weights": self.denoiser.network.state_dict(),
            "sigma": self.sigma,
            "banks": banks,
            "regression": self.regression.weights,
            "calibration": vars(self.calibration),
            "calibration_scores": torch.from_numpy(self.calibration_scores),
            "window_lengths": list(self.window_lengths),
            "history": self.history.to_dict("list"),
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "WindowModel":
        """Rebuild a model from `to_dict`."""
        checks.require_finite(state)
        checks.require_whole(state, {"seed": 0})
        scaler = ChannelScaler.from_dict(state["scaler"])
        banks = [checks.stored_bank(bank, len(scaler.names)) for bank in state["banks"]]
        model = cls(
            scaler=scaler,
            denoiser=checks.restored_denoiser(WindowMLP, state["network"], state["weights"]),
            sigma=checks.require_positive("sigma", state["sigma"]),
            banks=tuple(banks),
            regression=StepRegression(state["regression"]),
            calibration=WindowCalibration(**state["calibration"]),
            calibration_scores=checks.require_calibrated(state["calibration_scores"]),
            window_lengths=tuple(state["window_lengths"]),
            history=pd.DataFrame(state["history"])[HISTORY],
            seed=state["seed"],
        )
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
        checks.require_finite_scores(self.score(segment)[0])
