"""How much noise: grids of noise levels, their training distribution, and the noise bank."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "geometric_levels",
    "karras_levels",
    "lognormal_levels",
    "noise_bank",
    "seeded",
    "sign_bank",
]


def karras_levels(
    n_levels: int, sigma_min: float, sigma_max: float, rho: float = 7.0
) -> Float[Tensor, "level"]:
    """Noise levels spaced evenly in ``sigma ** (1 / rho)``, largest first.

    Parameters
    ----------
    n_levels : int
        Number of levels, at least 2.
    sigma_min, sigma_max : float
        Smallest and largest noise level, in standard deviations of the encoded
        data, with ``0 < sigma_min < sigma_max``.
    rho : float, default=7.0
        Spacing exponent; larger values put more levels near ``sigma_min``.

    Returns
    -------
    sigmas : Tensor of shape (n_levels,)
        Strictly decreasing noise levels, float64.

    Raises
    ------
    ValueError
        If there are fewer than two levels or their order is wrong.

    References
    ----------
    Karras et al. (2022), "Elucidating the Design Space of Diffusion-Based
    Generative Models", eq. 5. https://arxiv.org/abs/2206.00364
    """
    _check_range(n_levels, sigma_min, sigma_max)
    ramp = torch.linspace(0, 1, n_levels, dtype=torch.float64)
    start, stop = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return (start + ramp * (stop - start)) ** rho


def geometric_levels(n_levels: int, sigma_min: float, sigma_max: float) -> Float[Tensor, "level"]:
    """Noise levels with a constant ratio, smallest first, float64.

    Raises
    ------
    ValueError
        If there are fewer than two levels, or not ``0 < sigma_min < sigma_max``.
    """
    _check_range(n_levels, sigma_min, sigma_max)
    return torch.logspace(0, 1, n_levels, sigma_max / sigma_min, dtype=torch.float64) * sigma_min


def lognormal_levels(
    n: int, mean: float, std: float, generator: torch.Generator
) -> Float[Tensor, "row"]:
    """Draw one noise level per row, log-normal and stratified.

    One level falls into each of ``n`` slices of equal probability, in random
    order: every batch covers the whole range, which lowers the variance of the loss.

    Parameters
    ----------
    n : int
        Number of levels to draw.
    mean, std : float
        Mean and standard deviation of ``log(sigma)``.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    sigmas : Tensor of shape (n,)
        Noise levels, float32, in random order.

    References
    ----------
    Karras et al. (2022), table 1, "noise distribution". Stratification: Kingma
    et al. (2021), "Variational Diffusion Models", appendix I.1.
    """
    slices = torch.randperm(n, generator=generator) + torch.rand(n, generator=generator)
    quantile = (slices / n).clamp(1e-6, 1 - 1e-6)
    return (mean + std * torch.special.ndtri(quantile)).exp()


def noise_bank(
    n_levels: int, n_draws: int, event_shape: tuple[int, ...], seed: int
) -> Float[Tensor, "level draw *event"]:
    r"""Standard normal noise in antithetic pairs, drawn once and stored with the model.

    All rows share the bank, so a score depends on its row alone. The second half
    of the draws is minus the first, which cancels the odd terms of the error.

    Parameters
    ----------
    n_levels : int
        Number of noise levels.
    n_draws : int
        Draws per level, even.
    event_shape : tuple of int
        Shape of one event.
    seed : int
        Seed of the draws.

    Returns
    -------
    noise : Tensor of shape (n_levels, n_draws, \*event_shape)
        Noise of unit variance, float32, with mean zero over the draws.

    Raises
    ------
    ValueError
        If ``n_draws`` is odd.
    """
    if n_draws % 2:
        raise ValueError(f"n_draws must be even (antithetic pairs); got {n_draws}.")
    half = torch.randn(n_levels, n_draws // 2, *event_shape, generator=seeded(seed))
    return torch.cat([half, -half], dim=1)


def sign_bank(
    n_levels: int, n_draws: int, event_shape: tuple[int, ...], seed: int
) -> Float[Tensor, "level draw *event"]:
    r"""Noise of -1 and 1 in antithetic pairs, drawn once and stored with the model.

    Like ``noise_bank``, but every entry is moved by the same amount in each draw. Few Gaussian
    draws leave some entries of small events almost noise-free, and which ones is chance.

    Parameters
    ----------
    n_levels, n_draws, event_shape, seed
        As of ``noise_bank``.

    Returns
    -------
    noise : Tensor of shape (n_levels, n_draws, \*event_shape)
        Noise of unit variance, float32, with mean zero over the draws.

    Raises
    ------
    ValueError
        If ``n_draws`` is odd.
    """
    return noise_bank(n_levels, n_draws, event_shape, seed).sign()


def seeded(seed: int) -> torch.Generator:
    """Source of randomness that draws the same numbers every time."""
    return torch.Generator().manual_seed(seed)


def _check_range(n_levels: int, sigma_min: float, sigma_max: float) -> None:
    """Refuse a grid that is not one."""
    if n_levels < 2:
        raise ValueError(f"n_levels must be at least 2; got {n_levels}.")
    if not 0 < sigma_min < sigma_max:
        raise ValueError(
            f"need 0 < sigma_min < sigma_max; got sigma_min={sigma_min}, sigma_max={sigma_max}."
        )
