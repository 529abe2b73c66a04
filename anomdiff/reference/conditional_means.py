"""What entries of an event are likely to be, given others, by the events of a reference set.

The means (`neighbour_means`, `gaussian_means`) are exact under two simple models of the data, which
a network with few training rows does not reach; `pick` and `recombine` say where a draw may start.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomdiff.reference.nearest import PAIRS_AT_ONCE

__all__ = [
    "dependent_groups",
    "gaussian_means",
    "nearest_distances",
    "neighbour_means",
    "neighbour_weights",
    "pick",
    "recombine",
]

# Events whose distances to all reference events are looked at together.
EVENTS_AT_ONCE = 256
# The furthest neighbour that counts lies this many bandwidths away.
FURTHEST = 2.0
# Added to the variance of every entry, of unit variance itself: no two entries are the same.
JITTER = 1e-2


def neighbour_weights(
    reference: Float[Tensor, "reference entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
    k: int,
    missing: Bool[Tensor, "reference entry"] | None = None,
) -> Iterator[tuple[slice, Float[Tensor, "block reference"]]]:
    r"""Yield blocks of rows with the weights of the reference events, given some entries.

    These are the weights of the empirical denoiser where the other entries hold infinite
    noise and the given ones a bandwidth that is local, half the distance to the ``k``-th
    neighbour:

    .. math:: w = \mathrm{softmax}_{i \in kNN}\big(-|x - x_i|^2_{given} / 2 h^2\big)

    All events that are as near as the ``k``-th count too. Events in which entries are
    ``missing`` that a row wants count only where no other does.
    """
    squares = reference.square().T
    at_once = max(1, PAIRS_AT_ONCE // len(reference))
    for first in range(0, len(values), at_once):
        block = slice(first, min(first + at_once, len(values)))
        seen = given[block].to(reference)
        x = values[block] * seen
        distances = (x**2).sum(1, keepdim=True) - 2 * x @ reference.T + seen @ squares
        distances = distances.clamp(min=0)
        if missing is not None:
            lacks = (1 - seen) @ missing.to(reference).T
            distances += lacks * (1 + distances.max())
        furthest = distances.kthvalue(min(k, len(reference)), dim=1, keepdim=True).values
        variance = furthest.clamp(min=1e-12) / FURTHEST**2
        near = distances <= furthest * (1 + 1e-9) + 1e-9
        yield block, torch.where(near, -distances / variance / 2, -torch.inf).softmax(dim=1)


def neighbour_means(
    reference: Float[Tensor, "reference entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
    k: int,
    missing: Bool[Tensor, "reference entry"],
) -> Float[Tensor, "row entry"]:
    """Mean of every entry under ``neighbour_weights``, over the events that have it."""
    there = (~missing).to(reference)
    means = torch.empty_like(values)
    for block, weights in neighbour_weights(reference, values, given, k):
        known = weights @ there
        means[block] = weights @ (reference * there) / known.clamp(min=1e-12)
        means[block] = torch.where(known > 0, means[block], reference.mean(0))
    return means


def pick(
    reference: Float[Tensor, "reference entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
    k: int,
    n_draws: int,
    generator: torch.Generator,
    missing: Bool[Tensor, "reference entry"] | None = None,
) -> Int[Tensor, "draw row"]:
    """Draw reference events for each row with the probabilities of ``neighbour_weights``."""
    blocks = neighbour_weights(reference, values, given, k, missing)
    picked = [
        torch.multinomial(weights, n_draws, replacement=True, generator=generator)
        for _, weights in blocks
    ]
    return torch.cat(picked).T if picked else torch.empty(n_draws, 0, dtype=torch.long)


def recombine(
    reference: Float[Tensor, "reference entry"],
    picked: Int[Tensor, "group row"],
    group: Int[Tensor, "entry"],
) -> Float[Tensor, "row entry"]:
    """Events that have each group of entries from another reference event."""
    return reference.T.gather(1, picked[group]).T


def dependent_groups(
    reference: Float[Tensor, "reference entry"], part: Int[Tensor, "entry"], least: float
) -> Int[Tensor, "entry"]:
    """Number, from 0, the groups of the parts of an event of which one says much about the other.

    Two parts belong together if one explains at least the share ``least`` of the variance of
    the other by linear regression, chance taken off, or if a third belongs with both.
    """
    covariance = reference.T.cov(correction=0).reshape(2 * reference.shape[1:])
    masks = [part == number for number in range(int(part.max()) + 1)]
    variance = torch.stack([covariance.diagonal()[own].sum() for own in masks]).clamp(min=1e-12)
    explained = torch.empty(len(masks), len(masks)).to(reference)
    for i, own in enumerate(masks):
        gain = torch.linalg.pinv(covariance[own][:, own], hermitian=True) @ covariance[own]
        by_entry = (gain * covariance[own]).sum(0)
        share = torch.stack([by_entry[other].sum() for other in masks]) / variance
        chance = min(int(own.sum()) / len(reference), 0.5)
        explained[i] = (share - chance) / (1 - chance)
    linked = (explained >= least) | (explained.T >= least) | torch.eye(len(masks)).bool()
    for _ in masks:
        linked = (linked.float() @ linked.float()) > 0
    first = linked.float().argmax(dim=1)
    return first.unique(return_inverse=True)[1][part]


def gaussian_means(
    reference: Float[Tensor, "reference entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
) -> Float[Tensor, "row entry"]:
    r"""Mean of every entry given some, if the events were Gaussian like the reference events.

    .. math:: \mu + S_{\cdot g} (S_{gg} + \epsilon I)^{-1} (x_g - \mu_g)
    """
    mean, covariance = reference.mean(0), reference.T.cov().reshape(2 * reference.shape[1:])
    means = mean.expand_as(values).clone()
    patterns, place, counts = given.unique(dim=0, return_inverse=True, return_counts=True)
    for seen, rows in zip(patterns, place.argsort().split(counts.tolist()), strict=True):
        known = covariance[seen][:, seen] + JITTER * torch.eye(int(seen.sum())).to(reference)
        gain = torch.linalg.solve(known, covariance[seen])
        means[rows] += (values[rows][:, seen] - mean[seen]) @ gain
    return means


def nearest_distances(
    events: Float[Tensor, "row entry"], reference: Float[Tensor, "reference entry"]
) -> Float[Tensor, "row"]:
    """Distance of each event to the nearest reference event."""
    blocks = events.split(EVENTS_AT_ONCE)
    return torch.cat([torch.cdist(block, reference).min(1).values for block in blocks])
