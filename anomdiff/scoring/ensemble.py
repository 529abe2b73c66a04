"""The components of a row's score, put together: network, nearest reference rows, categories."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from anomdiff.reference.nearest import NearestRows
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.reconstruction import reconstruction_errors, row_errors

__all__ = ["Ensemble"]


@dataclass(frozen=True)
class Ensemble:
    r"""Components that are sensitive to different anomalies.

    The network generalises and learns how entries depend on each other; the nearest reference
    row shows single rows and clusters that the network smooths over; co-occurrence counts
    categories that do not go together.

    Attributes
    ----------
    denoiser : nn.Module
        Trained on the entries of the first view.
    levels : float Tensor of shape (level,)
        Noise levels of the network, in standard deviations.
    noise : float Tensor of shape (level, draw, seen)
        Noise of the entries of the first view.
    views : bool Tensor of shape (view, coord)
        Entries that each search compares.
    distance_weights : float Tensor of shape (coord,)
        What entries are multiplied by where rows are compared.
    searches : sequence of NearestRows
        Reference rows, one search per view.
    cooccurrence : Cooccurrence or None
        None where the component is missing.
    """

    denoiser: nn.Module
    levels: Tensor
    noise: Tensor
    views: Tensor
    distance_weights: Tensor
    searches: Sequence[NearestRows]
    cooccurrence: Cooccurrence | None

    @classmethod
    def build(
        cls,
        denoiser: nn.Module,
        levels: Float[Tensor, "level"],
        noise: Float[Tensor, "level draw seen"],
        views: Bool[Tensor, "view coord"],
        distance_weights: Float[Tensor, "coord"],
        reference: ReferenceSet,
        cooccurrence: Cooccurrence | None,
    ) -> "Ensemble":
        """Set up the search of every view; parameters as the attributes."""
        rows = reference.values * distance_weights
        searches = [
            NearestRows(rows[:, view], scales, reference.exclude_self)
            for view, scales in zip(views, reference.local_scales, strict=True)
        ]
        return cls(denoiser, levels, noise, views, distance_weights, searches, cooccurrence)

    def components(
        self,
        values: Float[Tensor, "row coord"],
        observed: Bool[Tensor, "row coord"],
        share: Float[Tensor, "row"],
        codes: Int[Tensor, "row column"] | None,
    ) -> list[Float[Tensor, "row _"]]:
        r"""Errors of each component on each row, before calibration.

        Parameters
        ----------
        values, observed : Tensor of shape (row, coord)
            Encoded rows, float64, and which entries are not missing.
        share : float Tensor of shape (row,)
            Share of the row that is observed.
        codes : int Tensor of shape (row, column) or None
            Categories of the row; needed where co-occurrence is a component.

        Returns
        -------
        components : list of float Tensor of shape (row, level)
            The network's (noise-free levels, then noised ones), the distances in each view, and
            the co-occurrence of categories, if there is one; larger is more anomalous.
        """
        found = [self._network(values, observed, share)]
        for search, view in zip(self.searches, self.views, strict=True):
            x = (values * self.distance_weights)[:, view]
            found.append(search.distances(x, observed[:, view]) / share.sqrt()[:, None])
        if self.cooccurrence is not None and codes is not None:
            found.append(self.cooccurrence.errors(codes))
        return found

    def _network(self, values: Tensor, observed: Tensor, share: Tensor) -> Tensor:
        """Errors of the network on noise-free and on noised rows."""
        seen = values[:, self.views[0]], observed[:, self.views[0]]
        parts = [
            reconstruction_errors(self.denoiser, *seen, self.levels, noise)
            for noise in (torch.zeros_like(self.noise[:, :1]), self.noise)
        ]
        return torch.cat([row_errors(errors, share) for errors in parts], dim=1)
