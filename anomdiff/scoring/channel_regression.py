"""The closed form for several channels: what a Gaussian process would put, given the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from anomdiff.encoding.segment import Segment
from anomdiff.reference.sliding_windows import LEAST_SHARE, NOISE, WindowComponent

__all__ = ["ChannelRegression", "n_features"]

# Steps on either side whose means count too, for up to so many channels.
REACH, MOST_CHANNELS = 8, 300
# Noise that the channels carry, in their variances: they may be copies of each other.
CHANNEL_NOISE = 0.01
# Parts of training, in the order of time; each is judged by what is learned of the others.
FOLDS = 5
# Smallest standard deviation of residuals, in standard deviations of the channel.
LEAST_STD = 0.03


class Folds(NamedTuple):
    """What is learned without each of several parts of training, to judge that part."""

    weights: Tensor  # (fold, feature, channel)
    starts: Tensor  # (fold,), the place of the first window of each part


@dataclass(frozen=True, eq=False)
class ChannelRegression(WindowComponent):
    r"""Each channel of a step from the other channels, at that step and around it.

    For Gaussian data this is the posterior mean of a channel given the others, and the limit of
    the denoiser for a channel whose noise grows while the others are given. It is sensitive to a
    channel that no longer goes with the others, however usual its own values are.

    Parameters
    ----------
    weights : float Tensor of shape (feature, channel)
        From the channels at a step, their means before, and after, to residuals.
    scale : float Tensor of shape (channel,)
        Standard deviation of residuals, of parts of training that the weights were not fitted to.
    folds : Folds, optional
        Weights to judge training itself; not stored.

    References
    ----------
    Lauritzen (1996), "Graphical Models", on regressions read from the inverse covariance.
    """

    weights: Tensor
    scale: Tensor
    folds: Folds | None = None

    length = 2 * REACH + 1
    shares = (0.0,)

    @property
    def noise_floor(self) -> float:
        """Squared error below which differences are noise."""
        return NOISE

    @classmethod
    def fit(cls, segments: Sequence[Segment[Tensor]]) -> "ChannelRegression":
        """Fit by ridge regression to the scaled steps of segments, placed apart from each other.

        Where none is long enough, residuals are the channels themselves.
        """
        long = [segment for segment in segments if len(segment) >= cls.length]
        n_channels = segments[0].values.shape[1]
        empty = torch.zeros(0, n_features(n_channels), dtype=torch.float64)
        parts = [_features(segment.values, segment.observed)[0] for segment in long]
        places = [each.start + torch.arange(len(x)) for each, x in zip(long, parts, strict=True)]
        x, starts = torch.cat([empty, *parts]), torch.cat([torch.zeros(0).long(), *places])
        cuts = [part for part in x.tensor_split(FOLDS) if len(part)]
        grams = [part.T @ part for part in cuts]
        whole = sum(grams, torch.zeros(x.shape[1], x.shape[1], dtype=x.dtype))
        without = [
            _weights((whole - gram) / max(1, len(x) - len(part)), n_channels)
            for gram, part in zip(grams, cuts, strict=True)
        ]
        residuals = [part @ weights for part, weights in zip(cuts, without, strict=True)]
        scale = torch.cat([empty[:, :n_channels], *residuals]).square().mean(0).sqrt()
        firsts = starts[torch.tensor([0, *map(len, cuts[:-1])]).cumsum(0)] if cuts else starts
        folds = Folds(torch.stack(without), firsts) if cuts else None
        weights = _weights(whole / max(1, len(x)), n_channels)
        return cls(weights, scale.nan_to_num(1.0).clamp(min=LEAST_STD), folds)

    @property
    def places(self) -> Tensor:
        """The middle step."""
        return torch.tensor([REACH])

    @torch.inference_mode()
    def judge(
        self,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
        starts: Tensor | None = None,
    ) -> tuple[Float[Tensor, "window channel"], Float[Tensor, "window channel 1"]]:
        """Squared residual of the middle step of each window, over the number of channels.

        A channel that is off makes others deviate from what it lets expect of them: the sum over
        channels is divided by how well each of them explains all residuals. And the absolute
        residual by channel; NaN where the step is missing, or half of the others are.
        """
        features, seen = _features(values, observed)
        if starts is None or self.folds is None:
            residual = features @ self.weights
        else:
            fold = torch.searchsorted(self.folds.starts, starts, right=True) - 1
            parts = [features[fold == k] @ each for k, each in enumerate(self.folds.weights)]
            residual = torch.cat(parts)  # windows and folds are in the order of time
        known = seen & (seen.double().mean(1, keepdim=True) >= LEAST_SHARE)
        standard = torch.where(known, residual / self.scale, 0.0)
        total = standard.square().sum(1, keepdim=True) / values.shape[1]
        errors = torch.where(known, total * self._shares(standard, known), torch.nan)
        return errors, torch.where(known, standard.abs(), torch.nan)[:, :, None].float()

    @cached_property
    def _responses(self) -> Float[Tensor, "shape channel channel"]:
        """What residuals are like, of unit size, where one channel is off: at a step, or longer."""
        n_channels = len(self.scale)
        step = self.weights[:n_channels]
        longer = self.weights.reshape(-1, n_channels, n_channels).sum(0)
        return F.normalize(torch.stack([step, longer]) / self.scale, dim=2)

    def _shares(
        self, residual: Float[Tensor, "window channel"], known: Bool[Tensor, "window channel"]
    ) -> Float[Tensor, "window channel"]:
        """Share of each channel: how much of all squared residuals it alone explains."""
        explained = (residual @ self._responses.mT).square().amax(0)
        explained = torch.where(known, explained + torch.finfo(explained.dtype).tiny, 0.0)
        return explained / explained.sum(1, keepdim=True)

    def fold(self, errors: Float[Tensor, "window channel"]) -> Float[Tensor, "step channel"]:
        """Squared residual of each step; NaN at both ends."""
        return F.pad(errors, (0, 0, REACH, REACH), value=torch.nan)


def n_features(n_channels: int) -> int:
    """Number of what is known about a step of so many channels."""
    return n_channels * (3 if n_channels <= MOST_CHANNELS else 1)


def _features(
    values: Float[Tensor, "step channel"], observed: Bool[Tensor, "step channel"]
) -> tuple[Float[Tensor, "window feature"], Bool[Tensor, "window channel"]]:
    """Channels at the middle step of each window, and their means before and after it.

    Missing cells count as the mean of the channel, 0. Also which middle cells are observed.
    """
    middle = slice(REACH, len(values) - REACH)
    if values.shape[1] > MOST_CHANNELS:
        return values[middle], observed[middle]
    sums = F.pad(values.cumsum(0), (0, 0, 1, 0)), F.pad(observed.double().cumsum(0), (0, 0, 1, 0))
    total, count = (each[REACH:] - each[:-REACH] for each in sums)
    means = total / count.clamp(min=1)
    around = means[: -REACH - 1], means[REACH + 1 :]
    return torch.cat([values[middle], *around], dim=1), observed[middle]


def _weights(gram: Float[Tensor, "feature feature"], n_channels: int) -> Tensor:
    """From features to residuals, (feature, channel): each channel given the features of others.

    Of Gaussian features of precision P, those of a channel differ from what the others let expect
    by the inverse of its own block of P, times its rows of P, times the features.
    """
    precision = torch.linalg.inv(gram + CHANNEL_NOISE * torch.eye(len(gram), dtype=gram.dtype))
    own = torch.arange(len(gram)).reshape(-1, n_channels).T  # (channel, its features)
    blocks = precision[own[:, :, None], own[:, None, :]]
    first = torch.linalg.inv(blocks)[:, 0]  # that of the step itself
    return torch.einsum("cb,cbf->fc", first, precision[own])
