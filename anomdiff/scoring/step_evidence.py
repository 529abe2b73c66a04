"""Which steps carry evidence of an anomaly: their own residuals, added up over segments.

Windows say that something is wrong, and all their steps have the same error. Here every step of
every channel has residuals of its own, one per component. How surprising they are, among those of
training, becomes a log-likelihood ratio; segments where these add up to more than segments of
training do are evidence, and among those that overlap the strongest counts.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomdiff.scoring.excursions import excursions

__all__ = ["EvidentSegment", "ResidualTails", "StepEvidence", "most_evidence"]

# Residuals, in standard deviations, below which differences are rounding.
LEAST_RESIDUAL = 1e-2
# Share of residuals that an exponential tail is fitted to, in logs; its least mean excess.
TAIL_SHARE, LEAST_EXCESS = 0.05, 0.05
TAIL_QUANTILES = 65  # that the rest is kept by
# Surprisals, in nats, count up to this much.
MOST_SURPRISAL = 12.0
# Surprisals of anomalous steps are this many times as large, on average.
RATIO = 5.0
# Share of the segments of training, the strongest, that a tail is fitted to.
STRONGEST = 0.1
# A segment ends where steps are sharply off that are beside steps which are not, by this much and
# this share of the largest.
SHARP, SHARP_SHARE = 3.0, 0.5
# Segments of other components only where steps are off clearly, and where they are no longer than
# what the means of a few steps around make of a single one.
CLEARLY_OFF, MOST_BLURRED = 8.0, 24
# A segment is dropped if a stronger one covers this share of it; one of few steps, any of it: it
# is what a window makes of a fault beside it.
OVERLAP, FEW_STEPS = 0.5, 64
# Steps that are looked at together: no segment reaches from one block to the next, so that a stream
# knows when a segment has ended.
STEPS_TOGETHER = 512
NEVER = 1e12  # a total that no segment reaches
MOST_COVERED = 0.05  # of the steps of training, by segments, at most
# Where training holds anomalies: the quantiles of residuals that a tail is drawn through, and how
# much more evidence than one segment of all normal steps would have is that of an anomaly, in nats.
THROUGH, MORE = (0.8, 0.9), 3.0


class EvidentSegment(NamedTuple):
    """Steps from ``start`` up to ``stop`` of a channel, off by one component."""

    start: int
    stop: int
    evidence: float  # in nats: minus the log of how many such segments a normal step starts
    component: int
    channel: int


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


@dataclass(frozen=True)
class StepEvidence:
    """What residuals of normal steps, and the segments where they add up, are like.

    Parameters
    ----------
    tails : ResidualTails
        Of single steps.
    start, excess, share : float Tensor of shape (component,)
        From which total on the tail of segments of training starts, their mean excess over it,
        and how many of them there are per step.
    count : Tensor of shape (component,)
        Number of segments of that tail.
    sharp : int, or None
        Component that is only used to trim segments: it leaves little beside what is wrong.
    trimmed : tuple of int
        Components whose segments are trimmed by it.
    quiet : tuple of int
        Components that say where there is too little movement, which windows do not see.
    least : float
        Least evidence that counts.
    """

    tails: ResidualTails
    start: Tensor
    excess: Tensor
    share: Tensor
    count: Tensor
    sharp: int | None
    trimmed: tuple[int, ...]
    quiet: tuple[int, ...]
    least: float = -math.inf

    @classmethod
    def fit(
        cls,
        residuals: Sequence[Tensor],
        sharp: int | None,
        trimmed: tuple[int, ...],
        quiet: tuple[int, ...] = (),
        silent: Sequence[int] = (),
        *,
        with_anomalies: bool = False,
    ) -> "StepEvidence":
        """Fit to the residuals of segments of normal steps, (component, step, channel) each.

        NaN where missing. Components that are ``silent`` never carry evidence.
        ``with_anomalies`` does not let some steps that are none tell what is normal.
        """
        joined = torch.cat(list(residuals), dim=1)
        tails = ResidualTails.fit(joined, with_anomalies=with_anomalies)
        n_components = len(residuals[0])
        n_steps = sum(each.shape[1] for each in residuals)
        totals = [list[float]() for _ in range(n_components)]
        for each in (block for whole in residuals for block in whole.split(STEPS_TOGETHER, dim=1)):
            for component, ratios in enumerate(_ratios(tails.surprisals(each))):
                for channel in ratios.T:
                    totals[component] += [x.total for x in excursions(channel.numpy())]
        fitted = torch.tensor([_tail(each, with_anomalies) for each in totals], dtype=torch.float64)
        start, excess, count = fitted.T.clone()
        start[list(silent)] = NEVER
        sharp = None if sharp in silent else sharp
        found = cls(tails, start, excess, count / n_steps, count, sharp, trimmed, quiet)
        segments = [segment for each in residuals for segment in found.segments(each)]
        if with_anomalies:
            most = most_evidence(n_steps)
            segments = [segment for segment in segments if segment.evidence <= most]
        return found._with_least(segments, n_steps)

    def _with_least(self, segments: list[EvidentSegment], n_steps: int) -> "StepEvidence":
        """Take as least evidence what covers a share of the steps of training."""
        ordered = sorted(segments, key=lambda segment: -segment.evidence)
        covered = np.cumsum([segment.stop - segment.start for segment in ordered])
        place = int(np.searchsorted(covered, MOST_COVERED * n_steps))
        least = ordered[min(place, len(ordered) - 1)].evidence if ordered else 0.0
        return replace(self, least=least)

    def segments(self, residuals: Float[Tensor, "component step channel"]) -> list[EvidentSegment]:
        """Segments that carry evidence, none mostly covered by a stronger one."""
        starts = range(0, residuals.shape[1], STEPS_TOGETHER)
        blocks = [self._of_block(residuals[:, start : start + STEPS_TOGETHER]) for start in starts]
        return [
            each._replace(start=start + each.start, stop=start + each.stop)
            for start, block in zip(starts, blocks, strict=True)
            for each in block
        ]

    def _of_block(self, residuals: Float[Tensor, "component step channel"]) -> list[EvidentSegment]:
        surprisals = self.tails.surprisals(residuals)
        found = [
            EvidentSegment(start, stop, evidence, component, channel)
            for component, ratios in enumerate(_ratios(surprisals))
            if component != self.sharp
            for channel, own in enumerate(ratios.T)
            for start, stop, total in excursions(own.numpy())
            if total >= self._least_totals[component]
            and (evidence := self._evidence(component, total)) >= self.least
        ]
        found = _strongest(found, residuals.shape[1])
        return [self._placed(segment, surprisals) for segment in found]

    def _placed(self, segment: EvidentSegment, surprisals: Tensor) -> EvidentSegment:
        """Trim a segment and name its channel; one that a channel makes of others is its."""
        if segment.component not in self.trimmed:
            segment = _named(segment, surprisals)
        return _named(self._trim(segment, surprisals), surprisals)

    def steps(
        self, residuals: Float[Tensor, "component step channel"]
    ) -> tuple[Float[Tensor, "step"], Float[Tensor, "step"], Int[Tensor, "step"]]:
        """Evidence of each step above the least that counts, 0 where none.

        Then that of too little movement alone, and the channel, -1 where there is no evidence.
        """
        evidence = torch.zeros(residuals.shape[1], dtype=torch.float64)
        quiet = torch.zeros_like(evidence)
        channel = torch.full((residuals.shape[1],), -1)
        for segment in self.segments(residuals):
            part = slice(segment.start, segment.stop)
            stronger = evidence[part] < segment.evidence - self.least
            evidence[part][stronger] = segment.evidence - self.least
            channel[part][stronger] = segment.channel
            if segment.component in self.quiet:
                quiet[part] = quiet[part].clamp(min=segment.evidence - self.least)
        return evidence, quiet, channel

    @cached_property
    def _least_totals(self) -> list[float]:
        """Totals below which the evidence of each component is less than the least, just about."""
        needed = self.least + self.share.log()
        beyond = torch.where(needed > 0, self.count * (needed / self.count).expm1(), needed)
        totals = self.start + self.excess * beyond
        return (totals - 1e-6 * (1 + totals.abs())).nan_to_num(nan=-math.inf).tolist()

    def _evidence(self, component: int, total: float) -> float:
        r"""Minus the log of how many segments of such a total a normal step starts.

        Of :math:`m` totals beyond :math:`u` with mean excess :math:`b`, the predictive chance of
        one beyond :math:`t` is :math:`(1 + (t - u) / (m b))^{-m}`.
        """
        start, excess = self.start[component].item(), self.excess[component].item()
        count, share = self.count[component].item(), self.share[component].item()
        beyond = (total - start) / excess
        return (count * math.log1p(beyond / count) if beyond > 0 else beyond) - math.log(share)

    def _trim(self, segment: EvidentSegment, surprisals: Tensor) -> EvidentSegment:
        """Leave out steps at both ends that are normal by themselves."""
        if self.sharp is None or segment.component in self.quiet:
            return segment
        own = surprisals[self.sharp, segment.start : segment.stop, segment.channel].nan_to_num(0.0)
        least = SHARP
        if segment.component not in self.trimmed:
            least = CLEARLY_OFF if len(own) <= MOST_BLURRED else torch.inf
        off = torch.nonzero(own > max(least, SHARP_SHARE * own.max().item()))[:, 0]
        if not len(off):
            return segment
        start, stop = segment.start + int(off[0]), segment.start + int(off[-1]) + 1
        return segment._replace(start=start, stop=stop)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON values and tensors."""
        return {
            **{each.name: getattr(self, each.name) for each in fields(self)},
            "tails": vars(self.tails),
            "trimmed": list(self.trimmed),
            "quiet": list(self.quiet),
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "StepEvidence":
        """Rebuild it from `to_dict`."""
        tails = ResidualTails(**state["tails"])
        numbers = {name: tuple(state[name]) for name in ("trimmed", "quiet")}
        return cls(**{**state, "tails": tails, **numbers})


def most_evidence(n_steps: int) -> float:
    """Evidence that hardly any segment of so many normal steps has."""
    return math.log(n_steps) + MORE


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


def _ratios(surprisals: Tensor) -> Tensor:
    """Log-likelihood ratios: exponential surprisals of a larger mean against mean 1."""
    return (surprisals * (1 - 1 / RATIO) - math.log(RATIO)).nan_to_num(0.0)


def _tail(totals: list[float], with_anomalies: bool) -> tuple[float, float, float]:
    """Start, mean excess and number of the largest totals, from their median if some are odd."""
    if not totals:
        return 0.0, 1.0, 1.0
    start = float(np.quantile(totals, 1 - STRONGEST))
    over = np.array([total - start for total in totals if total > start] or [1.0])
    mean = np.median(over) / math.log(2) if with_anomalies else over.mean()
    return start, max(float(mean), 1e-3), float(len(over))


def _named(segment: EvidentSegment, surprisals: Tensor) -> EvidentSegment:
    """Name the channel that is most surprising by all components together."""
    inside = surprisals[:, segment.start : segment.stop]
    return segment._replace(channel=int(inside.nansum((0, 1)).argmax()))


def _strongest(segments: list[EvidentSegment], n_steps: int) -> list[EvidentSegment]:
    """Leave out segments that a stronger one covers."""
    strongest = np.full(n_steps, -np.inf)
    for each in segments:
        part = strongest[each.start : each.stop]
        np.maximum(part, each.evidence, out=part)
    kept = []
    for each in segments:
        stronger = strongest[each.start : each.stop] > each.evidence
        limit = OVERLAP if len(stronger) > FEW_STEPS else 0.0
        if stronger.mean() <= limit:
            kept.append(each)
    return kept
