"""What a detector of series learns beside the network: which windows and steps to use."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from anomdiff.reference.sliding_windows import LEAST_SHARE
from anomdiff.reference.window_bank import WindowMemory

# Steps of a stretch that are calibrated on together.
PIECE = 2048
# A length is used if this many times as many training windows have it.
LEAST_WINDOWS = 2


@dataclass(frozen=True)
class Piece:
    """Encoded neighbouring steps of training, and their place among all of them.

    Attributes
    ----------
    values, observed : Tensor of shape (step, channel)
        Scaled steps, and which are not missing.
    place : int
        Of the first step, on an axis on which stretches lie apart.
    familiar : bool
        Whether training showed the series.
    """

    values: Tensor
    observed: Tensor
    place: int
    familiar: bool = True

    def __len__(self) -> int:
        return len(self.values)

    def cut(self, start: int, stop: int) -> "Piece":
        """Part of this piece."""
        steps = slice(start, stop)
        cut = self.values[steps], self.observed[steps], self.place + start
        return Piece(*cut, self.familiar)

    def places(self, length: int) -> Tensor:
        """Places of the windows of some length."""
        return self.place + torch.arange(len(self) - length + 1)


def lay_out(encoded: list[tuple[np.ndarray, np.ndarray]], apart: int) -> list[Piece]:
    """Give every stretch its place, more than ``apart`` steps from the others."""
    pieces, place = [], 0
    for values, observed in encoded:
        pieces.append(Piece(torch.from_numpy(values), torch.from_numpy(observed), place))
        place += len(values) + apart
    return pieces


def check_lengths(lengths) -> tuple[int, ...]:
    """Refuse window lengths that are none."""
    lengths = tuple(lengths)
    if not lengths or not all(isinstance(w, Integral) and w > 1 for w in lengths):
        raise ValueError(f"window_lengths must be whole numbers above 1; got {lengths!r}.")
    return lengths


def usable_lengths(pieces: list[Piece], lengths: tuple[int, ...]) -> list[int]:
    """Window lengths of which training shows enough windows.

    Raises
    ------
    ValueError
        If there is none.
    """
    counts = {w: sum(_n_windows(piece, w) for piece in pieces) for w in lengths}
    usable = [w for w, n in sorted(counts.items()) if n >= LEAST_WINDOWS * w]
    if not usable:
        least = min(lengths)
        raise ValueError(
            f"need at least {(LEAST_WINDOWS + 1) * least - 1} steps in a row, most of them "
            f"observed; got n_samples={max(map(len, pieces))}, {counts[least]} usable windows."
        )
    return usable


def draw_windows(
    pieces: list[Piece], length: int, most: int, rng, view=WindowMemory.view
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw training windows, all of them if there are no more than ``most``.

    Returns
    -------
    windows, seen : Tensor of shape (window, channel, entry)
        What ``view`` makes of them, which is to take off their means; windows that are mostly
        missing are left out.
    places : int Tensor of shape (window,)
        Where each begins.
    """
    counts = np.array([max(0, len(piece) - length + 1) for piece in pieces])
    total = int(counts.sum())
    chosen = np.sort(rng.choice(total, most, replace=False)) if total > most else np.arange(total)
    owners = np.searchsorted(np.cumsum(counts), chosen, side="right")
    starts = chosen - (np.cumsum(counts) - counts)[owners]
    n_channels = pieces[0].values.shape[1]
    empty = torch.zeros(0, n_channels, length, dtype=torch.float64)
    parts = [(*view(empty, empty.bool()), torch.zeros(0, dtype=torch.long))]
    for owner in np.unique(owners):
        piece, rows = pieces[owner], torch.from_numpy(starts[owners == owner])
        steps = rows[:, None] + torch.arange(length)
        values, seen = piece.values[steps].mT, piece.observed[steps].mT
        parts.append((*view(values, seen), piece.place + rows))
    windows, seen, places = (torch.cat(part) for part in zip(*parts, strict=True))
    kept = seen.double().mean((1, 2)) >= LEAST_SHARE
    return windows[kept], seen[kept], places[kept]


def remember_windows(
    pieces: list[Piece], length: int, most: int, rng, kind=WindowMemory
) -> WindowMemory:
    """Keep windows of one length, or their levels."""
    windows, _, places = draw_windows(pieces, length, most, rng, kind.view)
    return kind(length, windows.flatten(1).float(), places)


def split_pieces(
    pieces: list[Piece], fraction: float, length: int
) -> tuple[list[Piece], list[Piece]]:
    """Hold out the end of every stretch that is long enough for windows of ``length``."""
    training, held_out = [], []
    for piece in pieces:
        tail = round(fraction * len(piece))
        if tail < length or len(piece) - tail < length:
            training.append(piece)
            continue
        training.append(piece.cut(0, len(piece) - tail))
        held_out.append(piece.cut(len(piece) - tail, len(piece)))
    return training, held_out


def training_windows(
    pieces: list[Piece], fraction: float, length: int, most: int, rng
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], list[Piece]]:
    """Draw the windows that the network is trained on, and those that tell when to stop.

    Returns
    -------
    shown, unseen : tuple of Tensor
        Values and which are observed, of shape (window, channel, length).
    held_out : list of Piece
        What the first ones are not from.
    """
    training, held_out = split_pieces(pieces, fraction, length)
    windows, seen, _ = draw_windows(training, length, most, rng)
    if not len(windows):  # all that is observed is held out
        windows, seen, _ = draw_windows(pieces, length, most, rng)
    unseen = windows[::5], seen[::5]  # where no part is left for it, they tell when to stop
    if held_out:
        drawn = draw_windows(held_out, length, max(64, most // 5), rng)[:2]
        unseen = drawn if len(drawn[0]) else unseen
    return (windows, seen), unseen, held_out


def some_steps(pieces: list[Piece], most: int, rng) -> list[Piece]:
    """Cut pieces of about ``PIECE`` steps and draw some, until they have ``most`` steps."""
    cuts = [piece.cut(start, stop) for piece in pieces for start, stop in _bounds(len(piece))]
    drawn, n_steps = [], 0
    for i in rng.permutation(len(cuts)):
        if n_steps >= most:
            break
        drawn.append(cuts[i])
        n_steps += len(cuts[i])
    return drawn


def are_held_out(piece: Piece, held_out: list[Piece], length: int) -> Tensor:
    """Tell the steps of a piece of which all windows of a length lie in a held-out part."""
    steps = piece.place + torch.arange(len(piece))
    found = torch.zeros(len(piece), dtype=torch.bool)
    for part in held_out:
        found |= (steps >= part.place + length - 1) & (steps < part.place + len(part))
    return found


def _n_windows(piece: Piece, length: int) -> int:
    """Count the windows that are not mostly missing."""
    if len(piece) < length:
        return 0
    seen = F.pad(piece.observed.sum(1).cumsum(0), (1, 0))
    whole = length * piece.observed.shape[1]
    return int((seen[length:] - seen[:-length] >= LEAST_SHARE * whole).sum())


def _bounds(n_steps: int) -> list[tuple[int, int]]:
    edges = np.linspace(0, n_steps, max(1, round(n_steps / PIECE)) + 1).astype(int)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
