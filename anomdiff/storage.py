"""A detector on disk: a folder of ``model.json`` and ``weights.safetensors``, without pickle."""

import hashlib
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from anomdiff.scoring.calibration import ScoreCalibration
from anomdiff.scoring.dependence import Dependence

FORMAT = 1
MODEL, WEIGHTS = "model.json", "weights.safetensors"
_CLASSES = {"TabularDetector": (TabularDetector, TableEncoder)}


def save(detector, folder) -> Path:
    """Write a fitted detector to a folder.

    Parameters
    ----------
    detector : TabularDetector
        A fitted detector.
    folder : path-like
        Folder to write to; made if needed. Files of an earlier model are replaced.

    Returns
    -------
    folder : Path
        The folder.

    Raises
    ------
    NotFittedError
        If the detector is not fitted.
    """
    check_is_fitted(detector)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save_tensors(_tensors(detector))
    description = _description(detector)
    description["checksum"] = _checksum(description, weights)
    _write(folder / WEIGHTS, weights)
    _write(folder / MODEL, json.dumps(description, indent=1).encode())
    return folder


def load(folder):
    """Read a detector written by ``save``; its scores are the same to the last bit.

    Parameters
    ----------
    folder : path-like
        Folder with ``model.json`` and ``weights.safetensors``.

    Returns
    -------
    detector : TabularDetector
        The fitted detector.

    Raises
    ------
    ValueError
        If the folder holds no such model, another format, or a damaged one.
    """
    folder = Path(folder)
    description, weights = _read(folder)
    if description.get("format") != FORMAT:
        raise ValueError(
            f"need a model of format {FORMAT}; got format {description.get('format')!r} "
            f"in '{folder / MODEL}'."
        )
    if description.pop("checksum", None) != _checksum(description, weights):
        raise ValueError(f"need an unchanged model; the checksum of '{folder}' does not match.")
    if description["class"] not in _CLASSES:
        raise ValueError(f"need one of {sorted(_CLASSES)}; got {description['class']!r}.")
    return _restore(description, load_tensors(weights))


def _description(detector) -> dict:
    """Everything about a detector that is not a tensor."""
    parameters = detector.get_params(deep=False)
    if not isinstance(parameters["random_state"], int | None):
        parameters["random_state"] = detector.seed_
    return {
        "format": FORMAT,
        "class": type(detector).__name__,
        "parameters": parameters,
        "seed": detector.seed_,
        "n_training_rows": detector.n_training_rows_,
        "n_held_out_rows": detector.n_held_out_rows_,
        "n_features_in": detector.n_features_in_,
        "feature_names_in": getattr(detector, "feature_names_in_", np.array([])).tolist(),
        "schema": detector.schema_.to_dict(),
        "encoder": detector.encoder_.to_dict(),
        "voice_std": detector.calibration_.voice_std,
        "voice_weights": detector.calibration_.weights,
        "history": detector.history_.to_dict("list"),
    }


def _tensors(detector) -> dict[str, torch.Tensor]:
    """All tensors of a detector, by name."""
    tensors = {f"network.{k}": v for k, v in detector.denoiser_.network.state_dict().items()}
    calibration = detector.calibration_
    for index, pair in enumerate(zip(calibration.level_mean, calibration.level_std, strict=True)):
        tensors[f"level_mean.{index}"], tensors[f"level_std.{index}"] = pair
    tensors |= {f"memory.{name}": tensor for name, tensor in detector.memory_.items()}
    tensors["noise"] = detector.noise_
    if detector.dependence_ is not None:
        tensors |= {f"dependence.{k}": v for k, v in vars(detector.dependence_).items()}
    tensors["calibration_scores"] = torch.from_numpy(detector.calibration_scores_)
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def _restore(description: dict, tensors: dict[str, torch.Tensor]):
    """Build a detector from its description and tensors."""
    detector_class, encoder_class = _CLASSES[description["class"]]
    detector = detector_class(**description["parameters"])
    detector.seed_ = description["seed"]
    detector.n_training_rows_ = description["n_training_rows"]
    detector.n_held_out_rows_ = description["n_held_out_rows"]
    detector.n_features_in_ = description["n_features_in"]
    if description["feature_names_in"]:
        detector.feature_names_in_ = np.array(description["feature_names_in"], dtype=object)
    detector.schema_ = Schema.from_dict(description["schema"])
    detector.encoder_ = encoder_class.from_dict(description["encoder"])
    detector.history_ = pd.DataFrame(description["history"])
    detector.denoiser_ = _restore_denoiser(detector, tensors)
    detector.memory_, detector.noise_ = _group(tensors, "memory"), tensors["noise"]
    detector._make_ensemble()
    detector.calibration_ = ScoreCalibration(
        _in_order(tensors, "level_mean"),
        _in_order(tensors, "level_std"),
        description["voice_std"],
        description["voice_weights"],
    )
    related = _group(tensors, "dependence")
    detector.dependence_ = Dependence(**related) if related else None
    detector.calibration_scores_ = tensors["calibration_scores"].numpy()
    with warnings.catch_warnings():  # fit has said it: too few held-out rows
        warnings.simplefilter("ignore")
        detector._set_threshold()
    return detector


def _restore_denoiser(detector, tensors) -> Denoiser:
    """Build the network and fill it with the stored weights."""
    with torch.random.fork_rng(devices=[]):  # layers draw numbers that are overwritten at once
        denoiser = Denoiser(detector._make_network(detector._event_shape()))
    denoiser.network.load_state_dict(_group(tensors, "network"))
    return denoiser.eval().requires_grad_(False)


def _group(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Tensors whose dotted name begins with the prefix, by the rest of their name."""
    parts = ((*key.partition("."), tensor) for key, tensor in tensors.items())
    return {rest: tensor for head, _, rest, tensor in parts if head == prefix and rest}


def _in_order(tensors: dict[str, torch.Tensor], name: str) -> list[torch.Tensor]:
    """Tensors ``name.0``, ``name.1``, ... as a list."""
    return [tensors[f"{name}.{i}"] for i in range(sum(k.startswith(f"{name}.") for k in tensors))]


def _checksum(description: dict, weights: bytes) -> str:
    """SHA-256 over the description and the weights."""
    canonical = json.dumps(description, sort_keys=True).encode()
    return hashlib.sha256(canonical + weights).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Write all or nothing, readable for other users (a server seldom runs as the trainer)."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.chmod(0o644)
    os.replace(temporary, path)


def _read(folder: Path) -> tuple[dict, bytes]:
    """Read both files, or say what is missing or broken."""
    for name in (MODEL, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"need a folder with {MODEL} and {WEIGHTS}; '{folder}' has no {name}.")
    weights = (folder / WEIGHTS).read_bytes()
    try:
        description = json.loads((folder / MODEL).read_bytes())
        load_tensors(weights)
    except (ValueError, SafetensorError) as error:
        raise ValueError(
            f"need a readable model in '{folder}'; got a damaged one: {error}"
        ) from error
    if not isinstance(description, dict):
        raise ValueError(
            f"need a JSON object in '{folder / MODEL}'; got {type(description).__name__}."
        )
    return description, weights
