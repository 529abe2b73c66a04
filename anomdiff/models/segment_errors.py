"""Errors of the components of a series' score on a segment, windows side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomdiff.encoding.segment import Segment
from anomdiff.models.parallel import map_blocks
from anomdiff.reference.sliding_windows import WindowComponent, fold_residuals
from anomdiff.reference.window_bank import UncentredBank
from anomdiff.scoring.channel_regression import ChannelRegression
from anomdiff.scoring.local_variation import LocalVariation

__all__ = ["residual_names", "residual_roles", "segment_errors", "segment_residuals", "values_of"]

# Windows whose errors are computed together, by one thread.
WINDOWS_PER_THREAD = 1024


def segment_errors(
    components: Sequence[WindowComponent], segment: Segment[Tensor], exclude_self: bool
) -> Tensor:
    """Errors by component, step and channel; NaN for windows longer than the segment."""
    return segment_residuals(components, segment, exclude_self)[0]


def segment_residuals(
    components: Sequence[WindowComponent], segment: Segment[Tensor], exclude_self: bool
) -> tuple[Tensor, Tensor]:
    """Errors by component, step and channel, and residuals of single steps.

    The residuals are those of each component's ``shares``, one after the other. NaN for windows
    longer than the segment.
    """
    errors, residuals = [], []
    missing = torch.full_like(segment.values, torch.nan)
    for component in components:
        if len(segment) < component.length:
            errors.append(missing)
            residuals.extend([missing] * len(component.shares))
            continue
        by_window, kept = _judge(component, segment, exclude_self)
        errors.append(component.fold(by_window))
        shares = component.shares
        residuals.extend(_folded(component, kept, len(segment), share) for share in shares)
    nothing = missing.new_zeros(0, *missing.shape)
    return torch.stack(errors), torch.stack(residuals) if residuals else nothing


def values_of(segment: Segment[Tensor]) -> Tensor:
    """Values of an encoded segment before what is expected was taken off; NaN where missing."""
    values = segment.values
    if segment.mean is not None and segment.std is not None:
        values = values * torch.as_tensor(segment.std) + torch.as_tensor(segment.mean)
    return values.where(segment.observed, torch.nan)


def residual_names(components: Sequence[WindowComponent]) -> list[tuple[str, float]]:
    """Kind of component and share of each of the residuals, in their order."""
    return [(type(each).__name__, share) for each in components for share in each.shares]


def residual_roles(
    components: Sequence[WindowComponent],
) -> tuple[int | None, tuple[int, ...], tuple[int, ...]]:
    """Number of the residuals that trim segments, of those trimmed, and of those of quietness.

    The least residual of a short window is sharp, as far as it goes. Single steps, and channels
    that do not go together, need no trimming, and what is too quiet is not sharp.
    """
    several = [(each, share) for each in components for share in each.shares]
    kinds = [(type(each), each.length, share) for each, share in several]
    short = [i for i, (kind, n, share) in enumerate(kinds) if kind is UncentredBank and n > 1]
    sharp = next((i for i in short if kinds[i][2] == 0), None)
    quiet = tuple(i for i, (kind, _, _) in enumerate(kinds) if kind is LocalVariation)
    single = [i for i, (kind, n, _) in enumerate(kinds) if n == 1 or kind is ChannelRegression]
    trimmed = tuple(i for i in range(len(kinds)) if i not in (sharp, *quiet, *single))
    return sharp, trimmed, quiet


def _folded(component: WindowComponent, kept: Tensor, n_steps: int, share: float) -> Tensor:
    """Residuals of all steps of a segment; those are missing that stand at no place of a window."""
    found = fold_residuals(kept, component.places, share)
    whole = found.new_full((n_steps, found.shape[1]), torch.nan, dtype=torch.float64)
    whole[: len(found)] = found
    return whole


def _judge(
    component: WindowComponent, segment: Segment[Tensor], exclude_self: bool
) -> tuple[Tensor, Tensor]:
    """Squared errors and residuals of all windows of a segment, blocks of windows side by side."""
    n_windows = len(segment) - component.length + 1
    starts = range(0, n_windows, WINDOWS_PER_THREAD)
    stops = [min(start + WINDOWS_PER_THREAD, n_windows) + component.length - 1 for start in starts]

    def compute(part: Segment[Tensor]) -> tuple[Tensor, Tensor]:
        own = part.start + torch.arange(len(part) - component.length + 1)
        return component.judge(part.values, part.observed, own if exclude_self else None)

    parts = [segment.slice(*bounds) for bounds in zip(starts, stops, strict=True)]
    errors, residuals = zip(*map_blocks(compute, parts), strict=True)
    return torch.cat(errors), torch.cat(residuals)
