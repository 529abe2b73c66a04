"""Which entries training shows without noise: what the denoiser then knows how to complete."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Maps the share to show of each row, of shape (row,), to masks of shape (row, *event).
DrawGiven = Callable[[Tensor, torch.Generator], Tensor]


def entry_masks(event_shape: tuple[int, ...]) -> DrawGiven:
    """Show single entries, whatever they belong to."""
    return part_masks(torch.arange(torch.Size(event_shape).numel()).reshape(event_shape))


def part_masks(parts: Int[Tensor, "*event"]) -> DrawGiven:
    r"""Show whole parts, such as all coordinates of one column.

    Parameters
    ----------
    parts : int Tensor of shape (\*event,)
        The number of each entry's part, from 0.

    Returns
    -------
    draw : callable
        Maps the share of parts to show of each row, and a generator, to masks of shape
        (row, \*event).
    """
    n_parts = int(parts.max()) + 1

    def draw(share: Float[Tensor, "row"], generator) -> Bool[Tensor, "row *event"]:
        return (torch.rand(len(share), n_parts, generator=generator) < share[:, None])[:, parts]

    return draw
