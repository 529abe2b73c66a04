"""The fields of the model of series as JSON values and tensors, and back."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch

from anomdiff.diffusion.networks import WindowMLP
from anomdiff.encoding.channel_scaler import ChannelScaler
from anomdiff.models import stored_checks as checks
from anomdiff.models.training_run import HISTORY
from anomdiff.scoring.step_regression import StepRegression

__all__ = ["restored_fields", "stored_fields"]


def stored_fields(model: Any) -> dict[str, Any]:
    """Fields of a ``WindowModel`` as JSON values and tensors, nested."""
    banks = [
        {"kind": type(bank).__name__, "length": bank.length, "windows": bank.windows}
        | {"starts": bank.starts}
        for bank in model.banks
    ]
    together = model.channel_regression
    return {
        "scaler": model.scaler.to_dict(),
        "network": model.denoiser.shape,
        "weights": model.denoiser.network.state_dict(),
        "sigma": model.sigma,
        "banks": banks,
        "regression": model.regression.weights,
        "channel_regression": together
        and {name: getattr(together, name) for name in ("precision", "n_steps", "scale")},
        "calibration": vars(model.calibration),
        "calibration_scores": torch.from_numpy(model.calibration_scores),
        "segment_levels": checks.as_stored(model.segment_levels),
        "window_lengths": list(model.window_lengths),
        "history": model.history.to_dict("list"),
        "seed": model.seed,
        "steps": None if model.steps is None else model.steps.to_dict(),
        "step_banks": [
            {"length": bank.length, "windows": bank.windows, "starts": bank.starts}
            for bank in model.step_banks
        ],
    }


def restored_fields(state: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a ``WindowModel`` from what `stored_fields` returned, each of them checked."""
    checks.require_finite(state)
    checks.require_whole(state, {"seed": 0})
    scaler = ChannelScaler.from_dict(state["scaler"])
    together = state["calibration"].get("channels") is None
    banks = [checks.stored_bank(bank, len(scaler.names), together) for bank in state["banks"]]
    return dict(
        scaler=scaler,
        denoiser=checks.restored_denoiser(WindowMLP, state["network"], state["weights"]),
        sigma=checks.require_positive("sigma", state["sigma"]),
        banks=tuple(banks),
        regression=StepRegression(state["regression"]),
        channel_regression=checks.stored_channel_regression(
            state.get("channel_regression"), len(scaler.names)
        ),
        calibration=checks.stored_calibration(state["calibration"], len(scaler.names)),
        calibration_scores=checks.require_calibrated(state["calibration_scores"]),
        segment_levels=checks.stored_levels(state.get("segment_levels")),
        window_lengths=tuple(state["window_lengths"]),
        history=pd.DataFrame(state["history"])[HISTORY],
        seed=state["seed"],
        steps=checks.stored_steps(state.get("steps"), len(scaler.names)),
        step_banks=tuple(
            checks.stored_step_bank(bank, len(scaler.names)) for bank in state.get("step_banks", ())
        ),
    )
