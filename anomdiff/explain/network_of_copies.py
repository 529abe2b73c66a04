"""The network's errors on copies of one row that differ from it in a few entries each."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from anomdiff.diffusion.networks import ResidualMLP
from anomdiff.explain.row_changes import Changes
from anomdiff.scoring.reconstruction import row_errors
from anomdiff.scoring.reconstruction_component import ReconstructionComponent

__all__ = ["CopyNetwork"]


@dataclass(frozen=True)
class CopyNetwork:
    r"""The network's errors on copies of a row.

    With the denoiser written out, the error of an entry at level :math:`\sigma` and noise
    :math:`\epsilon` is :math:`(F - (\sigma x - \epsilon) / \sqrt{1 + \sigma^2})^2`, without a
    difference of large numbers: single precision is enough.
    """

    network: ResidualMLP
    row: Tensor
    seen: Tensor  # what is observed of the row
    changes: Changes
    new: Tensor  # value of each changed entry
    observed: Tensor  # of the copies
    weights: Tensor  # of the first layer, in double precision
    inward: Tensor  # what each copy changes of the sums that enter the network

    @classmethod
    def of(
        cls, network: ResidualMLP, row: Tensor, seen: Tensor, changes: Changes, observed: Tensor
    ) -> "CopyNetwork":
        """Add up what the changes of the copies change of what enters the network."""
        weights = network.inward.weight[:, : len(row)].double()
        inward = weights.new_zeros(len(observed), len(weights))
        added = changes.linear[:, None] * weights.T.contiguous()[changes.coords]
        inward.index_add_(0, changes.copies, added)
        new = row[changes.coords] + changes.linear
        return cls(network, row, seen, changes, new, observed, weights, inward)

    def errors(
        self, component: ReconstructionComponent, share: Tensor
    ) -> Float[Tensor, "row level"]:
        """Errors of the copies at each level of a component."""
        each_level = list(zip(component.levels.tolist(), component.noise, strict=True))
        entries = component.entries
        if not component.compressed:
            sums = torch.stack([self._sums(*each, entries) for each in each_level], dim=1)
            return (sums / share[:, None]).sqrt()
        seen, found = self.observed if entries.all() else self.observed[:, entries], []
        hidden = None if seen.all() else ~seen
        for sigma, draws in each_level:
            squares = self._squares(sigma, draws, entries)
            squares = squares if hidden is None else squares.masked_fill_(hidden, 0.0)
            found.append(row_errors(squares[:, None], share))
        return torch.cat(found, dim=1).to(self.row)

    def _squares(self, sigma: float, draws: Tensor, entries: Tensor) -> Tensor:
        """Squared errors at one level, averaged over the draws, (row, counted entry)."""
        counted = entries[self.changes.coords]
        copies, coords = self.changes.copies[counted], self.changes.coords[counted]
        place, new = (entries.cumsum(0) - 1)[coords], self.new[counted]
        outward, ahead = self.network.outward.weight[entries], self.network.outward.bias[entries]
        total, own = torch.zeros(len(self.inward), len(outward)), outward[place]
        scale = (1 + sigma**2) ** -0.5
        for hidden, noise in self._hidden(sigma, draws):
            wanted = scale * (sigma * self.row - noise)[entries]
            errors = torch.addmm((ahead - wanted).to(hidden), hidden, outward.T)
            predicted = (hidden[copies] * own).sum(1) + ahead[place]
            off = predicted - scale * (sigma * new - noise[coords]).to(hidden)
            errors[copies, place] = off
            total.addcmul_(errors, errors)
        return total.div_(len(draws))

    def _sums(self, sigma: float, draws: Tensor, entries: Tensor) -> Float[Tensor, "row"]:
        r"""Sums of what ``_squares`` returns over what is observed, without the single errors.

        With the errors :math:`W h + c` of the row's own entries a sum is
        :math:`h^T W^T W h + 2 c^T W h + c^T c`; what changed entries had there is taken off.
        """
        changes, scale = self.changes.take(entries[self.changes.coords]), (1 + sigma**2) ** -0.5
        new, coords = self.new[entries[self.changes.coords]], changes.coords
        before = self.seen[coords].double()
        outward, ahead = self.network.outward.weight.double(), self.network.outward.bias.double()
        own, kept = outward[coords], entries & self.seen
        inside = outward[kept]
        gram, total = inside.T @ inside, self.row.new_zeros(len(self.inward))
        for hidden, noise in self._hidden(sigma, draws):
            h, off = hidden.double(), ahead - scale * (sigma * self.row - noise)
            constant = off[kept]
            total += ((h @ gram + 2 * constant @ inside) * h).sum(1) + constant @ constant
            old = (h[changes.copies] * own).sum(1) + off[coords]
            now = old - scale * sigma * (new - self.row[coords])
            added = (before + changes.seen) * now.square() - before * old.square()
            total.index_add_(0, changes.copies, added)
        return total.clamp_(min=0).div_(len(draws))

    def _hidden(self, sigma: float, draws: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what enters the last layer for each draw of noise, and the noise."""
        network, scale = self.network, (1 + sigma**2) ** -0.5
        level = self.row.new_full((1,), sigma).log().to(network.outward.weight) / 4
        at_level = network.inlevel(network.level(level))
        for noise in draws.to(self.row):
            first = self.weights @ (scale * (self.row + sigma * noise)) + network.inward.bias
            hidden = (first + scale * self.inward).to(at_level) + at_level
            for block in network.blocks:
                hidden = block(hidden)
            yield F.silu(network.norm(hidden)), noise
