"""Partial-noise reconstruction as components of the score: low, middle and high noise levels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anomdiff.scoring.reconstruction import reconstruction_errors, row_errors, row_sizes

__all__ = ["ReconstructionComponent", "by_noise"]

# Levels up to the first number ask whether a row lies on the manifold of the data; above the
# second one the network sees hardly more than how far out a row is.
LOW, HIGH = 0.25, 0.8


@dataclass(frozen=True)
class ReconstructionComponent:
    """Errors of the denoiser at some noise levels.

    Attributes
    ----------
    levels : float Tensor of shape (level,)
        Noise levels, in standard deviations.
    noise : float Tensor of shape (level, draw, seen)
        Noise of the entries that the network sees; zeros for noise-free rows.
    entries : bool Tensor of shape (seen,)
        Entries whose errors count.
    compressed : bool
        Whether errors are added as logarithms, or the root is taken of their plain sum.
    """

    levels: Tensor
    noise: Tensor
    entries: Tensor
    compressed: bool

    @property
    def name(self) -> str:
        """Which noise it has."""
        if self.levels.max() < LOW:
            return "low noise"
        return "high noise" if self.levels.min() > HIGH else "middle noise"

    def errors(
        self,
        denoiser: nn.Module,
        values: Float[Tensor, "row seen"],
        observed: Bool[Tensor, "row seen"],
        share: Float[Tensor, "row"],
    ) -> Float[Tensor, "row level"]:
        """Error of each row at each level, as if all its entries were observed."""
        errors = reconstruction_errors(denoiser, values, observed, self.levels, self.noise)
        total = row_errors if self.compressed else row_sizes
        return total(errors[:, :, self.entries], share)


def by_noise(
    levels: Float[Tensor, "level"],
    noise: Float[Tensor, "level draw seen"],
    distances: Bool[Tensor, "seen"],
) -> Sequence[ReconstructionComponent]:
    r"""Make a component of the low, the middle and the high levels each.

    At low noise a row is compared with the rows around it: errors are added as logarithms,
    because several entries that are each a little off say as much as one that is far off. So
    they are in the middle, where the row itself stays free of noise, which asks where the denoiser
    would move it. At high noise only what is far out is left; there the plain sum of the entries
    that keep distances is taken, so that far out is loud.

    Parameters
    ----------
    levels, noise : Tensor
        Noise levels and the noise at each.
    distances : bool Tensor of shape (seen,)
        Entries that tell how far out a cell is; not ranks.
    """
    low, high = levels < LOW, levels > HIGH
    middle = ~low & ~high
    everything = torch.ones_like(distances)
    made = [
        ReconstructionComponent(levels[low], noise[low], everything, True),
        ReconstructionComponent(
            levels[middle], torch.zeros_like(noise[middle][:, :1]), everything, True
        ),
        ReconstructionComponent(levels[high], noise[high], distances, False),
    ]
    return [component for component in made if len(component.levels)]
