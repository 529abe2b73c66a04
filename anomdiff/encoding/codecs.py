"""One codec per kind of column: plain cells to coords of about unit variance, and back.

Codecs are fitted on present cells only; what a missing cell encodes to is overwritten later.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import ndtri

from anomdiff.encoding.json_values import require_types
from anomdiff.encoding.quantile_transform import MAX_Z, N_QUANTILES, RankedNumbers

__all__ = ["UNSEEN", "CategoryCodec", "Codec", "NumberCodec"]

# Distance, in standard deviations, of what training never showed.
UNSEEN = 4.0
# Most values that decoding gives back to the last digit, and how near, in standard deviations.
N_COMMON = 256
EXACT = 1e-9
# A flag that is hardly ever set would otherwise lie hundreds of standard deviations away.
MIN_FLAG_STD = 0.05
MIN_CATEGORY_SCALE = 0.2
# From here on a category has to be seen twice to get a slot of its own.
MANY_ROWS = 50
# Where more than this share of rows brings a new value, a new value is no news.
MAX_NOVELTY = 0.05


@dataclass(frozen=True)
class Codec:
    """JSON values of a codec's fields, and back."""

    def to_dict(self) -> dict:
        """Return the fields as JSON values."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, state: Mapping) -> Self:
        """Rebuild a codec from `to_dict`, before or after a trip through JSON."""
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in state.items()}
        require_types(cls, fields)
        return cls(**fields)


@dataclass(frozen=True)
class NumberCodec(Codec):
    """A number, or a flag of 0 and 1, as its distance from the training mean and as its rank.

    The distance tells how far away a cell is, the rank how rare: it is the normal score of the
    cell among the training cells, which skewed, heavy-tailed and gappy columns need. Cells
    outside the training range rank BEYOND standard deviations after the last one. A column of
    at most two values has no rank coord; that of a constant column says only whether a cell is
    smaller, equal or larger (-UNSEEN, 0, UNSEEN).

    References
    ----------
    Normal scores: van der Waerden (1952); Conover (1999), "Practical Nonparametric
    Statistics", section 5.10.
    """

    mean: float
    std: float  # floored for two-valued columns; 0 for a constant column
    low: float  # range of the training cells, which decoding never leaves
    high: float
    edge: float = 0.0  # normal score of the largest training cell
    quantiles: tuple[float, ...] = ()  # evenly spaced; empty where there is no rank coord
    common: tuple[float, ...] = ()  # see ``_common``; a zero decodes as zero

    @classmethod
    def fit(cls, cells: np.ndarray) -> Self:
        """Learn mean and standard deviation of finite numbers, however large."""
        size = np.abs(cells).max(initial=0.0)
        if size == 0:
            return cls(0.0, 0.0, 0.0, 0.0)
        scaled = cells / size  # squares of 1e300 overflow
        low, high = scaled.min(), scaled.max()
        if high - low <= 1e-12:
            return cls(float(cells[0]), 0.0, float(cells.min()), float(cells.max()))
        std = scaled.std()
        mean, span = float(scaled.mean() * size), (float(cells.min()), float(cells.max()))
        common = _common(cells)
        if ((scaled == low) | (scaled == high)).all():
            std = max(std, MIN_FLAG_STD * (high - low))
            return cls(mean, float(std * size), *span, common=common)
        quantiles = np.quantile(scaled, np.linspace(0, 1, N_QUANTILES)) * size
        edge = float(ndtri(1 - 0.5 / len(cells)))
        return cls(mean, float(std * size), *span, edge, tuple(quantiles.tolist()), common)

    def labels(self, name: Any) -> list[str]:
        """Name the coords."""
        return [str(name), f"{name} rank"] if self.quantiles else [str(name)]

    def encode(self, cells: np.ndarray) -> np.ndarray:
        """Return z-scores, within +-MAX_Z, and normal scores; shape (row, 1 or 2)."""
        if self.quantiles:
            z, ranks = self._ranked.encode(cells[None])
            return np.column_stack([z[0], ranks[0]])
        with np.errstate(over="ignore"):
            away = cells - self.mean
            if self.std > 0:
                return np.clip(away / self.std, -MAX_Z, MAX_Z)[:, None]
        equal = np.abs(away) <= 1e-9 * abs(self.mean)
        return np.where(equal, 0.0, UNSEEN * np.sign(away))[:, None]

    @cached_property
    def _ranked(self) -> RankedNumbers:
        return RankedNumbers([self])

    def decode(self, block: np.ndarray) -> np.ndarray:
        """Return the numbers that z-scores stand for, within the range of the training cells."""
        with np.errstate(over="ignore"):
            cells = np.clip(self.mean + block[:, 0] * self.std, self.low, self.high)
        if not self.common:
            return cells
        common = np.array(self.common)
        nearest = common[np.searchsorted(common[1:] / 2 + common[:-1] / 2, cells)]
        return np.where(np.abs(cells - nearest) <= EXACT * self.std, nearest, cells)


def _common(cells: np.ndarray) -> tuple[float, ...]:
    """Return the values that occur most often, if more than once, ascending."""
    values, counts = np.unique(cells, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:N_COMMON]
    return tuple(np.sort(values[most][counts[most] > 1]).tolist())


@dataclass(frozen=True)
class CategoryCodec(Codec):
    """A category as a centred one-hot vector whose total variance is 1.

    The slots are the frequent values, one for all rare values (if there are any), and one that
    is lit by values never seen in training. A column where new values keep coming (the share of
    values seen once estimates how often; Good 1953) counts a new value as one more rare value.
    """

    values: tuple[str, ...]  # frequent ones, the most frequent first
    rare: tuple[str, ...]  # the others, in the same order
    shares: tuple[float, ...]  # of the training cells in each slot but the unseen one
    novelty: float  # share of training cells whose value occurs once, or was new later on
    n_cells: int

    @classmethod
    def fit(cls, cells: np.ndarray, *, max_categories: int, novelty: float = 0.0) -> Self:
        """Count the values; ties go to the alphabet, so that the order of rows is no matter.

        ``novelty`` is the share of later cells that were new, where rows have an order.
        """
        codes, names = pd.factorize(cells, sort=True)
        counts = np.bincount(codes, minlength=len(names))
        order = np.argsort(-counts, kind="stable")
        names, counts = names[order], counts[order]
        least = 2 if len(cells) >= MANY_ROWS else 1
        n_slots = min(max_categories, int((counts >= least).sum()))
        shares = counts / max(len(cells), 1)
        slots = [*shares[:n_slots], *([shares[n_slots:].sum()] if n_slots < len(names) else [])]
        return cls(
            tuple(names[:n_slots]),
            tuple(names[n_slots:]),
            tuple(float(share) for share in slots),
            max(float(shares[counts == 1].sum()), novelty),
            len(cells),
        )

    @cached_property
    def scale(self) -> float:
        """Root of the variance of the uncentred slots, floored for nearly constant columns."""
        variance = 1 - float(np.square(self.shares).sum())
        return max(np.sqrt(max(variance, 0.0)), MIN_CATEGORY_SCALE)

    @cached_property
    def known(self) -> pd.Index:
        """All values seen in training."""
        return pd.Index([*self.values, *self.rare], dtype=object)

    @cached_property
    def coords(self) -> np.ndarray:
        """Coords of each slot, of shape (slot, coord); an unseen value lights its slot alone."""
        n_seen = len(self.shares)
        coords = np.zeros((n_seen + 1, n_seen + 1))
        coords[:n_seen, :n_seen] = (np.eye(n_seen) - np.array(self.shares)) / self.scale
        coords[n_seen, n_seen] = UNSEEN
        return coords

    @cached_property
    def rarity(self) -> np.ndarray:
        """Factor per coord that makes a mismatch of two values cost the log of how rare both are.

        References
        ----------
        "Lin" and related measures: Boriah et al. (2008), "Similarity Measures for Categorical
        Data", section 3.
        """
        counts = np.append(np.array(self.shares) * self.n_cells, 0) + 1
        cost = np.sqrt(-np.log(counts / (self.n_cells + len(counts) + 1)))
        return cost * np.append(np.full(len(self.shares), self.scale), 1 / UNSEEN)

    @property
    def takes_new_values(self) -> bool:
        """Whether new values keep coming, so that one more is a rare value as others are."""
        return bool(self.rare) and self.novelty > MAX_NOVELTY

    def codes(self, block: np.ndarray) -> np.ndarray:
        """Slot of each encoded row, the nearest where it is none of them."""
        lit = block * np.append(np.full(len(self.shares), self.scale), 1.0)
        return (lit + np.append(self.shares, 0.0)).argmax(axis=1)

    def labels(self, name: Any) -> list[str]:
        """Name one coord per slot."""
        rare = [f"{name} is rare"] if self.rare else []
        return [*(f"{name} = {value}" for value in self.values), *rare, f"{name} is unseen"]

    def encode(self, cells: np.ndarray) -> np.ndarray:
        """Return scaled one-hot rows of shape (row, slot)."""
        return self.coords[self._slots(cells)]

    def decode(self, block: np.ndarray) -> np.ndarray:
        """Return the likeliest seen value; the most frequent rare one stands for the rare."""
        if not self.shares:
            return np.full(len(block), None, dtype=object)
        names = np.array([*self.values, *self.rare[:1]], dtype=object)
        return names[(block[:, :-1] * self.scale + self.shares).argmax(axis=1)]

    def _slots(self, cells: np.ndarray) -> np.ndarray:
        codes, distinct = pd.factorize(cells)
        at = self.known.get_indexer(pd.Index(distinct, dtype=object))
        rare, unseen = len(self.values), len(self.shares)
        new = rare if self.takes_new_values else unseen
        slots = np.where(at < 0, new, np.minimum(at, rare))
        return np.append(slots, 0)[codes]  # code -1, a missing cell, picks the last
