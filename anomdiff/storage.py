"""A detector on disk: a folder of ``model.json`` and ``weights.safetensors``, without pickle."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from sklearn.utils.validation import check_is_fitted

from anomdiff import storage_format_1, storage_format_2
from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.by_segment import SegmentedDetector
from anomdiff.detectors.tabular import TabularDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.encoding.json_values import to_json

__all__ = ["MODEL", "load", "save"]

FORMAT = 3
MAX_CAUSE = 200  # characters of the cause of damage that are shown
MODEL, WEIGHTS = "model.json", "weights.safetensors"
# Where the description has a tensor, it has this key and the tensor's name among the weights.
TENSOR = "$tensor"
DETECTORS: dict[str, type[TabularDetector] | type[TimeSeriesDetector]] = {
    "SegmentedDetector": SegmentedDetector,
    "TabularDetector": TabularDetector,
    "TimeSeriesDetector": TimeSeriesDetector,
}


def save(detector: DiffusionDetector, folder: str | os.PathLike) -> Path:
    """Write a fitted detector to a folder.

    Parameters
    ----------
    detector : TabularDetector, SegmentedDetector or TimeSeriesDetector
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
    tensors: dict[str, torch.Tensor] = {}
    description = _without_tensors(detector.to_dict(), "", tensors)
    weights = save_tensors({name: each.contiguous().clone() for name, each in tensors.items()})
    description = {"format": FORMAT, "class": type(detector).__name__, **description}
    description["checksum"] = _checksum(description, weights)
    _write(folder / WEIGHTS, weights)
    _write(folder / MODEL, json.dumps(description, indent=1).encode())
    return folder


def load(folder: str | os.PathLike) -> TabularDetector | TimeSeriesDetector:
    """Read a detector written by ``save``; its scores are the same to the last bit.

    Parameters
    ----------
    folder : path-like
        Folder with ``model.json`` and ``weights.safetensors``, of this format or an older one.

    Returns
    -------
    detector : TabularDetector, SegmentedDetector or TimeSeriesDetector
        The fitted detector.

    Raises
    ------
    ValueError
        If the folder holds no such model, another format, or a damaged one.
    """
    folder = Path(folder)
    description, weights = _read(folder)
    if description.get("format") not in range(1, FORMAT + 1):
        raise ValueError(
            f"need a model of a format from 1 to {FORMAT}; got format "
            f"{description.get('format')!r} in '{folder / MODEL}'."
        )
    if description.pop("checksum", None) != _checksum(description, weights):
        raise ValueError(f"need an unchanged model; the checksum of '{folder}' does not match.")
    name = description.get("class")
    if not isinstance(name, str) or name not in DETECTORS:
        raise ValueError(f"need one of {sorted(DETECTORS)} in '{folder / MODEL}'; got {name!r}.")
    try:
        return DETECTORS[name].from_dict(_state(description, load_tensors(weights)))
    except Exception as error:  # whatever a part that is absent or of another type comes to
        if isinstance(error, ValueError) and str(error).startswith("need"):
            raise
        raise ValueError(
            f"need a model in '{folder}' as save writes it; got a damaged one ({_cause(error)})."
        ) from error


def _cause(error: Exception) -> str:
    """Beginning of what an exception says, in one line."""
    return f"{type(error).__name__}: {error}".split("\n")[0][:MAX_CAUSE]


def _state(description: dict, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What detectors of today read, from a description of any format."""
    if description["format"] == 1:
        state = storage_format_1.upgraded(description, tensors)
    else:
        state = _with_tensors(description, tensors)
    if description["format"] < 3 and description["class"] == "TabularDetector":
        state = storage_format_2.upgraded(state)
    return state


def _without_tensors(value: Any, name: str, tensors: dict[str, torch.Tensor]) -> Any:
    """Nested JSON values; tensors are moved to ``tensors`` under their dotted names."""
    if isinstance(value, torch.Tensor):
        tensors[name] = value
        return {TENSOR: name}
    prefix = f"{name}." if name else ""
    if isinstance(value, dict):
        return {k: _without_tensors(each, f"{prefix}{k}", tensors) for k, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(each, f"{prefix}{i}", tensors) for i, each in enumerate(value)]
    return to_json(value)


def _with_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Undo ``_without_tensors``."""
    if isinstance(value, dict):
        if value.keys() == {TENSOR}:
            return tensors[value[TENSOR]]
        return {key: _with_tensors(each, tensors) for key, each in value.items()}
    return [_with_tensors(each, tensors) for each in value] if isinstance(value, list) else value


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
    except (ValueError, RecursionError, SafetensorError) as error:
        raise ValueError(
            f"need a readable model in '{folder}'; got a damaged one ({_cause(error)})."
        ) from error
    if not isinstance(description, dict):
        raise ValueError(
            f"need a JSON object in '{folder / MODEL}'; got {type(description).__name__}."
        )
    return description, weights
