"""Missing steps of series: windows are completed given what was observed of them."""

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from anomdiff.detectors.forecasting import seeded, shapes, target_scale, without_gaps
from anomdiff.detectors.futures import mixture
from anomdiff.diffusion.sampling import gaussian_means, neighbour_means
from anomdiff.encoding.cells import read_cells
from anomdiff.scoring.window_memory import WindowMemory

# Remembered windows that are averaged: one guess each.
NEIGHBOURS = (5, 20)
# Steps of the windows that are completed, at most: a regression is solved for every mask.
MAX_LENGTH = 64
# Remembered windows that are looked at, for every mask anew.
MAX_WINDOWS = 3000
# Remembered windows, of the last part of the memory, that the guesses are weighed on.
TRIALS = 200
TRIED = 0.2
# Share of a window of the series itself that must be known for others to learn from it.
LEAST_KNOWN = 0.8
# Entries of a window beyond which a regression across channels takes too long.
MAX_JOINT = 256


def impute_steps(detector, frame: pd.DataFrame, n_draws, random_state) -> pd.DataFrame:
    """Fill missing cells; see ``TimeSeriesDetector.impute``."""
    if n_draws is not None and n_draws < 1:
        raise ValueError(f"need n_draws of at least 1, or None; got {n_draws}.")
    generator = seeded(detector, random_state)
    names = detector.encoder_.names
    cells = np.full((n_draws or 1, len(frame), len(names)), np.nan)
    observed = np.ones((len(frame), len(names)), dtype=bool)
    for part in detector.layout_.read(frame):
        values, seen = detector.encoder_.encode(part)
        observed[part.rows] = seen
        if not seen.all():
            mean, std = target_scale(detector.encoder_, part.series)
            paths = _fill(detector, values, seen, n_draws, generator)
            cells[:, part.rows] = paths * std + mean
    filled = [_filled(frame, names, each, observed) for each in cells]
    if n_draws is None:
        return filled[0]
    return pd.concat(filled, keys=range(n_draws), names=["draw", *frame.index.names])


def _fill(detector, values, seen, n_draws, generator) -> np.ndarray:
    """Complete a stretch window by window, of shape (draw, step, channel)."""
    straight = torch.from_numpy(without_gaps(values, seen))
    paths = straight.expand(n_draws or 1, *straight.shape).clone()
    completer = Completer.of(detector, len(values))
    if completer is None:  # too short for any window
        return paths.numpy()
    known = torch.from_numpy(seen)
    recent, begins = _nearly_whole(straight, known, completer.length)
    for start, stop in _spans(seen.all(1), completer.length):
        steps = slice(start, start + completer.length)
        given = known[steps].T
        others = recent[(begins - start).abs() >= completer.length]
        drawing = n_draws is not None
        drawn = completer.complete(paths[:, steps].mT, given, others, drawing, generator)
        inside = torch.arange(start, start + completer.length) < stop
        paths[:, steps] = torch.where(~given & inside, drawn, paths[:, steps].mT).mT
        known = known.clone()
        known[start:stop] = True  # what has been filled is given to the windows after it
    return paths.numpy()


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
    """

    def __init__(self, memory: WindowMemory, n_channels: int):
        self.length = memory.length
        n = len(memory.rows)
        chosen = torch.linspace(0, n - 1, min(n, MAX_WINDOWS)).long()
        places = memory.places[chosen]
        self.windows = memory.rows[chosen].double().unflatten(1, (n_channels, memory.length))
        first = min(round((1 - TRIED) * len(chosen)), len(chosen) - 1)
        self.tried = torch.linspace(first, len(chosen) - 1, TRIALS).long().unique()
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
        trials = _centred(self.windows[self.tried], given)
        misses = trials - self._guesses(trials, _centred(self.rest, given), given)
        shares = _shares(misses, given)
        centred = _centred(values, given)
        known = torch.cat([self.windows, recent])
        guesses = self._guesses(centred, _centred(known, given), given)
        mean = values - centred + (shares * guesses).sum(0)
        if not drawing:
            return mean
        drawn = torch.randint(len(trials), (len(values),), generator=generator)
        return mean + (shares * misses).sum(0)[drawn]

    def _guesses(self, x: Tensor, windows: Tensor, given: Tensor) -> Tensor:
        """Posterior means of windows, of shape (guess, row, channel, time)."""
        mask = given.expand_as(x)
        x = torch.where(mask, x, 0.0)
        guesses = [torch.einsum("rct,cut->rcu", x, _straight_lines(given))]
        flat = windows.flatten(1), x.flatten(1), mask.flatten(1)
        nothing = torch.zeros_like(flat[0], dtype=torch.bool)
        guesses += [neighbour_means(*flat, k, nothing).reshape(x.shape) for k in NEIGHBOURS]
        channels = zip(windows.unbind(1), x.unbind(1), mask.unbind(1), strict=True)
        guesses.append(torch.stack([gaussian_means(*channel) for channel in channels], dim=1))
        if 1 < len(given) and given.numel() <= MAX_JOINT:
            guesses.append(gaussian_means(*flat).reshape(x.shape))
        return torch.stack(guesses)


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


def _nearly_whole(straight: Tensor, known: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Windows of a stretch of which little is missing, and where they begin."""
    share = known.double().mean(1).unfold(0, length, 1).mean(1)
    begins = torch.nonzero(share >= LEAST_KNOWN)[:, 0]
    begins = begins[:: max(1, -(-len(begins) // MAX_WINDOWS))]
    return straight.unfold(0, length, 1)[begins], begins


def _straight_lines(given: Bool[Tensor, "channel time"]) -> Float[Tensor, "channel time time"]:
    """Weights that each step gives to given ones: those on either side, or the one at the end."""
    steps, unit = np.arange(given.shape[1]), np.eye(given.shape[1])
    weights = np.zeros((*given.shape, given.shape[1]))
    for channel, seen in enumerate(given.numpy()):
        for step in steps[seen]:
            weights[channel, :, step] = np.interp(steps, steps[seen], unit[step, seen])
    return torch.from_numpy(weights)


def _spans(whole: np.ndarray, length: int) -> list[tuple[int, int]]:
    """Beginnings of windows, and up to where each is to fill the steps that are not whole."""
    spans, done = [], 0
    for step in np.flatnonzero(~whole):
        if step >= done:
            start = int(np.clip(step - length // 4, 0, len(whole) - length))
            done = start + length if start + length == len(whole) else start + length * 3 // 4
            spans.append((start, done))
    return spans


def _filled(frame: pd.DataFrame, names: list, cells: np.ndarray, observed) -> pd.DataFrame:
    """Write cells where they are missing; what is observed keeps its digits."""
    filled = frame.copy()
    for name, column, seen in zip(names, cells.T, observed.T, strict=True):
        if not seen.all():
            old = read_cells(frame[name], "number")
            filled[name] = np.where(seen, old, column)
    return filled
