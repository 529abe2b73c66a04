"""The scores of steps: that something is wrong, from windows; when and where, from evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from anomdiff.scoring.frozen_runs import POWER, over_long
from anomdiff.scoring.step_evidence import AHEAD, STEPS_TOGETHER, StepEvidence, most_evidence

__all__ = ["JudgedSteps", "StepScores", "odd_steps"]

# Score per nat of evidence beyond strong evidence: more of it found fewer of the anomalies of
# TSB-AD-U, where much of what is scored is unlike training.
PER_NAT = 0.07
# The same where steps with anomalies were fitted to, whose evidence is larger: VUS-PR of eight
# files 0.652, 0.647 with 0.07, by ``python -m benchmarks.series --max-files 8``.
PER_NAT_SCREENED = 0.02
# Share of normal steps whose evidence is strong, and of those whose window score is high.
STRONG_SHARE, HIGH_SHARE = 0.005, 0.01
# Evidence beyond the largest of training, in nats, that raises the score by itself: of what windows
# do not see, of anything, and of anything in one of several channels, whose windows see the others
# as well.
QUIET, ANY, ANY_OF_SEVERAL = 5.0, 40.0, 20.0
# Steps count whose evidence, or window score where there is none, is this share of the largest near
# them.
NEAR_EVIDENCE, NEAR_SCORE = 0.8, 0.9
# Strong evidence that does not raise the score by itself counts only if it is this share of the
# largest near it: what windows find is somewhere else.
WEAK_EVIDENCE = 0.25
# Steps that are no anomalies, and window scores away from these, tell what is normal by themselves
# where they are this share of all.
LEAST_NORMAL = 0.5
# How much of its excess over normal steps a score loses ``reach`` steps away from what is evident.
FALL = 0.5


class JudgedSteps(NamedTuple):
    """What is found about each step of a segment."""

    scores: Tensor  # (step,)
    evident: Tensor  # (step,), bool: whether the step itself is off, not only windows that hold it
    channels: Tensor  # (step,): the number of the channel that contributes most
    contributions: Tensor  # (step, channel): what channels add to the score


@dataclass(frozen=True)
class StepScores:
    """How window scores and evidence are put together.

    Parameters
    ----------
    evidence : StepEvidence
        Of single steps.
    reach : int
        Steps up to which windows blur: the length of the longest.
    strong, high : float
        Evidence, and window score, that few normal steps are above.
    largest : float
        Largest evidence of normal steps.
    raised : float
        Score of steps that are anomalous by their evidence alone, at least.
    usual_runs : Tensor of shape (channel + 1,), or None
        Length up to which runs of equal values are usual, as of ``longest_usual``; None in models
        of older formats.
    per_nat : float
        Score per nat of evidence beyond strong evidence.
    """

    evidence: StepEvidence
    reach: int
    strong: float
    high: float
    largest: float
    raised: float
    usual_runs: Tensor | None = None
    per_nat: float = PER_NAT

    @classmethod
    def fit(
        cls,
        evidence: StepEvidence,
        reach: int,
        residuals: Sequence[Tensor],
        scores: Sequence[Tensor],
        *,
        with_anomalies: bool = False,
    ) -> "StepScores":
        """Fit to segments of normal steps.

        Their residuals are of shape (component, step, channel), their window scores of (step,).
        ``with_anomalies`` leaves out steps of evidence that normal ones do not have, and the
        scores of windows that may hold them.
        """
        parts = [evidence.steps(each)[0] for each in residuals]
        found, windows = torch.cat(parts), torch.cat(list(scores))
        if with_anomalies:
            odd = odd_steps(evidence, residuals)
            away = torch.cat([_largest_near(each.double(), reach) == 0 for each in odd])
            found = found[~torch.cat(odd)]
            windows = windows[away] if away.double().mean() > LEAST_NORMAL else windows
        strong, largest = found.quantile(1 - STRONG_SHARE), found.max()
        high, raised = windows.quantile(1 - HIGH_SHARE), windows.quantile(1 - HIGH_SHARE / 2)
        numbers = strong.item(), high.item(), largest.item(), raised.item()
        per_nat = PER_NAT_SCREENED if with_anomalies else PER_NAT
        return cls(evidence, reach, *numbers, per_nat=per_nat)

    def judge(
        self,
        scores: Float[Tensor, "step"],
        contributions: Float[Tensor, "step channel"],
        residuals: Float[Tensor, "component step channel"],
        runs: Int[Tensor, "step run"] | None = None,
    ) -> JudgedSteps:
        """Put window scores and evidence together.

        Steps are evident that have strong evidence, or the strongest within ``reach``; where there
        is none, those of the highest window scores. Window scores fall off away from them. Of
        ``run_lengths``, those that are longer than usual are strong evidence of a frozen sensor.
        """
        evidence, quiet, channels = self.evidence.steps(residuals)
        longer = torch.zeros_like(evidence)  # in nats; nothing normal has such runs
        if runs is not None and self.usual_runs is not None:
            nats, own = (POWER * over_long(runs, self.usual_runs, STEPS_TOGETHER)).max(1)
            own_evidence = torch.where(nats > 0, self.largest + QUIET + nats, 0.0)
            channels = torch.where(own_evidence > evidence, own, channels)
            evidence, quiet = evidence.maximum(own_evidence), quiet.maximum(own_evidence)
            longer = nats.to(evidence)
        near = _largest_near(evidence, self.reach)
        by_itself = self.largest + (ANY_OF_SEVERAL if residuals.shape[2] > 1 else ANY)
        strong = evidence > self.strong
        strong &= (evidence > by_itself) | (evidence >= WEAK_EVIDENCE * near)
        evident = (evidence > 0) & (strong | (evidence >= NEAR_EVIDENCE * near))
        highest = scores >= NEAR_SCORE * _largest_near(scores, self.reach).clamp(min=0)
        evident |= (near == 0) & highest
        evident &= ~residuals.isnan().all(2).all(0)  # nothing of the step itself is known
        falling = self._fall(scores, evident)
        lifted = falling + self.per_nat * (evidence - self.strong).clamp(min=0)
        alone = (evidence > by_itself) | (quiet > self.largest + QUIET)
        lifted = torch.where(alone, lifted.clamp(min=self.raised), lifted)
        lifted = torch.where(longer > 0, lifted.maximum(self.raised + longer), lifted)
        channels = torch.where(evident & (channels >= 0), channels, contributions.argmax(1))
        shared = _shared(contributions, scores, falling, lifted - falling, channels)
        return JudgedSteps(lifted, evident, channels, shared)

    def _fall(self, scores: Tensor, evident: Bool[Tensor, "step"]) -> Tensor:
        """Window scores that fall off away from evident steps, where they are high."""
        away = _distance(evident).clamp(max=self.reach) / self.reach
        excess = (scores - self.high).clamp(min=0)
        return scores - FALL * away * excess

    @property
    def delay(self) -> int:
        """Steps that a step waits for the end of its blocks, and for evidence near it."""
        return STEPS_TOGETHER - 1 + 2 * (AHEAD + self.reach)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON values and tensors."""
        return {**vars(self), "evidence": self.evidence.to_dict()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "StepScores":
        """Rebuild it from `to_dict`."""
        return cls(**{**state, "evidence": StepEvidence.from_dict(state["evidence"])})


def odd_steps(evidence: StepEvidence, residuals: Sequence[Tensor]) -> list[Bool[Tensor, "step"]]:
    """Tell the steps of each segment that are clear anomalies; none if most of them were."""
    parts = [evidence.steps(each)[0] for each in residuals]
    most = most_evidence(sum(map(len, parts))) - evidence.least
    odd = [each > max(most, 0.0) for each in parts]
    few = torch.cat(odd).double().mean() < 1 - LEAST_NORMAL
    return [each & few for each in odd]


def _shared(
    contributions: Float[Tensor, "step channel"],
    scores: Float[Tensor, "step"],
    falling: Float[Tensor, "step"],
    lift: Float[Tensor, "step"],
    channels: Int[Tensor, "step"],
) -> Float[Tensor, "step channel"]:
    """What channels contribute after scores fell, in proportion, and evidence lifted them."""
    total = contributions.sum(1)
    constant = scores - total
    scale = torch.where(total.abs() > 0, (falling - constant) / total, 1.0)
    shared = contributions * scale[:, None]
    return shared.scatter_add(1, channels[:, None], lift[:, None])


def _largest_near(values: Float[Tensor, "step"], reach: int) -> Float[Tensor, "step"]:
    """Largest value at most so many steps away."""
    return F.max_pool1d(values[None], 2 * reach + 1, stride=1, padding=reach)[0]


def _distance(marked: Bool[Tensor, "step"]) -> Float[Tensor, "step"]:
    """Steps to the nearest marked one; the number of steps if there is none."""
    n, at = len(marked), torch.nonzero(marked)[:, 0]
    steps = torch.arange(n)
    if not len(at):
        return torch.full((n,), float(n))
    after = torch.searchsorted(at, steps).clamp(max=len(at) - 1)
    before = (after - 1).clamp(min=0)
    return torch.minimum((at[after] - steps).abs(), (steps - at[before]).abs()).double()
