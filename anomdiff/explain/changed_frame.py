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
    scored: list,
    most: int | None,
    immutable: str | Iterable[Hashable],
) -> Bool[Tensor, "column"]:
    """Tell the scored columns that may change; ``kind`` is what errors call a column."""
    check_count(f"max_{kind}s", most)
    fixed = {immutable} if isinstance(immutable, str) else set(immutable)
    if unknown := sorted(fixed.difference(names), key=str):
        raise ValueError(f"need immutable {kind}s among {names}; got {unknown}.")
    mutable = torch.tensor([name not in fixed for name in scored])
    if not mutable.any():
        raise ValueError(f"need a {kind} that may change among {scored}; got all as immutable.")
    return mutable


def warn_of_rest(kind: str, before: int, rest: list) -> None:
    """Warn the caller of ``repair`` of what is still anomalous, of ``before``, if anything."""
    unit = "rows" if kind == "column" else "steps"
    if rest:
        labels = f"{rest[:NAMED]}{' and more' if len(rest) > NAMED else ''}"
        warnings.warn(
            f"{len(rest)} {unit} stay above the threshold, of {before} before, as near to it as "
            f"these {kind}s allow: rows {labels}.",
            UserWarning,
            stacklevel=4,
        )
