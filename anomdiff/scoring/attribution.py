"""Which columns are to blame: redraw one from the others and see how far the score falls."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


@torch.inference_mode()
def expected_parts(
    denoiser: nn.Module,
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    parts: Bool[Tensor, "part *event"],
    sigma: float,
) -> Float[Tensor, "part row *event"]:
    r"""Each row once per part, that part replaced by what the rest lets one expect.

    At a high noise level the noisy part says next to nothing, so that the denoised
    part is its mean given the other entries.

    Parameters
    ----------
    denoiser : nn.Module
        Called as ``denoiser(noisy, sigma, given)``, in evaluation mode.
    values : float Tensor of shape (row, \*event)
        Encoded rows.
    observed : bool Tensor of shape (row, \*event)
        False where the source cell is missing; such entries are never given.
    parts : bool Tensor of shape (part, \*event)
        Entries that make up each part, such as the coordinates of one column.
    sigma : float
        Noise level of the redrawn part, in standard deviations; the highest of training.

    Returns
    -------
    expected : float Tensor of shape (part, row, \*event)
        The rows with one part replaced in each copy.
    """
    level = values.new_full((len(values),), sigma)
    copies = []
    for part in parts:
        given = observed & ~part
        redrawn = denoiser(torch.where(given, values, 0.0), level, given)
        copies.append(torch.where(part, redrawn, values))
    return torch.stack(copies)


def contributions(
    score: Callable[[Tensor, Tensor], Float[Tensor, "row"]],
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    expected: Float[Tensor, "part row *event"],
) -> Float[Tensor, "row part"]:
    r"""How far the score of each row falls when one part is replaced by its expectation.

    Parameters
    ----------
    score : callable
        Maps ``(values, observed)`` to one score per row.
    values, observed : Tensor of shape (row, \*event)
        Encoded rows.
    expected : float Tensor of shape (part, row, \*event)
        From ``expected_parts``.

    Returns
    -------
    contributions : float Tensor of shape (row, part)
        In units of the score; negative where the replaced row looks stranger.
    """
    before = score(values, observed)
    return torch.stack([before - score(copy, observed) for copy in expected], dim=1)
