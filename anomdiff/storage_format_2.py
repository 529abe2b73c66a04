"""Tables stored in format 2, whose components were averaged as they are, read as those of today."""

from collections.abc import Mapping
from typing import Any

import torch

from anomdiff.encoding.table import TableEncoder

__all__ = ["upgraded"]


def upgraded(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``TabularDetector.from_dict`` reads.

    Noise-free and noised rows were one component of the network, plain distances and those in
    local scales one of each view: they become two of half the weight.

    Parameters
    ----------
    state : mapping
        What ``TabularDetector.to_dict`` returned when format 2 was written.
    """
    model = dict(state["model"])
    levels, noise = model.pop("levels"), model.pop("noise")
    everything = torch.ones(noise.shape[-1], dtype=torch.bool)
    network = {"levels": levels, "entries": everything, "compressed": True}
    noise_free = torch.zeros_like(noise[:, :1])
    return {
        **state,
        "model": {
            **model,
            "network_view": torch.from_numpy(TableEncoder.from_dict(model["encoder"]).views()[0]),
            "reconstructions": [{**network, "noise": each} for each in (noise_free, noise)],
            "subsets": [],
            "calibration": _halved(model["calibration"], model["cooccurrence"] is not None),
        },
    }


def _halved(calibration: Mapping[str, list], has_cooccurrence: bool) -> dict[str, Any]:
    """Calibration of the halves of all components but the co-occurrence of categories."""
    n_halved = len(calibration["weights"]) - has_cooccurrence
    halved: dict[str, Any] = {"surprisals": None}
    for name in ("level_mean", "level_std"):
        tensors = calibration[name]
        halves = [half for each in tensors[:n_halved] for half in each.chunk(2)]
        halved[name] = [*halves, *tensors[n_halved:]]
    for name, factor in (("component_std", 1.0), ("weights", 0.5)):
        numbers = calibration[name]
        twice = [factor * number for number in numbers[:n_halved] for _ in range(2)]
        halved[name] = [*twice, *numbers[n_halved:]]
    return halved
