"""How surprising residuals of steps are among those of normal steps."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["ResidualTails"]

# Residuals, in standard deviations, below which differences are rounding.
LEAST_RESIDUAL = 1e-2
# Share of residuals that an exponential tail is fitted to, in logs; its least mean excess.
TAIL_SHARE, LEAST_EXCESS = 0.05, 0.05
TAIL_QUANTILES = 65  # that the rest is kept by
# Surprisals, in nats, count up to this much.
MOST_SURPRISAL = 12.0
# Where training holds anomalies: the quantiles of residuals that a tail is drawn through.
THROUGH = (0.8, 0.9)


@dataclass(frozen=True)
class ResidualTails:
    """How large residuals of normal steps are, by component and channel.

    Parameters
    ----------
    quantiles : float Tensor of shape (component, channel, quantile)
        Of the logs of residuals, ascending, evenly spaced up to where the tail starts.
    excess : float Tensor of shape (component, channel)
        Mean excess of the logs over the last quantile.
    """

    quantiles: Tensor
    excess: Tensor

    @classmethod
    def fit(
        cls, residuals: Float[Tensor, "component step channel"], *, with_anomalies: bool = False
    ) -> "ResidualTails":
        """Fit to residuals of normal steps, NaN where missing.

        ``with_anomalies`` draws the tail through the quantiles below it.
        """
        logs = _logs(residuals)
        levels = torch.linspace(0, 1 - TAIL_SHARE, TAIL_QUANTILES, dtype=logs.dtype)
        quantiles = torch.stack([_quantiles(each, levels) for each in logs])
        if with_anomalies:
            return cls(*_extrapolated(logs, quantiles, levels))
        over = logs - quantiles[:, None, :, -1]
        excess = torch.where(over > 0, over, torch.nan).nanmean(1).nan_to_num(0.0)
        return cls(quantiles, excess.clamp(min=LEAST_EXCESS))

    def surprisals(
        self, residuals: Float[Tensor, "component step channel"]
    ) -> Float[Tensor, "component step channel"]:
        """Minus the log of the share of normal steps with as large a residual; NaN if missing."""
        logs = _logs(residuals).mT.contiguous()
        place = torch.searchsorted(self.quantiles, logs.nan_to_num(0.0)).clamp(
            1, TAIL_QUANTILES - 1
        )
        low, high = (self.quantiles.gather(2, at) for at in (place - 1, place))
        within = ((logs - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        share = 1 - (place - 1 + within) / (TAIL_QUANTILES - 1) * (1 - TAIL_SHARE)
        beyond = (logs - self.quantiles[:, :, -1:]) / self.excess[:, :, None]
        found = -share.log() + beyond.clamp(min=0)
        return torch.where(logs.isnan(), torch.nan, found.clamp(max=MOST_SURPRISAL)).mT


def _extrapolated(logs: Tensor, quantiles: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Quantiles and mean excess of an exponential tail through two quantiles that are normal."""
    low, high = THROUGH
    through = torch.stack([_quantiles(each, torch.tensor(THROUGH)) for each in logs])
    excess = (through[:, :, 1] - through[:, :, 0]) / math.log((1 - low) / (1 - high))
    excess = excess.clamp(min=LEAST_EXCESS)
    beyond = ((1 - high) / (1 - levels)).log().clamp(min=0)
    tail = through[:, :, 1:] + excess[:, :, None] * beyond
    return torch.where(levels > high, quantiles.minimum(tail), quantiles), excess


def _logs(residuals: Tensor) -> Tensor:
    return residuals.double().clamp(min=LEAST_RESIDUAL).log()


def _quantiles(logs: Float[Tensor, "step channel"], levels: Tensor) -> Tensor:
    """Quantiles of each channel, (channel, quantile); 0 for a channel of which nothing is known."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice")
        found = np.nanquantile(logs.numpy(), levels.numpy(), axis=0)
    return torch.from_numpy(found).nan_to_num(0.0).T
