"""Repaired frames: which columns may change, and which rows stay flagged."""

import warnings
from collections.abc import Hashable, Iterable

import torch
from jaxtyping import Bool
from torch import Tensor

from anomdiff.conditional.draws import check_count

__all__ = ["mutable_columns", "warn_of_rest"]

# Row labels that a warning names.
NAMED = 10


def mutable_columns(
    kind: str,
    names: list,
    judged: list,
    most: int | None,
    immutable: str | Iterable[Hashable],
) -> Bool[Tensor, "column"]:
    """Tell the judged columns that may change; ``kind`` is what errors call a column."""
    check_count(f"max_{kind}s", most)
    fixed = {immutable} if isinstance(immutable, str) else set(immutable)
    if unknown := sorted(fixed.difference(names), key=str):
        raise ValueError(f"need immutable {kind}s among {names}; got {unknown}.")
    mutable = torch.tensor([name not in fixed for name in judged])
    if not mutable.any():
        raise ValueError(f"need a {kind} that may change among {judged}; got all as immutable.")
    return mutable


def warn_of_rest(kind: str, before: int, rest: list) -> None:
    """Warn the caller of ``repair`` of the rows of ``before`` that are still anomalies, if any."""
    if rest:
        labels = f"{rest[:NAMED]}{' and more' if len(rest) > NAMED else ''}"
        warnings.warn(
            f"{len(rest)} rows stay above the threshold, of {before} before, as near to it as "
            f"these {kind}s allow: rows {labels}.",
            UserWarning,
            stacklevel=4,
        )
