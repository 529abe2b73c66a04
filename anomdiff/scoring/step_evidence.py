"""Which steps carry evidence of an anomaly: their own residuals, added up over segments.

Windows say that something is wrong, and all their steps have the same error. Here every step of
every channel has residuals of its own, one per component. How surprising they are, among those of
training, becomes a log-likelihood ratio; segments where these add up to more than segments of
training do are evidence, and among those that overlap the strongest counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomdiff.scoring.excursions import excursions
from anomdiff.scoring.residual_tails import ResidualTails

__all__ = ["EvidentSegment", "StepEvidence", "most_evidence"]

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
# Steps that are looked at together, so that a stream knows when a segment has ended. A segment that
# reaches from one block to the next is found in one that begins so many steps before the next.
STEPS_TOGETHER, AHEAD = 512, 256
NEVER = 1e12  # a total that no segment reaches
MOST_COVERED = 0.05  # of the steps of training, by segments, at most
# Where training holds anomalies, so much more evidence than one segment of all normal steps would
# have is that of an anomaly, in nats.
MORE = 3.0
# Segments in the tail of a channel from which on it has a tail of its own: slow channels have long
# segments, and would hide what is odd in others.
OWN_TAIL = 10


class EvidentSegment(NamedTuple):
    """Steps from ``start`` up to ``stop`` of a channel, off by one component."""

    start: int
    stop: int
    evidence: float  # in nats: minus the log of how many such segments a normal step starts
    component: int
    channel: int


@dataclass(frozen=True)
class StepEvidence:
    """What residuals of normal steps, and the segments where they add up, are like.

    Parameters
    ----------
    tails : ResidualTails
        Of single steps.
    start, excess, share : float Tensor of shape (component, channel)
        From which total on the tail of segments of training starts, their mean excess over it,
        and how many of them there are per step, times the channels.
    count : Tensor of shape (component, channel)
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
        n_components, _, n_channels = residuals[0].shape
        n_steps = sum(each.shape[1] for each in residuals)
        totals = [[list[float]() for _ in range(n_channels)] for _ in range(n_components)]
        for each in (block for whole in residuals for block in whole.split(STEPS_TOGETHER, dim=1)):
            for component, ratios in enumerate(_ratios(tails.surprisals(each))):
                for own, channel in zip(totals[component], ratios.T, strict=True):
                    own += [x.total for x in excursions(channel.numpy())]
        several = [_tails(each, with_anomalies) for each in totals]
        fitted = torch.tensor(several, dtype=torch.float64)
        start, excess, count, share = fitted.permute(2, 0, 1).clone()
        start[list(silent)] = NEVER
        sharp = None if sharp in silent else sharp
        found = cls(tails, start, excess, share / n_steps, count, sharp, trimmed, quiet)
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
        surprisals = self.tails.surprisals(residuals)
        n_steps = surprisals.shape[1]
        ratios, blocks = _ratios(surprisals), range(0, n_steps, STEPS_TOGETHER)
        found = [each for first in blocks for each in self._of_block(ratios, first)]
        for edge in blocks[1:]:
            ahead = self._of_block(ratios, edge - AHEAD)
            found += [each for each in ahead if each.start < edge < each.stop]
        return [self._placed(each, surprisals) for each in _strongest(found, n_steps)]

    def _of_block(
        self, ratios: Float[Tensor, "component step channel"], first: int
    ) -> list[EvidentSegment]:
        """Segments of the block that begins with a step."""
        block = ratios[:, first : first + STEPS_TOGETHER]
        return [
            EvidentSegment(first + start, first + stop, evidence, component, channel)
            for component, several in enumerate(block)
            if component != self.sharp
            for channel, own in enumerate(several.T)
            for start, stop, total in excursions(own.numpy())
            if total >= self._least_totals[component][channel]
            and (evidence := self._evidence(component, channel, total)) >= self.least
        ]

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
    def _numbers(self) -> list[list[list[float]]]:
        """The four numbers of the tail of each component and channel."""
        return torch.stack([self.start, self.excess, self.count, self.share], dim=-1).tolist()

    @cached_property
    def _least_totals(self) -> list[list[float]]:
        """Totals with less than the least evidence, by component and channel, just about."""
        needed = self.least + self.share.log()
        beyond = torch.where(needed > 0, self.count * (needed / self.count).expm1(), needed)
        totals = self.start + self.excess * beyond
        least = (totals - 1e-6 * (1 + totals.abs())).nan_to_num(nan=-math.inf)
        return torch.where(self.start < NEVER, least, math.inf).tolist()

    def _evidence(self, component: int, channel: int, total: float) -> float:
        r"""Minus the log of how many segments of such a total a normal step starts.

        Of :math:`m` totals beyond :math:`u` with mean excess :math:`b`, the predictive chance of
        one beyond :math:`t` is :math:`(1 + (t - u) / (m b))^{-m}`.
        """
        start, excess, count, share = self._numbers[component][channel]
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
        own = {name: state[name] for name in ("start", "excess", "share", "count")}
        for name, each in own.items():
            if each.ndim == 1:  # in older models, of all channels together
                own[name] = each[:, None].expand(tails.excess.shape).clone()
        return cls(**{**state, "tails": tails, **numbers, **own})


def most_evidence(n_steps: int) -> float:
    """Evidence that hardly any segment of so many normal steps has."""
    return math.log(n_steps) + MORE


def _ratios(surprisals: Tensor) -> Tensor:
    """Log-likelihood ratios: exponential surprisals of a larger mean against mean 1."""
    return (surprisals * (1 - 1 / RATIO) - math.log(RATIO)).nan_to_num(0.0)


def _tails(
    totals: Sequence[list[float]], with_anomalies: bool
) -> list[tuple[float, float, float, float]]:
    """Tail of each channel, as from ``_tail``, and its number of segments times the channels.

    That of all channels where a channel has few segments, or some may be anomalies.
    """
    every = _tail([total for channel in totals for total in channel], with_anomalies)
    own = [_tail(channel, with_anomalies) for channel in totals]
    return [
        (*tail, tail[2] * len(totals))
        if tail[2] >= OWN_TAIL and not with_anomalies
        else (*every, every[2])
        for tail in own
    ]


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
