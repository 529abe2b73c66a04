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

    precisions: Tensor  # (fold, feature, feature)
    weights: Tensor  # (fold, feature, channel), from these
    starts: Tensor  # (fold,), the place of the first window of each part


@dataclass(frozen=True, eq=False)
class ChannelRegression(WindowComponent):
    r"""Each channel of a step from the other channels, at that step and around it.

    For Gaussian data this is the posterior mean of a channel given the others, and the limit of
    the denoiser for a channel whose noise grows while the others are given. It is sensitive to a
    channel that no longer goes with the others, however usual its own values are.

    Parameters
    ----------
    precision : float Tensor of shape (feature, feature)
        Inverse covariance of the channels at a step, their means before, and after.
    n_steps : float
        Number of training steps.
    scale : float Tensor of shape (channel,)
        Standard deviation of residuals, of parts of training that the weights were not fitted to.
    folds : Folds, optional
        What judges training itself; not stored.

    References
    ----------
    Lauritzen (1996), "Graphical Models", on regressions read from the inverse covariance.
    """

    precision: Tensor
    n_steps: float
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
        found = [_features(segment.values, segment.observed) for segment in long]
        parts, seen = [x for x, _ in found], [given for _, given in found]
        places = [each.start + torch.arange(len(x)) for each, x in zip(long, parts, strict=True)]
        x, starts = torch.cat([empty, *parts]), torch.cat([torch.zeros(0).long(), *places])
        cuts = [part for part in x.tensor_split(FOLDS) if len(part)]
        grams = [part.T @ part for part in cuts]
        whole = sum(grams, torch.zeros(x.shape[1], x.shape[1], dtype=x.dtype))
        without = [
            _precision((whole - gram) / max(1, len(x) - len(part)))
            for gram, part in zip(grams, cuts, strict=True)
        ]
        n_steps = float(max(1, len(x)))
        known = [part for part in torch.cat([empty.bool(), *seen]).tensor_split(FOLDS) if len(part)]
        weights = [_weights(each, n_channels) for each in without]
        residuals = [
            _residuals(*each, n_steps) for each in zip(cuts, known, without, weights, strict=True)
        ]
        scale = torch.cat([empty[:, :n_channels], *residuals]).square().mean(0).sqrt()
        firsts = starts[torch.tensor([0, *map(len, cuts[:-1])]).cumsum(0)] if cuts else starts
        folds = Folds(torch.stack(without), torch.stack(weights), firsts) if cuts else None
        scale = scale.nan_to_num(1.0).clamp(min=LEAST_STD)
        return cls(_precision(whole / max(1, len(x))), n_steps, scale, folds)

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
        features, given = _features(values, observed)
        seen = given[:, : values.shape[1]]
        if starts is None or self.folds is None:
            residual = _residuals(features, given, self.precision, self.weights, self.n_steps)
        else:
            fold = torch.searchsorted(self.folds.starts, starts, right=True) - 1
            learned = zip(self.folds.precisions, self.folds.weights, strict=True)
            parts = [
                _residuals(features[fold == k], given[fold == k], *each, self.n_steps)
                for k, each in enumerate(learned)
            ]
            residual = torch.cat(parts)  # windows and folds are in the order of time
        known = seen & (seen.double().mean(1, keepdim=True) >= LEAST_SHARE)
        standard = torch.where(known, residual / self.scale, 0.0)
        total = standard.square().sum(1, keepdim=True) / values.shape[1]
        errors = torch.where(known, total * self._shares(standard, known), torch.nan)
        return errors, torch.where(known, standard.abs(), torch.nan)[:, :, None].float()

    @cached_property
    def weights(self) -> Float[Tensor, "feature channel"]:
        """From what is known of a step to residuals."""
        return _weights(self.precision, len(self.scale))

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
) -> tuple[Float[Tensor, "window feature"], Bool[Tensor, "window feature"]]:
    """Channels at the middle step of each window, and their means before and after it.

    Also which of them are observed; 0 where not.
    """
    middle = slice(REACH, len(values) - REACH)
    if values.shape[1] > MOST_CHANNELS:
        return values[middle], observed[middle]
    sums = F.pad(values.cumsum(0), (0, 0, 1, 0)), F.pad(observed.double().cumsum(0), (0, 0, 1, 0))
    total, count = (each[REACH:] - each[:-REACH] for each in sums)
    means = total / count.clamp(min=1)
    parts = values[middle], means[: -REACH - 1], means[REACH + 1 :]
    given = observed[middle], count[: -REACH - 1] > 0, count[REACH + 1 :] > 0
    return torch.cat(parts, dim=1), torch.cat(given, dim=1)


def _completed(
    features: Float[Tensor, "window feature"],
    given: Bool[Tensor, "window feature"],
    precision: Float[Tensor, "feature feature"],
) -> Float[Tensor, "window feature"]:
    """Features whose missing ones are what the others let expect: of one pattern at a time."""
    if given.all():
        return features
    completed = features.clone()
    patterns, owner = given.unique(dim=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        if pattern.all():
            continue
        rows, missing = owner == k, ~pattern
        known = features[rows][:, pattern] @ precision[pattern][:, missing]
        expected = torch.linalg.solve(precision[missing][:, missing], -known.T).T
        completed[rows.nonzero(), missing.nonzero()[:, 0]] = expected
    return completed


def _residuals(
    features: Float[Tensor, "window feature"],
    given: Bool[Tensor, "window feature"],
    precision: Float[Tensor, "feature feature"],
    weights: Float[Tensor, "feature channel"],
    n_steps: float,
) -> Float[Tensor, "window channel"]:
    r"""Residuals, over what a regression of so few steps may be off there.

    What is missing stands at what the rest lets expect, so that it says nothing of its own. Of
    features :math:`x` of precision :math:`P`, the variance of a prediction learned from :math:`n`
    steps is :math:`1 + x^T P x / n` times that of the residuals: the further from training, and the
    shorter this is, the less is known of how channels go together.
    """
    x = _completed(features, given, precision)
    leverage = ((x @ precision) * x).sum(1, keepdim=True) / n_steps
    return (x @ weights) / (1 + leverage).sqrt()


def _precision(gram: Float[Tensor, "feature feature"]) -> Float[Tensor, "feature feature"]:
    """Inverse of a covariance whose features carry noise.

    In the order of memory that it has when it is loaded, so that products are the same to the bit.
    """
    noisy = gram + CHANNEL_NOISE * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.inv(noisy).contiguous()


def _weights(precision: Float[Tensor, "feature feature"], n_channels: int) -> Tensor:
    """From features to residuals, (feature, channel): each channel given the features of others.

    Of Gaussian features of precision P, those of a channel differ from what the others let expect
    by the inverse of its own block of P, times its rows of P, times the features.
    """
    own = torch.arange(len(precision)).reshape(-1, n_channels).T  # (channel, its features)
    blocks = precision[own[:, :, None], own[:, None, :]]
    first = torch.linalg.inv(blocks)[:, 0]  # that of the step itself
    return torch.einsum("cb,cbf->fc", first, precision[own])
