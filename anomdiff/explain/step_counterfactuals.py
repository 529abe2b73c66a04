"""The nearest normal series: change the fewest channels and steps that bring the scores down.

Cells to blame are hidden, and replaced by what the rest of the series lets one expect. What is
still flagged afterwards is looked at anew. Changes that turn out not to be needed are taken back.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from pandas.api import types
from torch import Tensor

from anomdiff.conditional.forecasts import target_scale
from anomdiff.conditional.intervals import Surroundings
from anomdiff.explain.alarm_segments import runs
from anomdiff.explain.localisation import find_culprits, widened
from anomdiff.reference.segments import Piece
from anomdiff.thresholds.conformal import safely_below

# How often what is still flagged is looked at anew.
ROUNDS = 20
# Row labels that a warning names.
NAMED = 10


def repair_steps(
    detector, X, frame: pd.DataFrame, max_channels: int | None, immutable: Iterable
) -> pd.DataFrame:
    """Repair flagged stretches; see ``TimeSeriesDetector.repair``.

    Parameters
    ----------
    detector : TimeSeriesDetector
        Fitted.
    X : DataFrame or array-like of shape (row, column)
        Whole series, whose other cells are kept.
    frame : DataFrame
        The same series, checked.
    max_channels : int, optional
        Most channels to change in a run of flagged steps.
    immutable : iterable of column
        Channels that are not to change.
    """
    mutable = _mutable(detector, max_channels, immutable)
    repaired = (X if isinstance(X, pd.DataFrame) else frame).copy()
    names, n_flagged = detector.encoder_.names, 0
    for part in detector.layout_.read(frame):
        piece = detector._piece(part)
        flagged = (detector._judge(piece)[0] > detector.threshold_).numpy()
        n_flagged += flagged.sum()
        scale = target_scale(detector.encoder_, part.series)
        as_cells = _cells_of([frame[name].dtype for name in names], *scale)
        for start, stop in _neighbourhoods(flagged, detector.delay_):
            cut = piece.cut(start, stop)
            found = Search(detector, cut, flagged[start:stop], mutable, max_channels, as_cells)
            _write(repaired, names, part.rows[start:stop], found.best(), scale)
    if n_flagged:
        _warn_of_the_rest(detector, repaired, int(n_flagged))
    return repaired


class Path(NamedTuple):
    """How far the repair of a piece has come.

    Attributes
    ----------
    values : Tensor of shape (step, channel)
        The steps by now.
    changed : bool Tensor of shape (step, channel)
        What was changed.
    scores : Tensor of shape (step,)
        Their scores by now, minus infinity where they do not count.
    blame : Tensor of shape (step, channel)
        What each channel adds to them.
    """

    values: Tensor
    changed: Tensor
    scores: Tensor
    blame: Tensor


class Search:
    """Searches the fewest changes that make a piece normal.

    Parameters
    ----------
    detector : TimeSeriesDetector
        Fitted.
    piece : Piece
        Flagged steps, and enough around them for every score that a change can change.
    flagged : bool ndarray of shape (step,)
        Steps above the threshold.
    mutable : bool Tensor of shape (channel,)
        Channels that may change.
    max_channels : int, optional
        Most channels to change for a run of flagged steps.
    as_cells : callable
        Maps steps to the nearest ones that the columns can hold.
    """

    def __init__(
        self,
        detector,
        piece: Piece,
        flagged: np.ndarray,
        mutable: Tensor,
        max_channels: int | None,
        as_cells: Callable[[Tensor], Tensor],
    ):
        self.detector, self.piece, self.as_cells = detector, piece, as_cells
        self.goal, self.join = safely_below(detector.threshold_), detector.window_lengths_[0]
        self.surroundings = Surroundings(detector, piece.values, piece.observed)
        # Further out, steps may lack windows that they have in the whole series.
        strange = torch.from_numpy(flagged)[:, None]
        self.counted = widened(strange, 2 * detector.delay_)[:, 0]
        self.first = self._path(piece.values, torch.zeros_like(piece.observed))
        self.owner = _nearest(runs(flagged, 0), len(piece))
        chosen = self._chosen(runs(flagged, 0), mutable, max_channels)
        self.allowed = chosen & widened(strange, self.join) & piece.observed

    def best(self) -> Path:
        """The lowest path met, without the changes that it does not need."""
        lowest = path = self.first
        for _ in range(ROUNDS):
            cells = path.changed | self._more(path)
            if (cells == path.changed).all():
                break
            path = self._filled(cells)
            lowest = path if self._excess(path) < self._excess(lowest) else lowest
        return self._back(lowest)

    def _chosen(self, flagged: list, mutable: Tensor, max_channels: int | None) -> Tensor:
        """Channels that may change at each step: those to blame most for the nearest run."""
        blame = torch.stack([self.first.blame[slice(*run)].sum(0) for run in flagged])
        order = blame.where(mutable, -1.0).argsort(dim=1, descending=True)
        chosen = torch.zeros_like(blame, dtype=torch.bool)
        chosen.scatter_(1, order[:, :max_channels], True)
        return (chosen & mutable)[self.owner]

    def _more(self, path: Path) -> Tensor:
        """Further cells to change for the worst run that is still flagged and has any."""
        strange = runs((path.scores > self.goal).numpy(), 0)
        for run in sorted(strange, key=lambda run: -path.scores[slice(*run)].max()):
            for cells in self._suggested(path, run):
                if (cells & self.allowed & ~path.changed).any():
                    return cells & self.allowed
        return path.changed

    def _suggested(self, path: Path, run: tuple[int, int]) -> Iterator[Tensor]:
        """What to change for a run: what is to blame, half as much on either side, all of it."""
        around = Surroundings(self.detector, path.values, self.piece.observed)
        cells = find_culprits(around, path.blame * self.allowed, run, self.join)
        yield cells
        whole = torch.zeros_like(cells)
        whole[slice(*run)] = True
        cells = cells | (path.changed & whole)
        yield widened(cells, 1 + int(cells.sum(0).max()) // 2)
        yield whole

    def _filled(self, changed: Tensor) -> Path:
        """Replace cells by what the others let one expect."""
        expected = self.as_cells(self.surroundings.hidden(changed).mean)
        return self._path(torch.where(changed, expected, self.piece.values), changed)

    def _back(self, path: Path) -> Path:
        """Take back changes without which no further step is flagged."""
        if not path.changed.any():
            return path
        near = self.surroundings.hidden(path.changed).outside(self.piece.values) < 1
        for run in self.owner.unique():
            own = path.changed & (self.owner == run)[:, None]
            order = (self.first.blame * own).sum(0).argsort()
            for channel in order[own.any(0)[order]]:
                cells = own & (torch.arange(own.shape[1]) == channel)
                without = self._without(path, cells)
                path = without if without is not path else self._without(path, cells & near)
        return path

    def _without(self, path: Path, cells: Tensor) -> Path:
        """Take back some changes, if that does no harm."""
        if not cells.any():
            return path
        values = torch.where(cells, self.piece.values, path.values)
        tried = self._path(values, path.changed & ~cells)
        return tried if self._excess(tried) <= self._excess(path) else path

    def _excess(self, path: Path) -> tuple[int, float]:
        """How many steps stay flagged, and by how much."""
        above = (path.scores - self.goal).clamp(min=0)
        return int((above > 0).sum()), float(above.sum())

    def _path(self, values: Tensor, changed: Tensor) -> Path:
        piece = Piece(values, self.piece.observed, 0, self.piece.familiar)
        scores, blame = self.detector._judge(piece)
        return Path(values, changed, scores.where(self.counted, -torch.inf), blame)


def _mutable(detector, max_channels: int | None, immutable: Iterable) -> Tensor:
    """Tell the channels that may change, or say why that cannot be."""
    if max_channels is not None and max_channels < 1:
        raise ValueError(f"need max_channels of at least 1, or None; got {max_channels}.")
    fixed = {immutable} if isinstance(immutable, str) else set(immutable)
    channels = list(detector.layout_.channels)
    if unknown := sorted(fixed.difference(channels), key=str):
        raise ValueError(f"need immutable channels among {channels}; got {unknown}.")
    mutable = torch.tensor([name not in fixed for name in detector.encoder_.names])
    if not mutable.any():
        raise ValueError("need a judged channel that may change; got all as immutable.")
    return mutable


def _neighbourhoods(flagged: np.ndarray, reach: int) -> list[tuple[int, int]]:
    """Parts of a stretch with flagged steps and all that has to do with their scores."""
    near = [(a - 3 * reach - 1, b + 3 * reach + 1) for a, b in runs(flagged, 6 * reach + 2)]
    return [(max(a, 0), min(b, len(flagged))) for a, b in near]


def _nearest(flagged: list, n_steps: int) -> Tensor:
    """Number of the run that is nearest to each step."""
    middles = torch.tensor([(a + b - 1) / 2 for a, b in flagged])
    return (torch.arange(n_steps)[:, None] - middles).abs().argmin(1)


def _cells_of(dtypes: list, mean: np.ndarray, std: np.ndarray) -> Callable[[Tensor], Tensor]:
    """Rounding of steps to what columns of some dtypes can hold."""
    whole = np.array([not types.is_float_dtype(d) and types.is_numeric_dtype(d) for d in dtypes])

    def as_cells(values: Tensor) -> Tensor:
        cells = values.numpy() * std + mean
        cells = np.where(whole, cells.round(), cells)
        return torch.from_numpy((cells - mean) / std)

    return as_cells


def _write(repaired: pd.DataFrame, names: list, rows: np.ndarray, path: Path, scale) -> None:
    """Write the changed cells into the frame, in the dtypes of its columns."""
    mean, std = scale
    cells = path.values.numpy() * std + mean
    for name, new, changed in zip(names, cells.T, path.changed.numpy().T, strict=True):
        if changed.any():
            place = repaired.columns.get_loc(name)
            column = repaired.iloc[:, place].copy()
            whole = types.is_numeric_dtype(column.dtype) and not types.is_float_dtype(column.dtype)
            kept = new[changed].round() if whole else new[changed]
            column.iloc[rows[changed]] = pd.Series(kept).astype(column.dtype).array
            repaired.isetitem(place, column)


def _warn_of_the_rest(detector, repaired: pd.DataFrame, n_flagged: int) -> None:
    """Warn of steps that are still anomalies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of further columns it was told before
        scores, _ = detector._score(repaired)
    rest = repaired.index[scores > detector.threshold_].tolist()
    if rest:
        labels = f"{rest[:NAMED]}{' and more' if len(rest) > NAMED else ''}"
        warnings.warn(
            f"{len(rest)} steps stay above the threshold, of {n_flagged} before, as near to it as "
            f"these channels allow: rows {labels}.",
            UserWarning,
            stacklevel=4,
        )
