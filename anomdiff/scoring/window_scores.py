"""Windows of series: cut, judged by the network, folded back to steps, calibrated."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from anomdiff.reference.sliding_windows import Covering, blocks, by_channel, without_means

# Weight of the network's voice beside the largest and the mean of the others.
NETWORK_WEIGHT = 0.5


@dataclass(frozen=True)
class WindowNetwork(Covering):
    r"""How far the trained denoiser would move windows that carry no noise.

    Parameters
    ----------
    denoiser : nn.Module
        Called as ``denoiser(noisy, sigma, given)``, in evaluation mode.
    length : int
        Steps of a window.
    sigma : float
        Noise level that the denoiser is told, in standard deviations.
    """

    denoiser: nn.Module
    length: int
    sigma: float

    @torch.inference_mode()
    def energies(
        self, values: Float[Tensor, "step channel"], observed: Bool[Tensor, "step channel"]
    ) -> Float[Tensor, "window channel"]:
        r"""Squared move of each window by channel, over its expectation on Gaussian data.

        Parameters
        ----------
        values : float Tensor of shape (step, channel)
            Scaled steps, 0 where not observed; at least ``length`` of them.
        observed : bool Tensor of shape (step, channel)
            False where missing.

        Returns
        -------
        energies : float Tensor of shape (window, channel)
            As of ``WindowMemory.energies``.
        """
        found = []
        scale = self.sigma**2 / (1 + self.sigma**2)
        for _, windows, seen in blocks(values, observed, self.length):
            x = without_means(windows, seen)
            level = x.new_full((len(x),), self.sigma)
            moved = self.denoiser(x, level, torch.zeros_like(seen)) - x
            found.append(by_channel(torch.where(seen, moved, 0.0).square() / scale, seen))
        return torch.cat(found)


def without_optimism(
    folded: Float[Tensor, "voice step channel"], fresh: Bool[Tensor, "step"]
) -> Float[Tensor, "voice step channel"]:
    """Scale the network's energies of steps it was trained on up to those of steps it was not.

    A network restores what it was trained on better than what is new. The remembered windows need
    no such factor: those that overlap a step do not vouch for it.

    Parameters
    ----------
    folded : float Tensor of shape (voice, step, channel)
        Folded energies of training steps, NaN where unknown; the last voice is the network.
    fresh : bool Tensor of shape (step,)
        Steps that the network was not trained on; nothing is scaled if there are none.

    Returns
    -------
    folded : float Tensor of shape (voice, step, channel)
        The same, the last voice multiplied by the ratio of mean energies, at least 1, where not
        fresh.
    """
    energies = folded[-1].sum(1)
    seen, unseen = energies[~fresh].nanmean(), energies[fresh].nanmean()
    ratio = unseen / seen
    if not ratio.isfinite() or ratio < 1:
        return folded
    scaled = torch.where(fresh[:, None], folded[-1], ratio * folded[-1])
    return torch.cat([folded[:-1], scaled[None]])


@dataclass(frozen=True)
class WindowCalibration:
    """What folded energies of normal steps are like, voice by voice; the last is the network.

    Parameters
    ----------
    mean, spread : float Tensor of shape (voice,)
        Location and scale.
    """

    mean: Tensor
    spread: Tensor

    @classmethod
    def fit(
        cls, folded: Float[Tensor, "voice step channel"], noise: list[float]
    ) -> "WindowCalibration":
        """Calibrate on the folded energies of normal steps; NaN where unknown.

        Parameters
        ----------
        folded : float Tensor of shape (voice, step, channel)
            Folded energies.
        noise : list of float
            Energy below which differences are noise, by voice.
        """
        totals = [total[~total.isnan()] for total in folded.sum(2)]
        # A voice that no step of training was long enough for has nothing to say.
        mean = torch.stack([t.mean() if len(t) else t.new_zeros(()) for t in totals])
        spread = torch.stack([t.std(correction=0) if len(t) else t.new_ones(()) for t in totals])
        return cls(mean, spread + torch.tensor(noise, dtype=spread.dtype))

    def score(
        self, folded: Float[Tensor, "voice step channel"]
    ) -> tuple[Float[Tensor, "step"], Float[Tensor, "step channel"]]:
        """Score each step, and say how much of it each channel is to blame for.

        A score is half the network's standardised energy, plus the largest of the others, plus
        their mean: the largest lets the length speak that fits an anomaly, the mean steadies it.

        Parameters
        ----------
        folded : float Tensor of shape (voice, step, channel)
            Folded energies, NaN where unknown.

        Returns
        -------
        scores : float Tensor of shape (step,)
            About 0 for normal steps, and where nothing is known.
        blame : float Tensor of shape (step, channel)
            What each channel's energy adds to the score; over channels it sums up to the score,
            but for a constant that a step without any energy would get.
        """
        standard = (folded.sum(2) - self.mean[:, None]) / self.spread[:, None]
        known = ~standard.isnan()
        memories = torch.where(known, standard, -torch.inf)[:-1]
        weights = known.to(standard)
        weights[:-1] /= weights[:-1].sum(0).clamp(min=1)
        weights[:-1] += F.one_hot(memories.argmax(0), len(memories)).T
        weights[-1] *= NETWORK_WEIGHT
        weights = torch.where(known, weights, 0.0)
        scores = (weights * standard.nan_to_num(0.0)).sum(0)
        per_energy = (weights / self.spread[:, None])[:, :, None]
        return scores, (per_energy * folded.nan_to_num(0.0)).sum(0)
