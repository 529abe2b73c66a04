"""Closed forms that the trained and numeric parts are compared with."""

import torch
from torch import nn


class Zero(nn.Module):
    """The network that predicts nothing: optimal for independent unit Gaussian data."""

    def forward(self, x, given, c_noise):
        return torch.zeros_like(x)


class GaussianDenoiser(nn.Module):
    """Exact posterior mean for Gaussian data, also when some entries are given without noise."""

    def __init__(self, mean, covariance):
        super().__init__()
        self.mean, self.covariance = mean, covariance

    def forward(self, noisy, sigma, given):
        rows = zip(noisy, sigma, given, strict=True)
        return torch.stack([self._row(x, s, g) for x, s, g in rows])

    def _row(self, x, sigma, given):
        noise = torch.diag(torch.where(given, 0.0, sigma**2).to(x))
        gain = self.covariance @ torch.linalg.inv(self.covariance + noise)
        return self.mean + gain @ (x - self.mean)


def correlated_gaussian(n, correlation=0.8, seed=0):
    """Draw rows of two correlated unit Gaussian columns; also give their covariance."""
    covariance = torch.tensor([[1.0, correlation], [correlation, 1.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return rows @ torch.linalg.cholesky(covariance).T, covariance
