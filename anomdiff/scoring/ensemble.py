"""The ways to look at a row, put together: the network with and without noise, and the memory."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from anomdiff.reference.nearest import Memory
from anomdiff.scoring.reconstruction import Channel, reconstruction_errors, row_misses


@dataclass(frozen=True)
class Ensemble:
    r"""Channels that see different anomalies.

    The network generalises and sees how entries depend on each other; the memory knows
    single rows and clusters that the network smooths over.

    Attributes
    ----------
    network : list of Channel
        Together one voice: levels without noise, then levels with noise.
    memory : list of Memory
        Remembered rows, one voice per view.
    views : bool Tensor of shape (view, \*event)
        Entries that each memory looks at.
    factors : float Tensor of shape (\*event,)
        What the entries of a row, in its memory's eyes, are multiplied by.
    """

    network: list[Channel]
    memory: list[Memory]
    views: Tensor
    factors: Tensor

    @classmethod
    def build(
        cls,
        denoiser: nn.Module,
        memory: list[Memory],
        views: Bool[Tensor, "view *event"],
        factors: Float[Tensor, "*event"],
        levels: Float[Tensor, "level"],
        noise: Float[Tensor, "level draw *seen"],
    ) -> "Ensemble":
        r"""Set up the channels.

        Parameters
        ----------
        denoiser : nn.Module
            Trained on the entries of the first view.
        memory : list of Memory
            What is remembered in each view.
        views : bool Tensor of shape (view, \*event)
            Entries of each view.
        factors : float Tensor of shape (\*event,)
            What the memory's entries are multiplied by.
        levels : float Tensor of shape (level,)
            Noise levels of the network.
        noise : float Tensor of shape (level, draw, \*seen)
            Noise of the network's channel with noise.
        """
        clean = torch.zeros_like(noise[:, :1])
        network = [Channel(denoiser, levels, each, views[0]) for each in (clean, noise)]
        return cls(network, memory, views, factors)

    def misses(
        self,
        values: Float[Tensor, "row *event"],
        observed: Bool[Tensor, "row *event"],
        share: Float[Tensor, "row"],
    ) -> list[Float[Tensor, "row _"]]:
        r"""How badly each voice restores each row.

        Parameters
        ----------
        values, observed : Tensor of shape (row, \*event)
            Encoded rows, float64, and which entries are not missing.
        share : float Tensor of shape (row,)
            Share of the row that is observed.

        Returns
        -------
        misses : list of float Tensor of shape (row, level)
            The network's, then one per view of the memory; to be calibrated.
        """
        network = [
            row_misses(reconstruction_errors(channel, values, observed), share)
            for channel in self.network
        ]
        memory = [
            memory.misses((values * self.factors)[:, view], observed[:, view])
            / share.sqrt()[:, None]
            for memory, view in zip(self.memory, self.views, strict=True)
        ]
        return [torch.cat(network, dim=1), *memory]
