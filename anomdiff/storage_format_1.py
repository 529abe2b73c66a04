"""Models stored in format 1, before models were objects of their own: read as those of today."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from anomdiff.diffusion.noise import geometric_levels
from anomdiff.encoding.table import TableEncoder
from anomdiff.thresholds.conformal import conformal_threshold

__all__ = ["upgraded"]

PARAMETERS = {
    "steps": "max_iter",
    "batch_rows": "batch_size",
    "held_out_fraction": "validation_fraction",
    "max_held_out": "max_validation",
    "max_memory": "max_reference",
    "lengths": "window_lengths",
    "context": "covariates",
}
BANKS = {"WindowMemory": "WindowBank", "LevelMemory": "LevelBank"}

Tensors = Mapping[str, Tensor]


def upgraded(description: Mapping[str, Any], tensors: Tensors) -> dict[str, Any]:
    """Return what ``from_dict`` of today's detectors reads.

    Parameters
    ----------
    description : mapping
        Content of ``model.json``.
    tensors : mapping of str to Tensor
        Content of ``weights.safetensors``.
    """
    parameters = {PARAMETERS.get(k, k): value for k, value in description["parameters"].items()}
    model = _table if description["class"] == "TabularDetector" else _series
    history = {
        name.replace("held_out_loss", "validation_loss"): values
        for name, values in description["history"].items()
    }
    common = {
        "weights": _group(tensors, "network"),
        "calibration_scores": tensors["calibration_scores"],
        "history": history,
        "seed": description["seed"],
    }
    return {
        "parameters": parameters,
        "n_features_in": description["n_features_in"],
        "feature_names_in": description["feature_names_in"],
        "threshold": _threshold(parameters["alpha"], tensors),
        "threshold_alpha": parameters["alpha"],
        "model": common | model(description, tensors, parameters),
    }


def _table(
    description: Mapping[str, Any], tensors: Tensors, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of a ``TabularModel``; reference rows were stored as they are compared."""
    levels = [parameters[name] for name in ("n_levels", "sigma_min", "sigma_max")]
    weights = torch.from_numpy(TableEncoder.from_dict(description["encoder"]).rarity())
    reference = {
        "values": tensors["memory.rows"] / weights,
        "exclude_self": tensors["memory.shy"],
        "local_scales": tensors["memory.scales"],
    }
    related = _group(tensors, "dependence")
    if related:
        related["typical"] = related.pop("usual")
    calibration = {name: _in_order(tensors, name) for name in ("level_mean", "level_std")} | {
        "component_std": description["voice_std"],
        "weights": description["voice_weights"],
    }
    return {
        "schema": description["schema"],
        "encoder": description["encoder"],
        "network": {
            "n_coords": len(tensors["network.outward.bias"]),
            "width": parameters["width"],
            "n_blocks": parameters["n_blocks"],
        },
        "levels": geometric_levels(*levels),
        "noise": tensors["noise"],
        "reference": reference,
        "cooccurrence": related or None,
        "calibration": calibration,
        "n_training_rows": description["n_training_rows"],
        "n_validation_rows": description["n_held_out_rows"],
    }


def _series(
    description: Mapping[str, Any], tensors: Tensors, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Fields of a ``WindowModel``."""
    banks = [
        {
            "kind": BANKS[memory["kind"]],
            "length": memory["length"],
            "windows": tensors[f"rows.{i}"],
            "starts": tensors[f"places.{i}"],
        }
        for i, memory in enumerate(description["memories"])
    ]
    return {
        "scaler": description["encoder"],
        "network": {
            "n_channels": sum(description["encoder"]["targets"]),
            "length": description["network_length"],
            "width": parameters["width"],
            "n_blocks": parameters["n_blocks"],
        },
        "sigma": parameters["sigma"],
        "banks": banks,
        "regression": tensors["regression"],
        "calibration": _group(tensors, "energy"),
        "window_lengths": description["lengths"],
    }


def _threshold(alpha: float, tensors: Tensors) -> Tensor:
    """Stored threshold; the first models have none, and it was that of ``alpha``."""
    if "threshold" in tensors:
        return tensors["threshold"]
    with warnings.catch_warnings():  # fit has said it: too few held-out rows
        warnings.simplefilter("ignore")
        threshold = conformal_threshold(tensors["calibration_scores"].numpy(), alpha)
    return torch.tensor(threshold, dtype=torch.float64)


def _group(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """Tensors whose dotted name begins with the prefix, by the rest of their name."""
    parts = ((*name.partition("."), tensor) for name, tensor in tensors.items())
    return {rest: tensor for head, _, rest, tensor in parts if head == prefix and rest}


def _in_order(tensors: Tensors, name: str) -> list[Tensor]:
    """Tensors ``name.0``, ``name.1``, ... as a list."""
    return [tensors[f"{name}.{i}"] for i in range(sum(k.startswith(f"{name}.") for k in tensors))]
