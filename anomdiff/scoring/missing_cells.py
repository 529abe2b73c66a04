"""How unusual it is which cells of a row are missing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.scoring.surprisal import LARGE_SHARE, Surprisal

__all__ = ["MissingCells"]

# Most patterns that are kept, the most frequent ones.
MOST_PATTERNS = 1000
# How much of a surprisal is added to the score: as much as a single component's counts there.
SHARE_OF_SCORE = 0.4
# Least mean excess, in nats: where patterns hardly vary, a new one must not count without bound.
LEAST_PATTERN_TAIL = 1.0


@dataclass(frozen=True)
class MissingCells:
    r"""Which cells are missing, against the patterns that training rows show.

    The error of a row is how far its pattern is from the nearest one of training: 0 where training
    shows the same, else minus the log share of training rows that have (or lack) each cell in which
    the two differ, added up. What is beyond the usual among held-out rows is added to the score.

    Attributes
    ----------
    patterns : bool Tensor of shape (pattern, column)
        Distinct patterns of training rows, True where a cell is missing.
    cost_missing, cost_present : float Tensor of shape (column,)
        What it costs that a cell is missing, or is there, unlike in the pattern.
    surprisal : Surprisal
        Of errors among those of held-out rows.
    median : float
        Median score of the held-out rows, with what missing cells add: a row without any cell
        never scores less.
    """

    patterns: Tensor
    cost_missing: Tensor
    cost_present: Tensor
    surprisal: Surprisal
    median: float

    @classmethod
    def fit(
        cls,
        training: Bool[Tensor, "row column"],
        held_out: Bool[Tensor, "held column"],
        scores: Float[Tensor, "held"],
        typical: Bool[Tensor, "held"] | None = None,
    ) -> "MissingCells":
        """Learn the patterns of training rows, and their errors and scores on held-out ones.

        Errors are learned from the ``typical`` rows among these, all by default.
        """
        patterns, counts = training.unique(dim=0, return_counts=True)
        kept = counts.argsort(descending=True, stable=True)[:MOST_PATTERNS]
        share = (training.sum(0) + 1.0).double() / (len(training) + 2)
        costs = -share.log(), -(1 - share).log()
        usual = held_out if typical is None else held_out[typical]
        errors = _errors(usual, patterns[kept], *costs)
        surprisal = Surprisal.fit(errors, LEAST_PATTERN_TAIL)
        known = cls(patterns[kept], *costs, surprisal, -torch.inf)
        adjusted = known.adjusted(scores, held_out).sort().values
        return replace(known, median=adjusted[len(adjusted) // 2].item())

    def errors(self, missing: Bool[Tensor, "row column"]) -> Float[Tensor, "row _"]:
        """Distance of each row's pattern to the nearest of training, in nats, (row, 1)."""
        return _errors(missing, self.patterns, self.cost_missing, self.cost_present)

    def adjusted(
        self, scores: Float[Tensor, "row"], missing: Bool[Tensor, "row column"]
    ) -> Float[Tensor, "row"]:
        """Scores and what the missing cells of each row add to them."""
        surprising = self.surprisal(self.errors(missing))[:, 0]
        beyond = (surprising + torch.tensor(LARGE_SHARE).log()).clamp(min=0)
        total = scores + SHARE_OF_SCORE * beyond
        return torch.where(missing.all(1), total.clamp(min=self.median), total)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as JSON values and tensors."""
        return {**vars(self), "surprisal": self.surprisal.to_dict()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "MissingCells":
        """Rebuild from `to_dict`."""
        return cls(**{**state, "surprisal": Surprisal(**state["surprisal"])})


def _errors(
    missing: Bool[Tensor, "row column"],
    patterns: Bool[Tensor, "pattern column"],
    cost_missing: Float[Tensor, "column"],
    cost_present: Float[Tensor, "column"],
) -> Float[Tensor, "row _"]:
    """See ``MissingCells.errors``; rows of one pattern are worked out once."""
    distinct, of_row = missing.unique(dim=0, return_inverse=True)
    absent, known = distinct.double(), patterns.double()
    further = (absent * cost_missing) @ (1 - known).T
    lacking = ((1 - absent) * cost_present) @ known.T
    found = (further + lacking).amin(1)
    return found[of_row][:, None]
