"""Closed forms that the trained and numeric parts are compared with."""

import torch
from torch import nn


class Zero(nn.Module):
    """The network that predicts nothing: optimal for independent unit Gaussian data."""

    def forward(self, x, given, c_noise):
        return torch.zeros_like(x)


class ExactDenoiser(nn.Module):
    """Exact posterior mean when the data distribution is some rows themselves.

    Karras et al. (2022), appendix B.3, eq. 57.
    """

    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, noisy, sigma, given):
        rows = self.rows.to(noisy).flatten(1)
        squares = (noisy.flatten(1)[:, None] - rows).square().sum(2)
        weights = (-squares / (2 * sigma.to(noisy)[:, None] ** 2)).softmax(1)
        return (weights @ rows).reshape(noisy.shape)


class GaussianDenoiser(nn.Module):
    """Exact posterior mean for Gaussian data, also when some entries are given without noise."""

    def __init__(self, mean, covariance):
        super().__init__()
        self.mean, self.covariance = mean, covariance

    def forward(self, noisy, sigma, given):
        noise = torch.where(given, 0.0, sigma[:, None] ** 2).to(noisy)
        gain = self.covariance @ torch.linalg.inv(self.covariance + torch.diag_embed(noise))
        return self.mean + (gain @ (noisy - self.mean)[:, :, None])[:, :, 0]


def correlated_gaussian(n, correlation=0.8, seed=0):
    """Draw rows of two correlated unit Gaussian columns; also give their covariance."""
    covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return rows @ torch.linalg.cholesky(covariance).T, covariance
