"""Partial-noise reconstruction errors: noise a row a little, denoise it in one step, measure."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

__all__ = ["reconstruction_errors", "row_errors", "row_sizes"]

# Denoiser calls are cut into blocks of at most this many rows: larger ones leave the CPU's caches.
BLOCK_ROWS = 1024


@torch.inference_mode()
def reconstruction_errors(
    denoiser: nn.Module,
    values: Float[Tensor, "row *event"],
    observed: Bool[Tensor, "row *event"],
    levels: Float[Tensor, "level"],
    noise: Float[Tensor, "level draw *event"],
) -> Float[Tensor, "row level *event"]:
    r"""Squared denoising error of each entry at each level, averaged over the draws.

    Every error is divided by :math:`\sigma^2 / (1 + \sigma^2)`, its expectation
    on unit Gaussian data.

    Parameters
    ----------
    denoiser : nn.Module
        Called as ``denoiser(noisy, sigma, given)``, in evaluation mode.
    values : float Tensor of shape (row, \*event)
        Encoded rows or windows, in standard deviations; pass float64, or the
        small differences lose their digits.
    observed : bool Tensor of shape (row, \*event)
        False where the source cell is missing.
    levels : float Tensor of shape (level,)
        Noise levels, in standard deviations.
    noise : float Tensor of shape (level, draw, \*event)
        Standard normal noise, the same for every row; zeros with one draw for noise-free
        input, which asks where the denoiser would move the clean row.

    Returns
    -------
    errors : float Tensor of shape (row, level, \*event)
        Dimensionless, at least 0, and 0 where not observed.

    Raises
    ------
    ValueError
        If the noise has another number of levels or event shape.

    References
    ----------
    Partial noising: Wyatt et al. (2022), "AnoDDPM". Level weight:
    Karras et al. (2022), table 1, :math:`\lambda(\sigma)`.
    """
    levels, noise = levels.to(values), noise.to(values)
    if noise.shape[0] != len(levels) or noise.shape[2:] != values.shape[1:]:
        raise ValueError(
            f"noise must have shape (level, draw, *event) with {len(levels)} levels and "
            f"event shape {tuple(values.shape[1:])}; got {tuple(noise.shape)}."
        )
    rows_at_once = max(1, BLOCK_ROWS // (noise.shape[0] * noise.shape[1]))
    errors = [_errors(denoiser, block, levels, noise) for block in values.split(rows_at_once)]
    return torch.where(observed[:, None], torch.cat(errors), 0.0)


def row_errors(
    errors: Float[Tensor, "row level *event"], share: Float[Tensor, "row"]
) -> Float[Tensor, "row level"]:
    r"""Sum of the logarithms of a row's squared errors, as if all its entries were observed.

    :math:`\sum_j \ln(1 + e_j)` is sensitive to several entries that are each a little off as
    well as to one that is far off; the plain sum depends on the furthest alone.

    Parameters
    ----------
    errors : float Tensor of shape (row, level, \*event)
        Squared errors, 0 where not observed.
    share : float Tensor of shape (row,)
        Share of the row that is observed, above 0 and at most 1.

    Returns
    -------
    errors : float Tensor of shape (row, level)
        At least 0.
    """
    return errors.flatten(2).log1p().sum(2) / share[:, None]


def row_sizes(
    errors: Float[Tensor, "row level *event"], share: Float[Tensor, "row"]
) -> Float[Tensor, "row level"]:
    """Root of the sum of a row's squared errors, as if all its entries were observed.

    Unlike ``row_errors`` it grows with how far off the furthest entry is. Parameters and shapes
    are those of ``row_errors``.
    """
    return (errors.flatten(2).sum(2) / share[:, None]).sqrt()


def _errors(denoiser: nn.Module, values: Tensor, levels: Tensor, noise: Tensor) -> Tensor:
    """All levels and draws of a few rows in one call, which also keeps single rows fast."""
    event = values.shape[1:]
    spread = levels.reshape(-1, *[1] * (noise.ndim - 1))
    noisy = values[:, None, None] + spread * noise
    sigma = levels[:, None].expand(noise.shape[:2]).expand(noisy.shape[:3])
    nothing = torch.zeros((), dtype=torch.bool, device=values.device)
    flat = noisy.reshape(-1, *event)
    denoised = denoiser(flat, sigma.reshape(-1), nothing.expand(flat.shape)).reshape(noisy.shape)
    return ((denoised - values[:, None, None]) ** 2 * (1 + spread**-2)).mean(2)
