"""Missing steps of series: windows completed by posterior means given what is observed of them."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.conditional import constants as tuned
from anomdiff.conditional.stacking import convex_weights
from anomdiff.models.window_model import WindowModel
from anomdiff.reference.conditional_means import gaussian_means, neighbour_means
from anomdiff.reference.window_bank import WindowBank

__all__ = ["Stack", "WindowImputer", "fill_segment", "interpolated", "spans_to_fill"]

Steps = Float[Tensor, "step channel"]
StepMask = Bool[Tensor, "step channel"]
Windows = Float[Tensor, "window channel time"]
Reference = Float[Tensor, "reference channel time"]
Mask = Bool[Tensor, "channel time"]


class Stack(NamedTuple):
    """How guesses are weighed for windows of which a part is given, and how far off they are."""

    weights: Tensor  # (guess, 1, channel, 1); at least 0, they add up to 1
    residuals: Tensor  # truth less the weighted mean of guesses, (trial, channel, time)

    def drawn(self, n: int, generator: torch.Generator) -> Windows:
        """Residuals of trials drawn with replacement."""
        return self.residuals[torch.randint(len(self.residuals), (n,), generator=generator)]


class WindowImputer:
    """Completes windows of one length, whatever is given of them.

    The guesses are posterior means given a part of the window: the average of the reference
    windows nearest to it; that of Gaussian data, a regression on it; and straight lines between
    neighbours, the regression of a random walk. The last reference windows, seen through the
    same mask and completed from those before them, say how to weigh the guesses, and how far
    off their weighted mean is.
    """

    def __init__(
        self,
        bank: WindowBank,
        n_channels: int,
        max_windows: int = tuned.IMPUTER_WINDOWS,
        max_trials: int = tuned.IMPUTER_TRIALS,
    ):
        self.length = bank.length
        n = len(bank.windows)
        chosen = torch.linspace(0, n - 1, min(n, max_windows)).long()
        starts = bank.starts[chosen]
        self.windows = bank.windows[chosen].double().unflatten(1, (n_channels, bank.length))
        first = min(round((1 - tuned.LAST_PART) * len(chosen)), len(chosen) - 1)
        self.trials = torch.linspace(first, len(chosen) - 1, max_trials).long().unique()
        before = starts <= starts[first] - bank.length
        # Where all windows overlap there is nothing better to learn from.
        self.others = self.windows[before] if before.sum() > 1 else self.windows

    @classmethod
    def of(cls, model: WindowModel, n_steps: int) -> "WindowImputer | None":
        """Imputer of windows as long as a segment of so many steps allows, None if of none."""
        fitting = [b for b in model.shape_banks if b.length <= min(n_steps, tuned.MAX_LENGTH)]
        return cls(fitting[-1], len(model.names)) if fitting else None

    def mean(
        self, values: Windows, given: Mask, stack: Stack, recent: Reference | None = None
    ) -> Windows:
        """Complete windows by the weighted mean of the guesses.

        What is given is the same for all windows; elsewhere, ``values`` is any rough guess, which
        sets the level of channels that are missing. ``recent`` windows, of the same series
        elsewhere, are further reference windows for this call.
        """
        windows = self.windows if recent is None else torch.cat([self.windows, recent])
        centred = _centred(values, given)
        guesses = self._guesses(centred, _centred(windows, given), given)
        return values - centred + (stack.weights * guesses).sum(0)

    def weigh(self, given: Mask) -> Stack:
        """Weigh the guesses for windows of which this much is given."""
        trials = _centred(self.windows[self.trials], given)
        errors = trials - self._guesses(trials, _centred(self.others, given), given)
        weights = errors.new_zeros(len(errors), 1, len(given), 1)
        for channel in torch.nonzero(~given.all(1))[:, 0].tolist():
            own = errors[:, :, channel, ~given[channel]].flatten(1)
            weights[:, 0, channel, 0] = convex_weights(own)
        return Stack(weights, (weights * errors).sum(0))

    def _guesses(
        self, x: Windows, reference: Reference, given: Mask
    ) -> Float[Tensor, "guess window channel time"]:
        """Posterior means of windows under several models."""
        mask = given.expand_as(x)
        x = torch.where(mask, x, 0.0)
        guesses = [torch.einsum("rct,cut->rcu", x, _straight_lines(given))]
        flat = reference.flatten(1), x.flatten(1), mask.flatten(1)
        nothing = torch.zeros_like(flat[0], dtype=torch.bool)
        means = (neighbour_means(*flat, k, nothing) for k in tuned.WINDOW_NEIGHBOURS)
        guesses += [mean.reshape(x.shape) for mean in means]
        own = x.clone()
        for channel in torch.nonzero(~given.all(1))[:, 0].tolist():
            parts = (each[:, channel] for each in (reference, x, mask))
            own[:, channel] = gaussian_means(*parts)
        guesses.append(own)
        if 1 < len(given) and given.numel() <= tuned.MAX_GAUSSIAN:
            guesses.append(gaussian_means(*flat).reshape(x.shape))
        return torch.stack(guesses)


def fill_segment(
    model: WindowModel,
    values: Steps,
    observed: StepMask,
    n_paths: int,
    generator: torch.Generator | None,
) -> Float[Tensor, "path step channel"]:
    """Complete a segment window by window; what has been filled is given to the next window.

    The generator draws the residuals that are added to the means; without one, all paths are
    the means.
    """
    straight = interpolated(values, observed)
    paths = straight.expand(n_paths, *straight.shape).clone()
    imputer = WindowImputer.of(model, len(values))
    if imputer is None:  # too short for any window
        return paths
    known, length = observed.clone(), imputer.length
    recent, begins = _nearly_whole(straight, observed, length)
    for start, stop in spans_to_fill(observed.all(1).numpy(), length):
        steps = slice(start, start + length)
        given, elsewhere = known[steps].T, (begins - start).abs() >= length
        stack = imputer.weigh(given)
        drawn = imputer.mean(paths[:, steps].mT, given, stack, recent[elsewhere])
        if generator is not None:
            drawn += stack.drawn(n_paths, generator)
        inside = torch.arange(start, start + length) < stop
        paths[:, steps] = torch.where(~given & inside, drawn, paths[:, steps].mT).mT
        known[start:stop] = True
    return paths


def interpolated(values: Steps, observed: StepMask) -> Steps:
    """Fill missing steps on straight lines, channel by channel; 0 where nothing is observed."""
    filled, steps = values.clone(), np.arange(len(values))
    for channel, seen in enumerate(observed.T.numpy()):
        if seen.any() and not seen.all():
            line = np.interp(steps, steps[seen], values[:, channel].numpy()[seen])
            filled[:, channel] = torch.from_numpy(line)
    return filled


def spans_to_fill(whole: np.ndarray, length: int) -> list[tuple[int, int]]:
    """Windows for the steps that are not whole: where each begins, and up to where it fills.

    Up to half a window is filled at once, and that half lies in its middle.
    """
    spans, done, gaps = [], 0, np.flatnonzero(~whole)
    for step in gaps:
        if step >= done:
            last = gaps[np.searchsorted(gaps, step + max(1, length // 2)) - 1]
            margin = (length - (last + 1 - step)) // 2
            start = int(np.clip(step - margin, 0, len(whole) - length))
            done = min(int(last) + 1, start + length)
            spans.append((start, done))
    return spans


def _nearly_whole(straight: Steps, observed: StepMask, length: int) -> tuple[Windows, Tensor]:
    """Windows of a segment of which little is missing, and where they begin."""
    share = observed.double().mean(1).unfold(0, length, 1).mean(1)
    begins = torch.nonzero(share >= tuned.LEAST_OBSERVED)[:, 0]
    begins = begins[:: max(1, -(-len(begins) // tuned.IMPUTER_WINDOWS))]
    return straight.unfold(0, length, 1)[begins], begins


def _centred(windows: Windows, given: Mask) -> Windows:
    """Windows less the mean of what is given of each channel; of all of it, where nothing is."""
    counted = torch.where(given.any(1, keepdim=True), given, ~given).to(windows)
    return windows - (windows * counted).sum(2, keepdim=True) / counted.sum(1, keepdim=True)


def _straight_lines(given: Mask) -> Float[Tensor, "channel time time"]:
    """Weights that each step gives to given ones: those on either side, or the one at the end."""
    steps, unit = np.arange(given.shape[1]), np.eye(given.shape[1])
    weights = np.zeros((*given.shape, given.shape[1]))
    for channel, seen in enumerate(given.numpy()):
        for step in steps[seen]:
            weights[channel, :, step] = np.interp(steps, steps[seen], unit[step, seen])
    return torch.from_numpy(weights)
