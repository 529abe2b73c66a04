"""Categories that do not go together, each of them common enough by itself."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from anomdiff.scoring.separation import roc_area

__all__ = ["Cooccurrence"]

# Rows' worth of independence mixed into the pair frequencies; 1 to 100 measured the same.
PRIOR_ROWS = 5.0
# Held-out rows are broken up this many times to see how much dependence there is.
SHUFFLES = 3


@dataclass(frozen=True)
class Cooccurrence:
    r"""How unlikely each pair of a row's categories is, compared with independent columns.

    For the cells :math:`a` and :math:`b` of columns i and j the pair counts
    :math:`r_{ij} = \ln p_i(a) + \ln p_j(b) - \ln p_{ij}(a, b)`, minus their pointwise mutual
    information. A column's sum over the others stands out where it exceeds the mean of held-out
    rows; the error of a row is the sum over columns of the root of that excess.

    This is the closed form that a masked diffusion over categories approximates with one column
    masked and columns assumed to act on it one by one; a trained one measured worse.

    Parameters
    ----------
    pairs : float Tensor of shape (slot, slot)
        :math:`r_{ij}(a, b)` for all values of all columns; 0 within a column.
    starts : int Tensor of shape (column,)
        First slot of each column.
    typical : float Tensor of shape (column,)
        Mean of the sums of held-out rows.

    References
    ----------
    Church and Hanks (1990), "Word Association Norms, Mutual Information, and Lexicography".
    Masked diffusion: Austin et al. (2021), "Structured Denoising Diffusion Models in Discrete
    State-Spaces", section 3.1.
    """

    pairs: Tensor
    starts: Tensor
    typical: Tensor

    @classmethod
    def fit(
        cls,
        codes: Int[Tensor, "row column"],
        held_out: Int[Tensor, "held column"],
        n_slots: Int[Tensor, "column"],
    ) -> "Cooccurrence":
        """Count the pairs of training rows, and the typical sums of held-out rows.

        Codes say which of its ``n_slots`` values, from 0, each cell has; unseen and missing are
        values too.
        """
        n_rows, total = len(codes), int(n_slots.sum())
        starts = n_slots.cumsum(0) - n_slots
        slots = codes + starts
        single = torch.bincount(slots.flatten(), minlength=total).double()
        single = (single + 1) / (n_rows + n_slots.repeat_interleave(n_slots))
        ends = np.arange(0, slots.numel() + 1, slots.shape[1])
        lit = csr_array((np.ones(slots.numel()), slots.flatten().numpy(), ends), (n_rows, total))
        counts = torch.from_numpy((lit.T @ lit).toarray())
        prior = single[:, None] * single
        pairs = prior.log() - ((counts + PRIOR_ROWS * prior) / (n_rows + PRIOR_ROWS)).log()
        column = torch.arange(len(n_slots)).repeat_interleave(n_slots)
        pairs[column[:, None] == column] = 0.0
        counted = cls(pairs, starts, torch.zeros(len(n_slots), dtype=torch.float64))
        return cls(pairs, starts, counted._sums(held_out).mean(0))

    def errors(self, codes: Int[Tensor, "row column"]) -> Float[Tensor, "row 1"]:
        """Sum over columns of the root of what their pairs are less likely than typical."""
        return (self._sums(codes) - self.typical).clamp(min=0).sqrt().sum(1, keepdim=True)

    def strength(self, held_out: Int[Tensor, "held column"], generator: torch.Generator) -> float:
        """How well the errors tell held-out rows from rows whose columns were shuffled apart.

        Returns
        -------
        strength : float
            Twice the area under the ROC curve minus 1 (Somers' D); 0 where the columns do not
            depend on each other.
        """
        apart = [
            torch.stack([c[torch.randperm(len(c), generator=generator)] for c in held_out.T], dim=1)
            for _ in range(SHUFFLES)
        ]
        broken, whole = self.errors(torch.cat(apart))[:, 0], self.errors(held_out)[:, 0]
        return max(0.0, 2 * roc_area(whole, broken) - 1)

    def _sums(self, codes: Tensor) -> Tensor:
        slots = codes + self.starts
        columns = [self.pairs[slots, column[:, None]].sum(1) for column in slots.T]
        return torch.stack(columns, dim=1)
