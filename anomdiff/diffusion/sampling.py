"""Heun's sampler: noise goes in, the denoiser's slope leads back to data."""

import itertools

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

__all__ = ["sample"]


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
        Events that the noise is added to, such as reference rows.

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


def _slope(denoiser: nn.Module, x: Tensor, sigma: float, given: Tensor) -> Tensor:
    """Dx / dsigma along the probability flow."""
    return (x - denoiser(x, x.new_full((len(x),), sigma), given)) / sigma
