"""A training run on disk, between two steps: one safetensors file, written all or nothing."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from anomdiff.diffusion.training import TrainingState

__all__ = ["fingerprint", "read_checkpoint", "write_checkpoint"]


def fingerprint(values: Tensor, settings: dict) -> str:
    """Name a training run by its data and settings (SHA-256): no other run resumes from it."""
    digest = hashlib.sha256(values.contiguous().numpy().tobytes())
    digest.update(repr(sorted(settings.items())).encode())
    return digest.hexdigest()


def write_checkpoint(state: TrainingState, path: Path, fingerprint: str) -> None:
    """Write a training state; a crash while writing leaves the earlier file in place."""
    numbers = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
    del numbers["tensors"]
    temporary = path.with_name(path.name + ".part")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors.items()}
    metadata = {"state": json.dumps(numbers), "fingerprint": fingerprint}
    save_file(tensors, temporary, metadata=metadata)
    os.replace(temporary, path)


def read_checkpoint(path: Path, fingerprint: str) -> TrainingState | None:
    """Read a training state to pass to ``train`` as ``resume``, or None if there is no file.

    Raises
    ------
    ValueError
        If the file belongs to other data or settings.
    """
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        if metadata["fingerprint"] != fingerprint:
            raise ValueError(
                f"need a checkpoint of the same data and settings; got another run's in '{path}'. "
                "Delete it or name another file."
            )
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    numbers = json.loads(metadata["state"])
    numbers["history"] = [tuple(entry) for entry in numbers["history"]]
    return TrainingState(**numbers, tensors=tensors)
