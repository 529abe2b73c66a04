"""Windows of series: how far from the nearest remembered one, folded back to steps and channels."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from anomdiff.scoring.memory import compared

# Windows unfolded at once: neighbouring windows share their numbers until they are compared.
WINDOWS_AT_ONCE = 512
# A window that has seen less than this share of its entries says nothing.
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class WindowMemory:
    r"""Remembered windows of one length, each without its mean.

    Parameters
    ----------
    length : int
        Steps of a window.
    rows : float Tensor of shape (memory, channel * length)
        The windows.
    places : int Tensor of shape (memory,)
        Where each begins, on an axis on which training stretches lie apart.
    """

    length: int
    rows: Tensor
    places: Tensor

    @torch.inference_mode()
    def energies(
        self,
        values: Float[Tensor, "step channel"],
        observed: Bool[Tensor, "step channel"],
        places: Int[Tensor, "window"] | None = None,
    ) -> Float[Tensor, "window channel"]:
        r"""Squared distance of each window to the nearest remembered one, by channel.

        The miss of the empirical denoiser of windows as its noise vanishes. Missing entries do
        not count; the energy is scaled up to the whole window.

        Parameters
        ----------
        values : float Tensor of shape (step, channel)
            Scaled steps, 0 where not observed; at least ``length`` of them.
        observed : bool Tensor of shape (step, channel)
            False where missing.
        places : int Tensor of shape (window,), optional
            Where each window begins, if these are training data: windows that overlap it do
            not vouch for it.

        Returns
        -------
        energies : float Tensor of shape (window, channel)
            Summed over channels, the squared distance per channel; NaN where less than half of
            the window is observed.
        """
        found = []
        n_windows = len(values) - self.length + 1
        for start in range(0, n_windows, WINDOWS_AT_ONCE):
            stop = min(start + WINDOWS_AT_ONCE, n_windows)
            steps = slice(start, stop + self.length - 1)
            x, seen = cut_windows(values[steps], observed[steps], self.length)
            own = None if places is None else self._overlapping(places[start:stop])
            found.append(self._energies(x, seen, own))
        return torch.cat(found)

    def _overlapping(self, places: Tensor) -> Tensor:
        return (places[:, None] - self.places).abs() < self.length

    def _energies(self, x: Tensor, seen: Tensor, own: Tensor | None) -> Tensor:
        parts = []
        for row, mask, squares in compared(self.rows, x, seen, own):
            nearest = self.rows[squares.argmin(1)]
            miss = torch.where(mask, nearest - row, 0.0).square()
            share = mask.to(row).mean(1, keepdim=True)
            by_channel = miss.reshape(len(row), -1, self.length).sum(2)
            scaled = by_channel / share / by_channel.shape[1]
            parts.append(torch.where(share < LEAST_SHARE, torch.nan, scaled))
        return torch.cat(parts)


def cut_windows(
    values: Float[Tensor, "step channel"], observed: Bool[Tensor, "step channel"], length: int
) -> tuple[Float[Tensor, "window entry"], Bool[Tensor, "window entry"]]:
    """All windows of a stretch, the mean of each channel's observed entries taken off.

    Parameters
    ----------
    values : float Tensor of shape (step, channel)
        Scaled steps, 0 where not observed.
    observed : bool Tensor of shape (step, channel)
        False where missing.
    length : int
        Steps of a window.

    Returns
    -------
    windows, seen : Tensor of shape (step - length + 1, channel * length)
        0 where not seen.
    """
    x, seen = values.unfold(0, length, 1), observed.unfold(0, length, 1)
    mean = x.sum(2, keepdim=True) / seen.sum(2, keepdim=True).clamp(min=1)
    return torch.where(seen, x - mean, 0.0).flatten(1), seen.flatten(1)


def fold(energies: Float[Tensor, "window channel"], length: int) -> Float[Tensor, "step channel"]:
    """Mean energy of the windows that cover each step; NaN where none of them says anything.

    Parameters
    ----------
    energies : float Tensor of shape (window, channel)
        Of all windows of a stretch; NaN where unknown.
    length : int
        Steps of a window.

    Returns
    -------
    folded : float Tensor of shape (window + length - 1, channel)
        One row per step of the stretch.
    """
    known = ~energies.isnan()
    padded = F.pad(torch.where(known, energies, 0.0), (0, 0, length - 1, length - 1))
    counts = F.pad(known.to(energies), (0, 0, length - 1, length - 1))
    return padded.unfold(0, length, 1).sum(2) / counts.unfold(0, length, 1).sum(2)


@dataclass(frozen=True)
class WindowCalibration:
    """What energies of normal steps are like, for each window length.

    Parameters
    ----------
    mean, spread : float Tensor of shape (length,)
        Location and scale of the folded energy.

    """

    mean: Tensor
    spread: Tensor

    # Energy per step, in squared standard deviations, below which differences are noise.
    NOISE = 1e-3

    @classmethod
    def fit(cls, folded: list[Tensor], lengths: list[int]) -> "WindowCalibration":
        """Calibrate on folded energies of normal steps, of shape (step, channel) per length."""
        totals = [each.sum(1) for each in folded]
        totals = [total[~total.isnan()] for total in totals]
        mean = torch.stack([total.mean() for total in totals])
        spread = torch.stack(
            [
                total.std(correction=0) + cls.NOISE * length
                for total, length in zip(totals, lengths, strict=True)
            ]
        )
        return cls(mean, spread)

    def contributions(
        self, folded: Float[Tensor, "length step channel"]
    ) -> tuple[Float[Tensor, "step"], Float[Tensor, "step channel"]]:
        """Score each step: the largest standardised energy plus the mean over lengths.

        The largest lets the length that fits an anomaly speak, the mean steadies it.

        Parameters
        ----------
        folded : float Tensor of shape (length, step, channel)
            Folded energies, NaN where unknown.

        Returns
        -------
        scores : float Tensor of shape (step,)
            About 0 for normal steps; 0 where nothing is known.
        contributions : float Tensor of shape (step, channel)
            Energy of each channel in the score; they add up to the score, but for what normal
            steps have too.
        """
        standard = (folded.sum(2) - self.mean[:, None]) / self.spread[:, None]
        known = ~standard.isnan()
        filled = torch.where(known, standard, -torch.inf)
        share = known / known.sum(0).clamp(min=1) + F.one_hot(filled.argmax(0), len(filled)).T
        share = torch.where(known, share, 0.0)
        scores = (share * torch.where(known, standard, 0.0)).sum(0)
        weights = (share / self.spread[:, None])[:, :, None]
        return scores, (weights * folded.nan_to_num(0.0)).sum(0)
