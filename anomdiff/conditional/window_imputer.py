"""Windows of which a part is hidden: exact denoisers of the remembered ones complete them."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.conditional.forecaster import mixture
from anomdiff.conditional.forecasts import shapes
from anomdiff.diffusion.sampling import gaussian_means, neighbour_means
from anomdiff.reference.window_bank import WindowMemory

# Remembered windows that are averaged: one guess each.
NEIGHBOURS = (5, 20)
# Steps of the windows that are completed, at most: a regression is solved for every mask.
MAX_LENGTH = 64
# Remembered windows that are looked at, for every mask anew.
MAX_WINDOWS = 3000
# Remembered windows, of the last part of the memory, that the guesses are weighed on.
TRIALS = 200
TRIED = 0.2
# Entries of a window beyond which a regression across channels takes too long.
MAX_JOINT = 256


class Weighing(NamedTuple):
    """What windows of the memory, seen through a mask, tell of the guesses.

    Attributes
    ----------
    shares : float Tensor of shape (guess, 1, channel, 1)
        Weights of the guesses, at least 0; they add up to 1.
    misses : float Tensor of shape (trial, channel, time)
        What the weighted mean of the guesses missed in each window.
    """

    shares: Tensor
    misses: Tensor


class Completer:
    r"""Completes windows of one length, whatever is given of them.

    The guesses are the posterior means given a part of the window: that of the remembered
    windows nearest to it; that of Gaussian data, a regression on it; and straight lines between
    neighbours, the regression of a random walk. Windows at the end of the memory, seen through
    the same mask and completed from those before them, tell how to weigh the guesses, and what
    their mean misses.

    Parameters
    ----------
    memory : WindowMemory
        Remembered windows.
    n_channels : int
        Number of channels.
    max_windows : int, default=3000
        Remembered windows to look at, at most.
    max_trials : int, default=200
        Windows to weigh the guesses on, at most.
    """

    def __init__(
        self,
        memory: WindowMemory,
        n_channels: int,
        max_windows: int = MAX_WINDOWS,
        max_trials: int = TRIALS,
    ):
        self.length = memory.length
        n = len(memory.rows)
        chosen = torch.linspace(0, n - 1, min(n, max_windows)).long()
        places = memory.places[chosen]
        self.windows = memory.rows[chosen].double().unflatten(1, (n_channels, memory.length))
        first = min(round((1 - TRIED) * len(chosen)), len(chosen) - 1)
        self.tried = torch.linspace(first, len(chosen) - 1, max_trials).long().unique()
        before = places <= places[first] - memory.length
        # A memory all of whose windows overlap has nothing better to offer.
        self.rest = self.windows[before] if before.sum() > 1 else self.windows

    @classmethod
    def of(cls, detector, n_steps: int) -> "Completer | None":
        """Completer of windows as long as a stretch of so many steps allows, None if of none."""
        fitting = [m for m in shapes(detector) if m.length <= min(n_steps, MAX_LENGTH)]
        return cls(fitting[-1], len(detector.encoder_.names)) if fitting else None

    def complete(
        self,
        values: Float[Tensor, "row channel time"],
        given: Bool[Tensor, "channel time"],
        recent: Float[Tensor, "window channel time"],
        drawing: bool,
        generator: torch.Generator,
    ) -> Float[Tensor, "row channel time"]:
        """Complete windows by the mean of what is missing, or by draws of it.

        Parameters
        ----------
        values : float Tensor of shape (row, channel, time)
            Where not given, any rough guess, which tells the level of silent channels.
        given : bool Tensor of shape (channel, time)
            The same for all rows.
        recent : float Tensor of shape (window, channel, time)
            Windows of the same series elsewhere, remembered too for this once.
        drawing : bool
            Whether to add to each row the misses of a window of the memory.
        generator : torch.Generator
            Chooses these.
        """
        weighing = self.weigh(given)
        mean = self.mean(values, given, weighing.shares, torch.cat([self.windows, recent]))
        if not drawing:
            return mean
        drawn = torch.randint(len(weighing.misses), (len(values),), generator=generator)
        return mean + weighing.misses[drawn]

    def weigh(self, given: Bool[Tensor, "channel time"]) -> Weighing:
        """Weigh the guesses for windows of which this much is given."""
        trials = _centred(self.windows[self.tried], given)
        misses = trials - self._guesses(trials, _centred(self.rest, given), given)
        shares = _shares(misses, given)
        return Weighing(shares, (shares * misses).sum(0))

    def mean(
        self,
        values: Float[Tensor, "row channel time"],
        given: Bool[Tensor, "channel time"],
        shares: Float[Tensor, "guess row channel time"],
        windows: Float[Tensor, "window channel time"],
    ) -> Float[Tensor, "row channel time"]:
        """Weighted mean of the guesses, the level of each channel put back."""
        centred = _centred(values, given)
        guesses = self._guesses(centred, _centred(windows, given), given)
        return values - centred + (shares * guesses).sum(0)

    def _guesses(self, x: Tensor, windows: Tensor, given: Tensor) -> Tensor:
        """Posterior means of windows, of shape (guess, row, channel, time)."""
        mask = given.expand_as(x)
        x = torch.where(mask, x, 0.0)
        guesses = [torch.einsum("rct,cut->rcu", x, _straight_lines(given))]
        flat = windows.flatten(1), x.flatten(1), mask.flatten(1)
        nothing = torch.zeros_like(flat[0], dtype=torch.bool)
        guesses += [neighbour_means(*flat, k, nothing).reshape(x.shape) for k in NEIGHBOURS]
        own = x.clone()
        for channel in torch.nonzero(~given.all(1))[:, 0].tolist():
            parts = (each[:, channel] for each in (windows, x, mask))
            own[:, channel] = gaussian_means(*parts)
        guesses.append(own)
        if 1 < len(given) and given.numel() <= MAX_JOINT:
            guesses.append(gaussian_means(*flat).reshape(x.shape))
        return torch.stack(guesses)


def fill_spans(whole: np.ndarray, length: int) -> list[tuple[int, int]]:
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


def _shares(misses: Float[Tensor, "guess row channel time"], given: Tensor) -> Tensor:
    """Weights of the guesses that together miss least, of shape (guess, 1, channel, 1)."""
    shares = misses.new_zeros(len(misses), 1, len(given), 1)
    for channel in torch.nonzero(~given.all(1))[:, 0].tolist():
        own = misses[:, :, channel, ~given[channel]].flatten(1)
        shares[:, 0, channel, 0] = torch.from_numpy(mixture(own.T.numpy()))
    return shares


def _centred(windows: Tensor, given: Tensor) -> Tensor:
    """Windows less the mean of what is given of each channel; of all of it, where nothing is."""
    counted = torch.where(given.any(1, keepdim=True), given, ~given).to(windows)
    return windows - (windows * counted).sum(2, keepdim=True) / counted.sum(1, keepdim=True)


def _straight_lines(given: Bool[Tensor, "channel time"]) -> Float[Tensor, "channel time time"]:
    """Weights that each step gives to given ones: those on either side, or the one at the end."""
    steps, unit = np.arange(given.shape[1]), np.eye(given.shape[1])
    weights = np.zeros((*given.shape, given.shape[1]))
    for channel, seen in enumerate(given.numpy()):
        for step in steps[seen]:
            weights[channel, :, step] = np.interp(steps, steps[seen], unit[step, seen])
    return torch.from_numpy(weights)
