"""The components of a row's score, put together: network, reference rows, categories."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from anomdiff.reference.nearest import NearestRows
from anomdiff.reference.reference_set import ReferenceSet
from anomdiff.reference.subset_search import Subsets, SubsetSearch
from anomdiff.scoring.cooccurrence import Cooccurrence
from anomdiff.scoring.reconstruction_component import ReconstructionComponent

__all__ = ["Ensemble"]

# Names of the views, numbers in standard deviations and as ranks, and of the distances in each.
VIEWS, KINDS = ("z", "ranks"), ("distance", "local distance")


@dataclass(frozen=True)
class Ensemble:
    r"""Components that are sensitive to different anomalies.

    The network generalises and learns how entries depend on each other; the nearest reference
    row shows single rows and clusters that the network smooths over; subsets of reference rows
    and of columns show what is odd in a few columns; co-occurrence counts categories that do not
    go together.

    Attributes
    ----------
    denoiser : nn.Module
        Trained on the entries of ``network_view``.
    network_view : bool Tensor of shape (coord,)
        Entries that the network works on.
    reconstructions : sequence of ReconstructionComponent
        Noise levels of the network, and how its errors are added.
    views : bool Tensor of shape (view, coord)
        Entries that each search compares.
    distance_weights : float Tensor of shape (coord,)
        What entries are multiplied by where rows are compared.
    searches : sequence of NearestRows
        Reference rows, one search per view.
    subset_searches : sequence of SubsetSearch
        Subsets of the reference rows and of columns.
    cooccurrence : Cooccurrence or None
        None where the component is missing.
    """

    denoiser: nn.Module
    network_view: Tensor
    reconstructions: Sequence[ReconstructionComponent]
    views: Tensor
    distance_weights: Tensor
    searches: Sequence[NearestRows]
    subset_searches: Sequence[SubsetSearch]
    cooccurrence: Cooccurrence | None

    @classmethod
    def build(
        cls,
        denoiser: nn.Module,
        network_view: Bool[Tensor, "coord"],
        reconstructions: Sequence[ReconstructionComponent],
        views: Bool[Tensor, "view coord"],
        distance_weights: Float[Tensor, "coord"],
        reference: ReferenceSet,
        subsets: Sequence[Subsets],
        cooccurrence: Cooccurrence | None,
    ) -> "Ensemble":
        """Set up the searches of the reference rows; parameters as the attributes."""
        rows = reference.values * distance_weights
        searches = [
            NearestRows(rows[:, view], scales, reference.exclude_self)
            for view, scales in zip(views, reference.local_scales, strict=True)
        ]
        in_subsets = [SubsetSearch.build(each, rows, reference.exclude_self) for each in subsets]
        return cls(
            denoiser,
            network_view,
            reconstructions,
            views,
            distance_weights,
            searches,
            in_subsets,
            cooccurrence,
        )

    @property
    def names(self) -> list[str]:
        """A name for each component, in the order of ``components``."""
        views = VIEWS[: len(self.views)]
        distances = [f"{kind} ({view})" for view in views for kind in KINDS]
        subsets = [*(f"subspaces ({view})" for view in views), "parts"]
        categories = [] if self.cooccurrence is None else ["categories"]
        network = [each.name for each in self.reconstructions]
        return [*network, *distances, *(subsets if self.subset_searches else []), *categories]

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
            The network's at low, middle and high noise; in each view, the distance to the nearest
            reference row and the same in local scales; the distances to subsets; and the
            co-occurrence of categories, if there is one; larger is more anomalous.
        """
        view = self.network_view
        seen = values[:, view], observed[:, view]
        found = [each.errors(self.denoiser, *seen, share) for each in self.reconstructions]
        weighted = values * self.distance_weights
        whole = share.sqrt()[:, None]
        for search, view in zip(self.searches, self.views, strict=True):
            distances = search.distances(weighted[:, view], observed[:, view]) / whole
            found += distances.split(1, dim=1)
        found += [each.errors(weighted, observed, whole) for each in self.subset_searches]
        if self.cooccurrence is not None and codes is not None:
            found.append(self.cooccurrence.errors(codes))
        return found
