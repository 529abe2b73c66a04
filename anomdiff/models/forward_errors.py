"""Errors of the end of training by what came before it, which show whether series stay the same.

Training windows are compared with all others, earlier and later ones, new windows with earlier ones
only. Where series wander, or their rhythms shift against each other, new windows are further off.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.encoding.segment import Segment
from anomdiff.reference.sliding_windows import WindowComponent
from anomdiff.reference.window_bank import WindowBank

__all__ = ["Ends", "changed_components", "earlier_components", "ends_of_training"]

# Last part of the steps of each series that is judged by the earlier ones.
END = 0.2
# Steps that are judged together.
PIECE = 1000
# A component shows that series change where this share of the end has errors above this quantile.
QUANTILE, CHANGED = 0.99, 0.25


class Ends(NamedTuple):
    """Last steps of each series of training."""

    pieces: list[tuple[Segment[Tensor], int]]  # with the number of steps that are only context
    spans: list[tuple[int, int]]  # first place, and that after the last one, of all of each end


def ends_of_training(segments: Sequence[Segment[Tensor]], context: int, most: int) -> Ends:
    """Find the last steps of each series, and take pieces of them with the steps before.

    Parameters
    ----------
    segments : sequence of Segment
        Of training, in the order of time within each series.
    context : int
        Most steps before the end, for windows that reach into it.
    most : int
        About how many steps to take; of more, pieces spread evenly.

    Returns
    -------
    ends : Ends
        Pieces of all ends.
    """
    totals: dict = {}
    for segment in segments:
        totals[segment.series] = totals.get(segment.series, 0) + len(segment)
    pieces: list[tuple[Segment[Tensor], int]] = []
    spans: list[tuple[int, int]] = []
    seen = dict.fromkeys(totals, 0)
    for segment in segments:
        cut = max(0, round((1 - END) * totals[segment.series]) - seen[segment.series])
        seen[segment.series] += len(segment)
        if cut < len(segment):
            spans.append((segment.start + cut, segment.start + len(segment)))
            firsts = range(cut, len(segment), PIECE)
            pieces.extend(_piece(segment, first, context) for first in firsts)
    every = -(-sum(stop - first for first, stop in spans) // most)
    return Ends(pieces[:: max(1, every)], spans)


def _piece(segment: Segment[Tensor], first: int, context: int) -> tuple[Segment[Tensor], int]:
    """A piece of a segment with the steps before it, and how many these are."""
    start = max(first - context, 0)
    return segment.slice(start, min(first + PIECE, len(segment))), first - start


def earlier_components(
    components: Sequence[WindowComponent], spans: Sequence[tuple[int, int]]
) -> list[WindowComponent]:
    """Components without the reference windows that reach into some spans of places.

    Regressions stay: a part of training is judged by what they learned of the others.
    """
    return [_earlier(each, spans) if isinstance(each, WindowBank) else each for each in components]


def changed_components(
    errors: Float[Tensor, "component step channel"],
    at_the_end: Float[Tensor, "component step channel"],
) -> Bool[Tensor, "component"]:
    """Components to which the end of training, by what came before it, is unlike the rest.

    ``errors`` are those of training steps by all others.
    """
    changed = torch.zeros(len(errors), dtype=torch.bool)
    for k, (own, later) in enumerate(zip(errors.sum(2), at_the_end.sum(2), strict=True)):
        own, later = own[~own.isnan()], later[~later.isnan()]
        if len(own) and len(later):
            high = np.quantile(own, QUANTILE)
            changed[k] = (later > high).double().mean() > CHANGED
    return changed


def _earlier(bank: WindowBank, spans: Sequence[tuple[int, int]]) -> WindowBank:
    """A bank without the windows that reach into spans; one of all, if none is left."""
    late = torch.zeros(len(bank.starts), dtype=torch.bool)
    for first, stop in spans:
        late |= (bank.starts > first - bank.length) & (bank.starts < stop)
    if late.all():
        return bank
    return replace(bank, windows=bank.windows[~late], starts=bank.starts[~late])
