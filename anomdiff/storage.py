"""A detector on disk: a folder of ``model.json`` and ``weights.safetensors``, without pickle."""

import hashlib
import json
import os
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.utils.validation import check_is_fitted

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.diffusion.denoiser import Denoiser
from anomdiff.encoding.channel_scaler import WindowEncoder
from anomdiff.encoding.schema import Schema
from anomdiff.encoding.table import TableEncoder
from anomdiff.reference.window_bank import LevelMemory, WindowMemory
from anomdiff.scoring.calibration import ScoreCalibration
from anomdiff.scoring.cooccurrence import Dependence
from anomdiff.scoring.step_regression import StepRegression
from anomdiff.scoring.window_scores import WindowCalibration

FORMAT = 1
MODEL, WEIGHTS = "model.json", "weights.safetensors"


def save(detector, folder) -> Path:
    """Write a fitted detector to a folder.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
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
    detector : TabularDetector or TimeSeriesDetector
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
    if description["class"] not in _KINDS:
        raise ValueError(f"need one of {sorted(_KINDS)}; got {description['class']!r}.")
    return _restore(description, load_tensors(weights))


def _description(detector) -> dict:
    """Everything about a detector that is not a tensor."""
    parameters = detector.get_params(deep=False)
    if not isinstance(parameters["random_state"], int | None):
        parameters["random_state"] = detector.seed_
    common = {
        "format": FORMAT,
        "class": type(detector).__name__,
        "parameters": parameters,
        "seed": detector.seed_,
        "n_features_in": detector.n_features_in_,
        "feature_names_in": getattr(detector, "feature_names_in_", np.array([])).tolist(),
        "encoder": detector.encoder_.to_dict(),
        "history": detector.history_.to_dict("list"),
    }
    return common | _KINDS[type(detector).__name__].describe(detector)


def _tensors(detector) -> dict[str, torch.Tensor]:
    """All tensors of a detector, by name."""
    tensors = {f"network.{k}": v for k, v in detector.denoiser_.network.state_dict().items()}
    tensors["calibration_scores"] = torch.from_numpy(detector.calibration_scores_)
    # A tensor, because JSON has no infinity: no row is flagged.
    tensors["threshold"] = torch.tensor(detector.threshold_, dtype=torch.float64)
    tensors |= _KINDS[type(detector).__name__].tensors(detector)
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def _restore(description: dict, tensors: dict[str, torch.Tensor]):
    """Build a detector from its description and tensors."""
    kind = _KINDS[description["class"]]
    given = description["parameters"].items()
    parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in given}
    detector = kind.detector(**parameters)
    detector.seed_ = description["seed"]
    detector.n_features_in_ = description["n_features_in"]
    if description["feature_names_in"]:
        detector.feature_names_in_ = np.array(description["feature_names_in"], dtype=object)
    detector.encoder_ = kind.encoder.from_dict(description["encoder"])
    detector.history_ = pd.DataFrame(description["history"])
    detector.n_iter_ = int(detector.history_["step"].max())
    detector.calibration_scores_ = tensors["calibration_scores"].numpy()
    kind.restore(detector, description, tensors)
    _restore_threshold(detector, tensors)
    return detector


class _Tables:
    """What only a detector for tables has."""

    detector, encoder = TabularDetector, TableEncoder

    @staticmethod
    def describe(detector) -> dict:
        return {
            "n_training_rows": detector.n_training_rows_,
            "n_validation_rows": detector.n_validation_rows_,
            "schema": detector.schema_.to_dict(),
            "voice_std": detector.calibration_.voice_std,
            "voice_weights": detector.calibration_.weights,
        }

    @staticmethod
    def tensors(detector) -> dict[str, torch.Tensor]:
        calibration = detector.calibration_
        tensors = {f"memory.{name}": tensor for name, tensor in detector.memory_.items()}
        levels = zip(calibration.level_mean, calibration.level_std, strict=True)
        for index, pair in enumerate(levels):
            tensors[f"level_mean.{index}"], tensors[f"level_std.{index}"] = pair
        if detector.dependence_ is not None:
            tensors |= {f"dependence.{k}": v for k, v in vars(detector.dependence_).items()}
        return tensors | {"noise": detector.noise_}

    @staticmethod
    def restore(detector, description: dict, tensors: dict[str, torch.Tensor]) -> None:
        detector.n_training_rows_ = description["n_training_rows"]
        detector.n_validation_rows_ = description["n_validation_rows"]
        detector.schema_ = Schema.from_dict(description["schema"])
        network = partial(detector._make_network, detector._event_shape())
        detector.denoiser_ = _restore_denoiser(network, tensors)
        detector.memory_, detector.noise_ = _group(tensors, "memory"), tensors["noise"]
        related = _group(tensors, "dependence")
        detector.dependence_ = Dependence(**related) if related else None
        detector._make_ensemble()
        detector.calibration_ = ScoreCalibration(
            _in_order(tensors, "level_mean"),
            _in_order(tensors, "level_std"),
            description["voice_std"],
            description["voice_weights"],
        )


_MEMORIES = {"WindowMemory": WindowMemory, "LevelMemory": LevelMemory}


class _Series:
    """What only a detector for series has."""

    detector, encoder = TimeSeriesDetector, WindowEncoder

    @staticmethod
    def describe(detector) -> dict:
        memories = [
            {"kind": type(memory).__name__, "length": memory.length}
            for memory in detector.memories_
        ]
        return {
            "window_lengths": detector.window_lengths_,
            "network_length": detector.network_length_,
            "memories": memories,
        }

    @staticmethod
    def tensors(detector) -> dict[str, torch.Tensor]:
        tensors = {f"energy.{k}": v for k, v in vars(detector.calibration_).items()}
        tensors["regression"] = detector.regression_.weights
        for i, memory in enumerate(detector.memories_):
            tensors |= {f"rows.{i}": memory.rows, f"places.{i}": memory.places}
        return tensors

    @staticmethod
    def restore(detector, description: dict, tensors: dict[str, torch.Tensor]) -> None:
        detector.layout_ = detector.encoder_.layout
        detector.window_lengths_ = description["window_lengths"]
        detector.network_length_ = description["network_length"]
        detector.denoiser_ = _restore_denoiser(detector._make_network, tensors)
        detector.memories_ = [
            _MEMORIES[memory["kind"]](
                memory["length"], tensors[f"rows.{i}"], tensors[f"places.{i}"]
            )
            for i, memory in enumerate(description["memories"])
        ]
        detector.regression_ = StepRegression(tensors["regression"])
        detector.calibration_ = WindowCalibration(**_group(tensors, "energy"))


_KINDS = {"TabularDetector": _Tables, "TimeSeriesDetector": _Series}


def _restore_threshold(detector, tensors) -> None:
    """Restore the threshold; earlier models have none stored, and it was that of ``alpha``."""
    if "threshold" in tensors:
        detector.set_threshold(tensors["threshold"].item())
        return
    with warnings.catch_warnings():  # fit has said it: too few held-out rows
        warnings.simplefilter("ignore")
        detector._set_threshold()


def _restore_denoiser(make_network, tensors) -> Denoiser:
    """Build the network and fill it with the stored weights."""
    with torch.random.fork_rng(devices=[]):  # layers draw numbers that are overwritten at once
        denoiser = Denoiser(make_network())
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
