"""Which parts contribute to a score: replace one by what the others suggest, see how far it falls.

What the others suggest comes from the network (`expected_parts`) and from the reference rows
that are nearest without the part (`nearest_without`).
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

__all__ = [
    "ATTRIBUTION_SIGMA",
    "expected_parts",
    "nearest_without",
    "scores_with_one_replaced",
    "shares_of_score",
]

# Noise level of a column that is expected from the others, in standard deviations: so high that
# what the network sees of the column itself has a weight of 1 / 17 only, if it is Gaussian.
ATTRIBUTION_SIGMA = 4.0
# Distances held at once: rows x reference rows x parts; 128 MiB.
DISTANCES_AT_ONCE = 2**24
# Entries of copies that the network sees at once.
ENTRIES_AT_ONCE = 2**20
# Largest squared distance, in standard deviations, that a part adds: how far off a corrupted cell
# is must not decide which rows are near.
MAX_DISTANCE = 4.0**2
# Values beyond this are as good as infinite, and their squares would cost the others their digits.
MAX_VALUE = 30.0
# Squared distance below which a row is a copy.
SQUARED_COPY = 1e-9

Score = Callable[[Tensor, Tensor], Tensor]


@torch.inference_mode()
def expected_parts(
    denoiser: nn.Module,
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    parts: Bool[Tensor, "part *event"],
    sigma: float,
) -> Float[Tensor, "row *event"]:
    """What the network expects of each part, such as the coords of a column, given all others.

    At a high noise level the noisy part says next to nothing, so that the denoised part is its
    mean given the other entries. Entries that are not observed are never given; entries of no
    part stay what they are.
    """
    expected = values.clone()
    at_once = max(1, ENTRIES_AT_ONCE // values.numel())
    for some in parts.split(at_once):
        # All rows without the first part, then those without the second, and so on.
        given = (observed & ~some[:, None]).flatten(0, 1)
        x = torch.where(given, values.repeat(len(some), *[1] * (values.ndim - 1)), 0.0)
        denoised = denoiser(x, values.new_full((len(x),), sigma), given)
        for part, found in zip(some, denoised.unflatten(0, (len(some), -1)), strict=True):
            expected[:, part] = found[:, part]
    return expected


@torch.inference_mode()
def nearest_without(
    reference: Float[Tensor, "reference coord"],
    values: Float[Tensor, "row coord"],
    observed: Bool[Tensor, "row coord"],
    parts: Bool[Tensor, "part coord"],
    k: int,
    exclude_self: Bool[Tensor, "reference"],
) -> Int[Tensor, "place row near"]:
    """Numbers of the ``k`` reference rows nearest to each row when one part is left out.

    The distance is a sum over parts, each of which adds ``MAX_DISTANCE`` at most. Those rows
    that ``exclude_self`` marks are no neighbours of a copy of themselves. The nearest come first;
    the last place is for the rows that are nearest when no part is left out.
    """
    k = min(k, len(reference))
    at_once = max(1, DISTANCES_AT_ONCE // (len(reference) * len(parts)))
    x = torch.where(observed, values, 0.0).clamp(-MAX_VALUE, MAX_VALUE)
    blocks, coords = [], parts.nonzero()[:, 1].split(parts.sum(1).tolist())
    columns = [reference.index_select(1, own) for own in coords]
    for block, seen in zip(x.split(at_once), observed.split(at_once), strict=True):
        by_part = torch.stack(
            [
                _distances(block[:, own], column, seen[:, own])
                for own, column in zip(coords, columns, strict=True)
            ]
        )
        total = by_part.sum(0)
        own = total.argmin(1, keepdim=True)
        copies = (total.gather(1, own) < SQUARED_COPY) & exclude_self[own]
        total.scatter_(1, own, torch.where(copies, torch.inf, total.gather(1, own)))
        without = torch.cat([total - by_part, total[None]])
        blocks.append(without.topk(k, largest=False).indices)
    return torch.cat(blocks, dim=1)


def scores_with_one_replaced(
    score: Score,
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    suggested: tuple[Tensor, Tensor],
    parts: Bool[Tensor, "part *event"],
) -> Float[Tensor, "row part"]:
    """Score of each row when one part is replaced by the suggested values and observed."""
    pairs = zip((values, observed), suggested, strict=True)
    # All rows with the first part replaced, then those with the second, and so on.
    copies = (torch.where(parts[:, None], new, old).flatten(0, 1) for old, new in pairs)
    return score(*copies).reshape(len(parts), len(values)).T


def shares_of_score(
    scores: Float[Tensor, "row"], drops: Float[Tensor, "row part"]
) -> Float[Tensor, "row part"]:
    r"""Divide each score among the parts in proportion to how far it falls without each.

    .. math:: c_j = s \, \frac{\max(d_j, 0)}{\sum_i \max(d_i, 0)}, \qquad \sum_j c_j = s

    Drops by themselves do not add up: two corrupted cells hide behind each other, and
    none alone takes the score down to that of a normal row. Where a row scores no more
    than a typical normal one (:math:`s \le 0`), or no part lowers its score, all parts
    contribute alike.
    """
    weights = torch.where(scores[:, None] > 0, drops.clamp(min=0), 0.0)
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, 1.0)
    return scores[:, None] * weights / weights.sum(1, keepdim=True)


def _distances(x: Tensor, reference: Tensor, seen: Tensor) -> Tensor:
    """Squared distances of one part, of shape (row, reference), none above MAX_DISTANCE."""
    squares = x.square().sum(1, keepdim=True) + seen.to(x) @ reference.T.square()
    return squares.addmm(x, reference.T, alpha=-2).clamp(0, MAX_DISTANCE)
