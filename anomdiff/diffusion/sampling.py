"""Drawing new events: noise goes in, the denoiser's slope leads back to data.

Remembered events help at both ends. They say where to start (`neighbour_weights`, `pick`), and
their means given some entries (`neighbour_means`, `gaussian_means`) are exact under two simple
models of the data, which a network with few training rows does not reach.
"""

import itertools
from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

# Pairs of events compared at once: their distances should stay in the CPU's cache.
PAIRS_AT_ONCE = 2**20
# The furthest neighbour that counts lies this many bandwidths away.
BANDWIDTHS = 2.0
# Added to the variance of every entry, of unit variance itself: no two entries are the same.
JITTER = 1e-2


@torch.inference_mode()
def sample(
    denoiser: nn.Module,
    values: Float[Tensor, "row *event"],
    given: Bool[Tensor, "row *event"],
    levels: Float[Tensor, "level"],
    generator: torch.Generator,
    start: Float[Tensor, "row *event"] | float = 0.0,
) -> Float[Tensor, "row *event"]:
    r"""Draw the entries that are not given, conditioned on those that are.

    Solves the probability-flow equation :math:`dx / d\sigma = (x - D(x; \sigma)) / \sigma`
    from the largest level down to zero with Heun's second-order method. With nothing
    given this generates whole events; with some entries given it imputes.

    With a ``start`` the largest level need not be large: an event that is noised and then
    denoised is another draw from the same distribution, the more like the first the lower
    the level.

    Parameters
    ----------
    denoiser : nn.Module
        Called as ``denoiser(noisy, sigma, given)``, in evaluation mode.
    values : float Tensor of shape (row, \*event)
        Given entries in standard deviations; the others are not looked at.
    given : bool Tensor of shape (row, \*event)
        Entries to keep.
    levels : float Tensor of shape (level,)
        Strictly decreasing noise levels, such as those of ``karras_levels``.
    generator : torch.Generator
        Source of the starting noise, the only randomness.
    start : float Tensor of shape (row, \*event), default=0.0
        Events that the noise is added to, such as remembered ones.

    Returns
    -------
    events : float Tensor of shape (row, \*event)
        Given entries unchanged, the others drawn.

    Raises
    ------
    ValueError
        If ``levels`` do not decrease.

    References
    ----------
    Karras et al. (2022), algorithm 1. https://arxiv.org/abs/2206.00364
    Partial noise: Meng et al. (2022), "SDEdit", section 3.
    """
    if (levels.diff() >= 0).any():
        raise ValueError(f"levels must decrease strictly; got {levels.tolist()}.")
    steps = [*levels.tolist(), 0.0]
    noise = torch.randn(values.shape, generator=generator).to(values)
    x = torch.where(given, values, start + steps[0] * noise)
    for sigma, lower in itertools.pairwise(steps):
        slope = _slope(denoiser, x, sigma, given)
        ahead = x + (lower - sigma) * slope
        if lower > 0:  # the last step is Euler's: the slope has no value at zero noise
            slope = (slope + _slope(denoiser, ahead, lower, given)) / 2
        x = torch.where(given, values, x + (lower - sigma) * slope)
    return x


