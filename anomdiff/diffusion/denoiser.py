"""The denoiser: the posterior mean of clean data given a noisy copy, and the loss it learns by."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

__all__ = ["Denoiser", "denoising_loss"]


class Denoiser(nn.Module):
    r"""Posterior mean of clean data of unit variance, given a noisy copy of it.

    Wraps a raw network :math:`F` in the EDM preconditioning at
    :math:`\sigma_{data} = 1`, so that :math:`F` sees inputs and targets of unit
    variance at every noise level:

    .. math:: D(x; \sigma) = \frac{x}{1 + \sigma^2} + \frac{\sigma}{\sqrt{1 + \sigma^2}}
        F\Big(\frac{x}{\sqrt{1 + \sigma^2}}, \tfrac14 \ln \sigma\Big)

    Entries marked ``given`` carry no noise: they are shown to :math:`F` as they
    are and come back unchanged. This is how the one model imputes, repairs and
    forecasts.

    The network runs in the type of its own weights, the formula around it in the
    type of ``noisy``: with float64 input the small difference between the denoised
    and the clean row keeps its digits.

    Parameters
    ----------
    network : nn.Module
        Called as ``network(x, given, c_noise)``; returns the shape of ``x``.

    References
    ----------
    Karras et al. (2022), eq. 7 and table 1. https://arxiv.org/abs/2206.00364
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(
        self,
        noisy: Float[Tensor, "row *event"],
        sigma: Float[Tensor, "row"],
        given: Bool[Tensor, "row *event"],
    ) -> Float[Tensor, "row *event"]:
        """Denoise ``noisy``, whose entries hold noise of standard deviation ``sigma``."""
        s = _per_row(sigma, noisy)
        scale = (1 + s**2).rsqrt()
        x = torch.where(given, noisy, scale * noisy)
        residual = self.network(x.to(self.dtype), given, (sigma.log() / 4).to(self.dtype))
        return torch.where(given, noisy, scale**2 * noisy + s * scale * residual.to(noisy))

    @property
    def shape(self) -> dict[str, int]:
        """Parameters that build a network of the same shape."""
        return self.network.shape  # type: ignore[return-value]

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the network's weights (float32 for a network without any)."""
        return next((p.dtype for p in self.network.parameters()), torch.float32)


def denoising_loss(
    denoiser: nn.Module,
    values: Float[Tensor, "row *event"],
    scored: Bool[Tensor, "row *event"],
    sigma: Float[Tensor, "row"],
    noise: Float[Tensor, "row *event"],
    given: Bool[Tensor, "row *event"],
) -> Float[Tensor, ""]:
    r"""Mean weighted squared error of the denoised entries.

    The weight :math:`(1 + \sigma^2) / \sigma^2` makes every noise level count the
    same: the network's own target has unit variance at each.

    Parameters
    ----------
    denoiser : nn.Module
        Called as ``denoiser(noisy, sigma, given)``.
    values : float Tensor of shape (row, \*event)
        Clean encoded rows.
    scored : bool Tensor of shape (row, \*event)
        Entries that count: observed ones.
    sigma : float Tensor of shape (row,)
        Noise level of each row, in standard deviations.
    noise : float Tensor of shape (row, \*event)
        Standard normal noise.
    given : bool Tensor of shape (row, \*event)
        Entries shown without noise; they do not count.

    Returns
    -------
    loss : float Tensor, scalar
        Dimensionless; 1 for the network that always returns zero.

    References
    ----------
    Karras et al. (2022), eq. 8 and table 1. https://arxiv.org/abs/2206.00364
    """
    s = _per_row(sigma, values)
    noisy = torch.where(given, values, values + s * noise)
    counted = scored & ~given
    error = (denoiser(noisy, sigma, given) - values) ** 2 * (1 + s**-2)
    return torch.where(counted, error, 0.0).sum() / counted.sum().clamp(min=1)


def _per_row(sigma: Tensor, like: Tensor) -> Tensor:
    """Reshape one number per row so that it broadcasts over events of any shape."""
    return sigma.to(like).reshape(-1, *[1] * (like.ndim - 1))
