"""Errors of the components of a series' score on a segment, windows side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomdiff.encoding.segment import Segment
from anomdiff.models.parallel import map_blocks
from anomdiff.reference.sliding_windows import WindowComponent

__all__ = ["segment_errors"]

# Windows whose errors are computed together, by one thread.
WINDOWS_PER_THREAD = 1024


def segment_errors(
    components: Sequence[WindowComponent], segment: Segment[Tensor], exclude_self: bool
) -> Tensor:
    """Errors by component, step and channel; NaN for windows longer than the segment."""
    folded = []
    for component in components:
        if len(segment) < component.length:
            folded.append(torch.full_like(segment.values, torch.nan))
            continue
        folded.append(component.fold(_window_errors(component, segment, exclude_self)))
    return torch.stack(folded)


def _window_errors(
    component: WindowComponent, segment: Segment[Tensor], exclude_self: bool
) -> Tensor:
    """Squared errors of all windows of a segment, blocks of windows side by side."""
    n_windows = len(segment) - component.length + 1
    starts = range(0, n_windows, WINDOWS_PER_THREAD)
    stops = [min(start + WINDOWS_PER_THREAD, n_windows) + component.length - 1 for start in starts]

    def compute(part: Segment[Tensor]) -> Tensor:
        own = part.start + torch.arange(len(part) - component.length + 1)
        return component.squared_errors(part.values, part.observed, own if exclude_self else None)

    parts = [segment.slice(*bounds) for bounds in zip(starts, stops, strict=True)]
    return torch.cat(map_blocks(compute, parts))