def neighbour_weights(
    memory: Float[Tensor, "memory entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
    k: int,
    lacking: Bool[Tensor, "memory entry"] | None = None,
) -> Iterator[tuple[slice, Float[Tensor, "block memory"]]]:
    r"""Yield blocks of rows with the weights of the remembered events, given some entries.

    These are the weights of the empirical denoiser where the other entries hold infinite
    noise and the given ones a bandwidth that is local, half the distance to the ``k``-th
    neighbour:

    .. math:: w = \mathrm{softmax}_{i \in kNN}\big(-|x - x_i|^2_{given} / 2 h^2\big)

    Parameters
    ----------
    memory : float Tensor of shape (memory, entry)
        Remembered events, flat.
    values : float Tensor of shape (row, entry)
        Given entries; the others are not looked at.
    given : bool Tensor of shape (row, entry)
        Entries that count.
    k : int
        Number of neighbours; all that are as near as the last count too.
    lacking : bool Tensor of shape (memory, entry), optional
        Entries that are missing in the memory. Events that lack what a row wants count only
        where no other does.

    Yields
    ------
    block : slice
        Rows.
    weights : float Tensor of shape (block, memory)
        Weights that sum to 1 per row.
    """
    squares = memory.square().T
    at_once = max(1, PAIRS_AT_ONCE // len(memory))
    for first in range(0, len(values), at_once):
        block = slice(first, min(first + at_once, len(values)))
        seen = given[block].to(memory)
        x = values[block] * seen
        distances = (x**2).sum(1, keepdim=True) - 2 * x @ memory.T + seen @ squares
        distances = distances.clamp(min=0)
        if lacking is not None:
            lacks = (1 - seen) @ lacking.to(memory).T
            distances += lacks * (1 + distances.max())
        furthest = distances.kthvalue(min(k, len(memory)), dim=1, keepdim=True).values
        variance = furthest.clamp(min=1e-12) / BANDWIDTHS**2
        near = distances <= furthest * (1 + 1e-9) + 1e-9
        yield block, torch.where(near, -distances / variance / 2, -torch.inf).softmax(dim=1)


def neighbour_means(
    memory: Float[Tensor, "memory entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
    k: int,
    lacking: Bool[Tensor, "memory entry"],
) -> Float[Tensor, "row entry"]:
    """Mean of every entry under ``neighbour_weights``, over the events that have it."""
    there = (~lacking).to(memory)
    means = torch.empty_like(values)
    for block, weights in neighbour_weights(memory, values, given, k):
        known = weights @ there
        means[block] = weights @ (memory * there) / known.clamp(min=1e-12)
        means[block] = torch.where(known > 0, means[block], memory.mean(0))
    return means


def pick(
    memory: Float[Tensor, "memory entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
    k: int,
    lacking: Bool[Tensor, "memory entry"],
    n_draws: int,
    generator: torch.Generator,
) -> Int[Tensor, "draw row"]:
    """Draw remembered events for each row with the probabilities of ``neighbour_weights``."""
    blocks = neighbour_weights(memory, values, given, k, lacking)
    picked = [
        torch.multinomial(weights, n_draws, replacement=True, generator=generator)
        for _, weights in blocks
    ]
    return torch.cat(picked).T if picked else torch.empty(n_draws, 0, dtype=torch.long)


def recombine(
    memory: Float[Tensor, "memory entry"],
    picked: Int[Tensor, "group row"],
    group: Int[Tensor, "entry"],
) -> Float[Tensor, "row entry"]:
    """Events that have each group of entries from another remembered event."""
    return memory.T.gather(1, picked[group]).T


def dependent_groups(
    memory: Float[Tensor, "memory entry"], part: Int[Tensor, "entry"], least: float
) -> Int[Tensor, "entry"]:
    r"""Group the parts of an event of which one says much about the other.

    Two parts belong together if one explains at least the share ``least`` of the variance of
    the other by linear regression, chance taken off, or if a third belongs with both.

    Parameters
    ----------
    memory : float Tensor of shape (memory, entry)
        Events, flat.
    part : int Tensor of shape (entry,)
        The number of each entry's part, from 0.
    least : float
        Share of the variance, in (0, 1).

    Returns
    -------
    group : int Tensor of shape (entry,)
        The number of each entry's group, from 0.
    """
    covariance = memory.T.cov(correction=0).reshape(2 * memory.shape[1:])
    masks = [part == number for number in range(int(part.max()) + 1)]
    variance = torch.stack([covariance.diagonal()[own].sum() for own in masks]).clamp(min=1e-12)
    explained = torch.empty(len(masks), len(masks)).to(memory)
    for i, own in enumerate(masks):
        gain = torch.linalg.pinv(covariance[own][:, own], hermitian=True) @ covariance[own]
        by_entry = (gain * covariance[own]).sum(0)
        share = torch.stack([by_entry[other].sum() for other in masks]) / variance
        chance = min(int(own.sum()) / len(memory), 0.5)
        explained[i] = (share - chance) / (1 - chance)
    linked = (explained >= least) | (explained.T >= least) | torch.eye(len(masks)).bool()
    for _ in masks:
        linked = (linked.float() @ linked.float()) > 0
    first = linked.float().argmax(dim=1)
    return first.unique(return_inverse=True)[1][part]


def gaussian_means(
    memory: Float[Tensor, "memory entry"],
    values: Float[Tensor, "row entry"],
    given: Bool[Tensor, "row entry"],
) -> Float[Tensor, "row entry"]:
    r"""Mean of every entry given some, if the events were Gaussian like the remembered ones.

    .. math:: \mu + S_{\cdot g} (S_{gg} + \epsilon I)^{-1} (x_g - \mu_g)
    """
    mean, covariance = memory.mean(0), memory.T.cov().reshape(2 * memory.shape[1:])
    means = mean.expand_as(values).clone()
    patterns, place, counts = given.unique(dim=0, return_inverse=True, return_counts=True)
    for seen, rows in zip(patterns, place.argsort().split(counts.tolist()), strict=True):
        known = covariance[seen][:, seen] + JITTER * torch.eye(int(seen.sum())).to(memory)
        gain = torch.linalg.solve(known, covariance[seen])
        means[rows] += (values[rows][:, seen] - mean[seen]) @ gain
    return means


def _slope(denoiser: nn.Module, x: Tensor, sigma: float, given: Tensor) -> Tensor:
    """Dx / dsigma along the probability flow."""
    return (x - denoiser(x, x.new_full((len(x),), sigma), given)) / sigma
