"""Several processes that train one network: who they are, and means over what each of them has.

Every process draws the same batch and works on its own rows of it; the gradients are then averaged
over all rows, so that the number of processes changes training by rounding errors only. Alone, a
process has all rows, and nothing here changes what it has.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

__all__ = [
    "average_gradients",
    "from_first",
    "joined",
    "own_rows",
    "rank",
    "require_same",
    "weighted_means",
    "world_size",
]


@contextmanager
def joined() -> Iterator[int]:
    """Join the processes that ``torchrun`` started, and leave them at the end.

    Gives the rank of this process: 0 for the one that reports and writes, and for a process that
    is alone because ``torchrun`` started none. Each process takes a GPU of its own if there are.

    Examples
    --------
    >>> with joined() as rank:
    ...     print(rank, world_size())
    0 1
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or _is_grouped():
        yield rank()
        return
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo")
    try:
        yield rank()
    finally:
        distributed.destroy_process_group()


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if _is_grouped() else 0


def world_size() -> int:
    """Number of processes."""
    return distributed.get_world_size() if _is_grouped() else 1


def own_rows(rows: Tensor) -> Tensor:
    """Rows that are this process's part of the work: every ``world_size()``-th."""
    return rows[rank() :: world_size()]


def weighted_means(tensors: Sequence[Tensor], weight: Tensor) -> list[Tensor]:
    """Average each tensor over the processes; all of them get the same numbers, bit by bit.

    Each process counts by its weight, at least 0; the means are 0 where no process counts.
    """
    if world_size() == 1:
        return list(tensors)
    weight = weight.to(tensors[0]).reshape(1)
    # One message instead of many: each costs a trip around all processes.
    message = torch.cat([*(tensor.flatten() * weight for tensor in tensors), weight])
    distributed.all_reduce(message)
    means = message[:-1] / message[-1].clamp(min=torch.finfo(message.dtype).tiny)
    parts = means.split([tensor.numel() for tensor in tensors])
    return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]


@torch.no_grad()
def average_gradients(module: nn.Module, loss: Tensor, weight: Tensor) -> Tensor:
    """Replace the gradients of a module, after ``loss.backward()``, by their means.

    The weight is the number of terms that this process's loss is the mean of. Returns the mean loss
    over the terms of all processes.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.grad is not None]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    loss, *means = weighted_means([loss.detach(), *gradients], weight)
    for parameter, mean in zip(parameters, means, strict=True):
        parameter.grad = mean
    return loss


def from_first(value: Any) -> Any:
    """Give every process what the first one has; what the others have is dropped."""
    if world_size() == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0)
    return box[0]


def require_same(digest: str) -> None:
    """Raise a ValueError in every process unless all have the same digest of data and settings."""
    if world_size() == 1:
        return
    found: list[str | None] = [None] * world_size()
    distributed.all_gather_object(found, digest)
    if len(set(found)) > 1:
        raise ValueError(
            "need the same rows, parameters and an integer random_state in every process; "
            f"got {len(set(found))} different ones in {world_size()} processes."
        )


def _is_grouped() -> bool:
    return distributed.is_available() and distributed.is_initialized()
