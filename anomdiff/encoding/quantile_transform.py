"""Numbers as z-scores and normal scores, many columns at once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import ndtri

__all__ = ["BEYOND", "MAX_Z", "N_QUANTILES", "RankedNumbers"]

# How much further than the outermost training cell any cell outside ranks.
BEYOND = 1.5
MAX_Z = 1e6
# A power of two and one more: a search in halves ends with all cells at once.
N_QUANTILES = 129
HALVES = (64, 32, 16, 8, 4, 2, 1)
STEP = 1 / (N_QUANTILES - 1)
# Beyond this the difference of two numbers may be infinite.
HUGE = 1e307


class RankedNumbers:
    """The number columns of each `NumberCodec` that has ranks, encoded together.

    The arithmetic of ``np.interp``, without its branches and for all columns at once.
    """

    def __init__(self, codecs: Sequence[Any]):
        self.mean, self.std, self.low, self.high, self.edge = (
            np.array([getattr(codec, name) for codec in codecs])[:, None]
            for name in ("mean", "std", "low", "high", "edge")
        )
        quantiles = np.array([codec.quantiles for codec in codecs]).reshape(-1, N_QUANTILES)
        self.scale = np.where(np.abs(quantiles).max(axis=1, keepdims=True) > HUGE, 0.25, 1.0)
        quantiles *= self.scale
        self.first, self.last = quantiles[:, :1], quantiles[:, -1:]
        self.quantiles, self.middle = quantiles.ravel(), _middle_shares(quantiles).ravel()
        self.start = np.arange(0, quantiles.size, N_QUANTILES)[:, None]

    def encode(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return z-scores, within +-MAX_Z, and normal scores of cells of shape (column, row).

        Tied cells share the middle of their ranks; missing cells stay missing.
        """
        with np.errstate(all="ignore"):  # the largest numbers overflow, and are cut
            z = np.clip((cells - self.mean) / self.std, -MAX_Z, MAX_Z)
            shares = self._shares(cells * self.scale)
        ranks = np.clip(ndtri(shares), -self.edge, self.edge)
        outside = (cells > self.high) * 1.0 - (cells < self.low)
        return z, ranks + outside * BEYOND

    def _shares(self, cells: np.ndarray) -> np.ndarray:
        """Share of training cells below each cell, counting half of those equal to it."""
        at = self._find(cells)
        low, high = self.quantiles.take(at), self.quantiles.take(at + 1, mode="clip")
        share, slope = (at - self.start) * STEP, STEP / (high - low)
        below = slope * (cells - low) + share
        above = slope * (high - cells) + (1 - STEP - share)
        shares = (below + 1 - above) / 2
        tied = cells == low
        if tied.any():
            np.copyto(shares, self.middle.take(at), where=tied)
        np.copyto(shares, 0.0, where=cells < self.first)
        np.copyto(shares, 1.0, where=cells > self.last)
        return shares

    def _find(self, cells: np.ndarray) -> np.ndarray:
        """Place of the last quantile that is not above each cell, among those of all columns."""
        at = np.broadcast_to(self.start, cells.shape).copy()
        for half in HALVES:
            at += (self.quantiles.take(at + half) <= cells) * half
        return at + (cells >= self.last)


def _middle_shares(quantiles: np.ndarray) -> np.ndarray:
    """Share in the middle of all quantiles equal to each one, of shape (column, quantile)."""
    places = np.arange(N_QUANTILES)
    first = [np.searchsorted(column, column, side="left") for column in quantiles]
    above = 1 - np.array(first).reshape(quantiles.shape) * STEP
    return (places * STEP + 1 - above) / 2
