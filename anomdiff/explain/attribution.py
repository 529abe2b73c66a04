"""Which columns are to blame: replace one by what the others suggest, see how far the score falls.

What the others suggest comes from the network (`expected_parts`) and from the remembered rows
that are nearest without the column (`nearest_without`). A row of *suggestions* holds one for every
part at a time; `with_one_replaced` takes them over one by one.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

# Distances held at once: rows x remembered rows x parts.
DISTANCES_AT_ONCE = 2**24
# Squared distance, in standard deviations, from which a part is simply another: how far off a
# corrupted cell is must not decide which rows are near.
MOST_APART = 4.0**2
# Values beyond this are as good as infinite, and their squares would cost the others their digits.
MOST_AWAY = 30.0
# Squared distance below which a row is a copy.
COPY = 1e-9

Score = Callable[[Tensor, Tensor], Tensor]


@torch.inference_mode()
def expected_parts(
    denoiser: nn.Module,
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    parts: Bool[Tensor, "part *event"],
    sigma: float,
) -> Float[Tensor, "row *event"]:
    r"""What the network expects of each part, given all the others.

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
    expected : float Tensor of shape (row, \*event)
        Every part is expected given the row's other parts as they are; entries of no
        part stay what they are.
    """
    level = values.new_full((len(values),), sigma)
    expected = values
    for part in parts:
        given = observed & ~part
        redrawn = denoiser(torch.where(given, values, 0.0), level, given)
        expected = torch.where(part, redrawn, expected)
    return expected


@torch.inference_mode()
def nearest_without(
    memory: Float[Tensor, "memory coord"],
    values: Float[Tensor, "row coord"],
    observed: Bool[Tensor, "row coord"],
    parts: Bool[Tensor, "part coord"],
    k: int,
    shy: Bool[Tensor, "memory"],
) -> Int[Tensor, "place row near"]:
    r"""Remembered rows nearest to each row when one part is not looked at.

    The distance is a sum over parts, each of which adds ``MOST_APART`` at most.

    Parameters
    ----------
    memory : float Tensor of shape (memory, coord)
        Remembered rows.
    values : float Tensor of shape (row, coord)
        Rows.
    observed : bool Tensor of shape (row, coord)
        Entries that count.
    parts : bool Tensor of shape (part, coord)
        Entries of each part.
    k : int
        Number of neighbours; all where there are fewer.
    shy : bool Tensor of shape (memory,)
        Remembered rows that are no neighbours of a copy of themselves.

    Returns
    -------
    nearest : int Tensor of shape (part + 1, row, k)
        Their numbers, the nearest first. The last place is for the rows that are
        nearest when all parts are looked at.
    """
    k = min(k, len(memory))
    at_once = max(1, DISTANCES_AT_ONCE // (len(memory) * len(parts)))
    x = torch.where(observed, values, 0.0).clamp(-MOST_AWAY, MOST_AWAY)
    blocks = []
    for block, seen in zip(x.split(at_once), observed.split(at_once), strict=True):
        apart = [_apart(block[:, part], memory[:, part], seen[:, part]) for part in parts]
        total = sum(apart)
        own = total.argmin(1, keepdim=True)
        copies = (total.gather(1, own) < COPY) & shy[own]
        total.scatter_(1, own, torch.where(copies, torch.inf, total.gather(1, own)))
        found = [(total - each).topk(k, largest=False).indices for each in [*apart, 0.0]]
        blocks.append(torch.stack(found))
    return torch.cat(blocks, dim=1)


def with_one_replaced(
    values: Float[Tensor, "row *event"] | Bool[Tensor, "row *event"],
    suggested: Float[Tensor, "row *event"] | Bool[Tensor, "row *event"],
    parts: Bool[Tensor, "part *event"],
) -> Float[Tensor, "copy *event"] | Bool[Tensor, "copy *event"]:
    r"""Each row once per part, that part replaced.

    Parameters
    ----------
    values, suggested : Tensor of shape (row, \*event)
        Rows, and what to put in.
    parts : bool Tensor of shape (part, \*event)
        Entries of each part.

    Returns
    -------
    copies : Tensor of shape (part \* row, \*event)
        All rows with the first part replaced, then those with the second, and so on.
    """
    return torch.where(parts[:, None], suggested, values).flatten(0, 1)


def scores_with_one_replaced(
    score: Score,
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    suggested: tuple[Tensor, Tensor],
    parts: Bool[Tensor, "part *event"],
) -> Float[Tensor, "row part"]:
    r"""Score of each row when one part is replaced.

    Parameters
    ----------
    score : callable
        Maps ``(values, observed)`` to one score per row.
    values, observed : Tensor of shape (row, \*event)
        Encoded rows, and which entries are not missing.
    suggested : pair of Tensor of shape (row, \*event)
        Values and observed to put in.
    parts : bool Tensor of shape (part, \*event)
        Entries of each part.

    Returns
    -------
    scores : float Tensor of shape (row, part)
        In units of the score.
    """
    pairs = zip((values, observed), suggested, strict=True)
    copies = (with_one_replaced(old, new, parts) for old, new in pairs)
    return score(*copies).reshape(len(parts), len(values)).T


def shares_of_score(
    scores: Float[Tensor, "row"], drops: Float[Tensor, "row part"]
) -> Float[Tensor, "row part"]:
    r"""Divide each score among the parts in proportion to how far it falls without each.

    .. math:: c_j = s \, \frac{\max(d_j, 0)}{\sum_i \max(d_i, 0)}, \qquad \sum_j c_j = s

    Drops by themselves do not add up: two corrupted cells hide behind each other, and
    none alone takes the score down to that of a normal row. A row no stranger than a
    typical normal one (:math:`s \le 0`) has no one to blame, nor has one whose score no
    part lowers: there all parts share alike.

    Parameters
    ----------
    scores : float Tensor of shape (row,)
        Scores, 0 for a typical normal row.
    drops : float Tensor of shape (row, part)
        How far the score falls when a part is replaced; negative where it rises.

    Returns
    -------
    shares : float Tensor of shape (row, part)
        Contributions in units of the score; they add up to it.
    """
    blame = torch.where(scores[:, None] > 0, drops.clamp(min=0), 0.0)
    blame = torch.where(blame.sum(1, keepdim=True) > 0, blame, 1.0)
    return scores[:, None] * blame / blame.sum(1, keepdim=True)


def _apart(x: Tensor, memory: Tensor, seen: Tensor) -> Tensor:
    """Squared distances of one part, of shape (row, memory), none above MOST_APART."""
    squares = x.square().sum(1, keepdim=True) + seen.to(x) @ memory.T.square()
    return squares.addmm(x, memory.T, alpha=-2).clamp(0, MOST_APART)
