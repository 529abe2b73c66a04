"""Calibration of the model of series: errors, evidence and scores of normal steps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from anomdiff.encoding.segment import Segment
from anomdiff.models.forward_errors import Ends, changed_components, earlier_components
from anomdiff.models.parallel import map_blocks
from anomdiff.models.segment_errors import residual_names, residual_roles, segment_residuals
from anomdiff.reference.segments import are_held_out
from anomdiff.reference.sliding_windows import WindowComponent
from anomdiff.scoring.step_evidence import StepEvidence
from anomdiff.scoring.step_scores import StepScores, odd_steps
from anomdiff.scoring.window_scores import WindowCalibration, optimism, scaled_network
from anomdiff.thresholds.budget import segment_levels

__all__ = ["Calibrated", "fit_calibration"]


class Calibrated(NamedTuple):
    """What is learned of normal steps once the components are there."""

    windows: WindowCalibration
    steps: StepScores
    scores: np.ndarray  # of training steps, ascending
    levels: np.ndarray  # that so many segments of them reach, descending
    changed: tuple[int, ...]  # lengths of windows to which the end of training is unlike the rest


class Judged(NamedTuple):
    """Errors and residuals of a segment, (component, step, channel)."""

    errors: Tensor
    residuals: Tensor

    def after(self, context: int) -> "Judged":
        """Without the first steps."""
        return Judged(self.errors[:, context:], self.residuals[:, context:])


def fit_calibration(
    components: Sequence[WindowComponent],
    step_components: Sequence[WindowComponent],
    segments: Sequence[Segment[Tensor]],
    held_out: list[Segment[Tensor]],
    ends: Ends,
    *,
    screening: bool = False,
) -> Calibrated:
    """Learn what errors and residuals of normal steps are like, and their scores.

    Parameters
    ----------
    components : sequence of WindowComponent
        What scores windows; the last is the network.
    step_components : sequence of WindowComponent
        What has residuals only.
    segments, held_out : sequence of Segment
        Parts of training, and those that the network has not seen.
    ends : Ends
        Ends of training. Components to which they are unlike what came before are calibrated on
        how far they are from it, and their residuals are no evidence.
    screening : bool, default=False
        Whether the segments, which may hold anomalies, are themselves to be scored: then nothing
        comes after their ends.
    """
    together, n = [*components, *step_components], len(components)
    found = _judged(together, n, segments)
    length = components[-1].length
    unseen = [are_held_out(segment, held_out, length) for segment in segments]
    errors = torch.cat([each.errors for each in found], 1)
    windows = WindowCalibration.fit(errors, [each.noise_floor for each in components])
    ratio = optimism(errors[-1], torch.cat(unseen))
    network = [name for name, _ in residual_names(together)].index("WindowNetwork")

    def corrected(own: Judged, new: Tensor) -> Judged:
        return Judged(
            scaled_network(own.errors, n - 1, ratio, new),
            scaled_network(own.residuals, network, ratio**0.5, new),
        )

    several = [corrected(*each) for each in zip(found, unseen, strict=True)]
    earlier = earlier_components(together, ends.spans)
    later = [
        corrected(own, are_held_out(segment, held_out, length)).after(context)
        for own, (segment, context) in zip(
            _judged(earlier, n, [each for each, _ in ends.pieces]),
            ends.pieces,
            strict=True,
        )
    ]
    changed = torch.zeros(n, dtype=torch.bool)
    silent: list[int] = []
    if later:
        before, after = _joined(several), _joined(later)
        changed = changed_components(before.errors, after.errors)
        silent = _silent(together, changed, changed_components(before.residuals, after.residuals))
    if changed.any():
        windows = _widened(windows, after.errors, changed)
        several += later
    reach = max(component.length for component in components)
    lengths = {each.length for each, own in zip(components, changed, strict=True) if own}
    scored = _scored(windows, together, several, reach, silent, screening)
    return Calibrated(*scored, tuple(sorted(lengths)))


def _judged(
    together: Sequence[WindowComponent], n: int, segments: Sequence[Segment[Tensor]]
) -> list[Judged]:
    """Errors of the first components, and residuals of all, of segments of training."""
    found = map_blocks(lambda segment: segment_residuals(together, segment, True), segments)
    return [Judged(errors[:n], residuals) for errors, residuals in found]


def _silent(together: Sequence[WindowComponent], changed: Tensor, residuals: Tensor) -> list[int]:
    """Numbers of residuals that are no evidence: they have changed, or their errors have."""
    owner = torch.tensor([k for k, each in enumerate(together) for _ in each.shares])
    whole = F.pad(changed, (0, len(together) - len(changed)))
    return torch.nonzero(residuals | whole[owner])[:, 0].tolist()


def _joined(several: Sequence[Judged]) -> Judged:
    return Judged(*(torch.cat(each, 1) for each in zip(*several, strict=True)))


def _widened(windows: WindowCalibration, later: Tensor, changed: Tensor) -> WindowCalibration:
    """A calibration whose changed components are as wide as the ends of training are far off."""
    off = (later.sum(2) - windows.mean[:, None]).square().nanmean(1).sqrt()
    spread = torch.where(changed, torch.maximum(off, windows.spread), windows.spread)
    return replace(windows, spread=spread)


def _scored(
    windows: WindowCalibration,
    together: Sequence[WindowComponent],
    several: Sequence[Judged],
    reach: int,
    silent: Sequence[int],
    screening: bool,
) -> tuple[WindowCalibration, StepScores, np.ndarray, np.ndarray]:
    """Put windows and evidence together, and score what was judged."""
    residuals = [each.residuals for each in several]
    roles = residual_roles(together)
    evidence = StepEvidence.fit(residuals, *roles, silent, with_anomalies=screening)
    scored = [windows.score(each.errors) for each in several]
    windowed = [each for each, _ in scored]
    steps = StepScores.fit(evidence, reach, residuals, windowed, with_anomalies=screening)
    judged = [steps.judge(*own, each) for own, each in zip(scored, residuals, strict=True)]
    known = [~each.errors.isnan().all(2).all(0) for each in several]
    if screening:
        known = [k & ~odd for k, odd in zip(known, odd_steps(evidence, residuals), strict=True)]
    scores = torch.cat([each.scores[k] for each, k in zip(judged, known, strict=True)])
    evident = [each.evident & k for each, k in zip(judged, known, strict=True)]
    levels = segment_levels([each.scores for each in judged], evident)
    return windows, steps, np.sort(scores.numpy()), levels
