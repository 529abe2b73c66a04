"""Reference windows: how far a window is from the nearest one, in its shape or in its level."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from anomdiff.reference.nearest import least_of_rows, squared_distances
from anomdiff.reference.sliding_windows import (
    LEAST_SHARE,
    WindowComponent,
    sum_by_channel,
    window_blocks,
    without_means,
)

__all__ = ["LevelBank", "MissingComponent", "UncentredBank", "WindowBank"]

# Levels, in squared standard deviations, that differ by less are noise.
LEVEL_NOISE = 0.1
# Window lengths whose residuals are evidence, and the quantiles that are read out.
LENGTHS = 32, 128
LOW_SHARE, UNCENTRED_SHARES = (0.1,), (0.25, 0.0)
# Steps by which short uncentred windows must be apart to be compared.
LEAST_APART = 16


@dataclass(frozen=True, eq=False)
class WindowBank(WindowComponent):
    """Reference windows of one length, each without its mean."""

    length: int
    windows: Tensor  # (reference, channel * length)
    starts: Tensor  # ascending, on an axis on which training segments lie apart
    together: bool = False  # whether errors of all channels are scaled up together: older formats

    @staticmethod
    def view(
        windows: Float[Tensor, "window channel time"], observed: Bool[Tensor, "window channel time"]
    ) -> tuple[Float[Tensor, "window channel entry"], Bool[Tensor, "window channel entry"]]:
        """What is compared of windows, and which of it is known: all but their means."""
        return without_means(windows, observed), observed

    @property
    def shares(self) -> tuple[float, ...]:  # type: ignore[override]
        """One low quantile, of windows of a few lengths."""
        return LOW_SHARE if self.length in LENGTHS else ()

    @property
    def apart(self) -> int:
        """Steps by which reference windows must be apart from a training window: they overlap."""
        return self.length

    @torch.inference_mode()
    def judge(
        self,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
        starts: Int[Tensor, "window"] | None = None,
    ) -> tuple[Float[Tensor, "window channel"], Float[Tensor, "window channel place"]]:
        r"""Squared distance of each window to the nearest reference window, by channel.

        The error of the exact denoiser of the reference windows as its noise vanishes. Missing
        entries do not count; the error is scaled up to the whole window, and over channels sums
        up to the squared distance per channel. NaN where less than half of the window is
        observed, or every reference window overlaps it. The residuals are what the nearest one
        leaves of single steps.
        """
        found: list[tuple[Tensor, Tensor]] = []
        for first, *block in window_blocks(values, observed, self.length):
            x, seen = self.view(*block)
            own = None if starts is None else self._overlapping(starts[first : first + len(x)])
            found.extend(self._judge(x, seen, own))
        errors, residuals = zip(*found, strict=True)
        return torch.cat(errors).to(values), torch.cat(residuals)

    @cached_property
    def _lengths(self) -> Tensor:
        return self.windows.square().sum(1)

    def _overlapping(self, starts: Tensor) -> Tensor:
        """Tell which reference windows overlap others, of shape (window, reference).

        The starts are sorted: only a narrow band needs to be compared.
        """
        low = torch.searchsorted(self.starts, starts - self.apart, right=True)
        high = torch.searchsorted(self.starts, starts + self.apart)
        overlapping = torch.zeros(len(starts), len(self.starts), dtype=torch.bool)
        band = low[:, None] + torch.arange(int((high - low).max()))
        rows = torch.arange(len(starts))[:, None].expand_as(band)
        inside = band < high[:, None]
        overlapping[rows[inside], band[inside]] = True
        return overlapping

    def _judge(
        self, x: Tensor, observed: Tensor, own: Tensor | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield squared errors and residuals of blocks of windows."""
        flat = x.flatten(1).to(self.windows), observed.flatten(1)
        for row, mask, squares in squared_distances(self.windows, *flat, own, self._lengths):
            least, nearest = least_of_rows(squares)
            shape = len(row), *x.shape[1:]
            residual = torch.where(mask, self.windows[nearest] - row, 0.0).reshape(shape)
            seen = mask.reshape(shape)
            unknown = least.isinf()[:, None]
            errors = sum_by_channel(residual.square(), seen, together=self.together)
            at = self.places
            known = seen[:, :, at] & ~unknown[:, :, None]
            kept = torch.where(known, residual[:, :, at].abs(), torch.nan)
            yield torch.where(unknown, torch.nan, errors), kept


@dataclass(frozen=True, eq=False)
class UncentredBank(WindowBank):
    """Reference windows as they are: their means are not taken off."""

    @staticmethod
    def view(windows: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """All of a window."""
        return torch.where(observed, windows, 0.0), observed

    @property
    def shares(self) -> tuple[float, ...]:  # type: ignore[override]
        """Of windows of several steps a quantile, and the least one, which is sharp."""
        return UNCENTRED_SHARES if self.length > 1 else (0.0,)

    @property
    def apart(self) -> int:
        """Neighbouring steps are alike, and new ones have no neighbours among reference steps."""
        return max(2 * self.length, LEAST_APART)


@dataclass(frozen=True, eq=False)
class LevelBank(WindowBank):
    """Reference means of windows: how high the channels stand, together."""

    shares = ()

    @property
    def places(self) -> Tensor:
        """A level is all there is of a window."""
        return torch.tensor([0])

    @staticmethod
    def view(windows: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of each channel where half of it is observed, scaled like the window it sums up."""
        count, length = observed.sum(2, keepdim=True), windows.shape[2]
        known = count >= LEAST_SHARE * length
        means = windows.sum(2, keepdim=True) / count.clamp(min=1) * length**0.5
        return torch.where(known, means, 0.0), known

    @property
    def noise_floor(self) -> float:
        """Squared error below which differences are noise."""
        return LEVEL_NOISE * self.length


@dataclass(frozen=True)
class MissingComponent(WindowComponent):
    """A component that is missing for a series; parameters and errors as of a window bank's."""

    length: int
    shares: tuple[float, ...] = ()

    def judge(
        self, values: Tensor, observed: Tensor, starts: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """NaN for every window and channel."""
        errors = torch.full_like(values[self.length - 1 :], torch.nan)
        return errors, errors[:, :, None].expand(-1, -1, len(self.places)).float()
