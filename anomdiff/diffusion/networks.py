"""Raw networks inside the denoiser: a residual multilayer perceptron, for rows and for windows."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LevelEmbedding", "ResidualBlock", "ResidualMLP", "WindowMLP"]


class LevelEmbedding(nn.Module):
    """Fourier features of the noise level, then a linear layer.

    Parameters
    ----------
    width : int
        Size of the embedding.
    n_frequencies : int, default=16
        Number of sine and cosine pairs, from half a turn to 32 turns over the
        range of ``log(sigma) / 4`` that training visits.
    """

    frequencies: Tensor

    def __init__(self, width: int, n_frequencies: int = 16):
        super().__init__()
        frequencies = math.pi * torch.logspace(0, 5, n_frequencies, base=2.0) / 2
        self.frequencies: Tensor
        self.register_buffer("frequencies", frequencies, persistent=False)
        self.linear = nn.Linear(2 * n_frequencies, width)

    def forward(self, c_noise: Float[Tensor, "row"]) -> Float[Tensor, "row width"]:
        """Embed ``c_noise``, one number per row."""
        angles = c_noise[:, None] * self.frequencies
        return F.silu(self.linear(torch.cat([angles.sin(), angles.cos()], dim=1)))


class ResidualBlock(nn.Module):
    """Normalise, two linear layers, add."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)
        # A block starts as the identity, so that depth costs nothing early in training.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return ``hidden`` plus the block's contribution."""
        return hidden + self.second(F.silu(self.first(self.norm(hidden))))


class ResidualMLP(nn.Module):
    """Residual multilayer perceptron for rows of a table.

    Parameters
    ----------
    n_coords : int
        Number of entries of an encoded row.
    width : int, default=128
        Size of the hidden layers.
    n_blocks : int, default=3
        Number of residual blocks of two linear layers.
    level_width : int, default=64
        Size of the embedding of the noise level.

    References
    ----------
    Gorishniy et al. (2021), "Revisiting Deep Learning Models for Tabular Data",
    section 3.2.
    """

    def __init__(self, n_coords: int, width: int = 128, n_blocks: int = 3, level_width: int = 64):
        super().__init__()
        self.level = LevelEmbedding(level_width)
        self.inward = nn.Linear(2 * n_coords, width)
        # Shifting and scaling inside every block (FiLM) measured no better and costs a third more.
        self.inlevel = nn.Linear(level_width, width)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(n_blocks))
        self.norm = nn.LayerNorm(width)
        self.outward = nn.Linear(width, n_coords)
        # The untrained network returns zero: the right answer for independent Gaussian columns.
        nn.init.zeros_(self.outward.weight)
        nn.init.zeros_(self.outward.bias)

    @property
    def shape(self) -> dict[str, int]:
        """Parameters that build a network of the same shape."""
        width, n_coords = self.inward.out_features, self.outward.out_features
        return {"n_coords": n_coords, "width": width, "n_blocks": len(self.blocks)}

    @torch.no_grad()
    def take_over(self, other: "ResidualMLP", places: Sequence[int]) -> None:
        """Take over the weights of a network of the same width and depth.

        Entry ``i`` of a row is entry ``places[i]`` there; one that is not there, -1, is left as
        it is, so that an untrained network predicts zero for it.
        """
        n_there, n_here = other.outward.out_features, self.outward.out_features
        here = torch.tensor([i for i, place in enumerate(places) if place >= 0], dtype=torch.long)
        there = torch.tensor([place for place in places if place >= 0], dtype=torch.long)
        own = {name: tensor.clone() for name, tensor in self.state_dict().items()}
        for name, tensor in other.state_dict().items():
            if not name.startswith(("inward.weight", "outward.")):
                own[name] = tensor
        inward = other.inward.weight
        own["inward.weight"][:, here] = inward[:, there]
        own["inward.weight"][:, n_here + here] = inward[:, n_there + there]
        own["outward.weight"][here] = other.outward.weight[there]
        own["outward.bias"][here] = other.outward.bias[there]
        self.load_state_dict(own)

    def forward(
        self,
        x: Float[Tensor, "row coord"],
        given: Bool[Tensor, "row coord"],
        c_noise: Float[Tensor, "row"],
    ) -> Float[Tensor, "row coord"]:
        """Return the raw prediction for ``x``, knowing which entries are noise-free."""
        distinct, place = c_noise, slice(None)
        if not self.training:  # scoring uses a handful of levels: embed each once, not once a row
            distinct, place = c_noise.unique(return_inverse=True)
        level = self.inlevel(self.level(distinct))[place]
        hidden = self.inward(torch.cat([x, given.to(x)], dim=1)) + level
        for block in self.blocks:
            hidden = block(hidden)
        return self.outward(F.silu(self.norm(hidden)))


class WindowMLP(nn.Module):
    """Residual multilayer perceptron over all channels and steps of a window at once.

    Windows are short enough for every step to see every other directly: on a CPU that trains
    faster than convolutions or attention over the steps.

    Parameters
    ----------
    n_channels, length : int
        Shape of a window.
    width, n_blocks : int
        As of ``ResidualMLP``.
    """

    def __init__(self, n_channels: int, length: int, width: int = 128, n_blocks: int = 3):
        super().__init__()
        self.n_channels, self.length = n_channels, length
        self.flat = ResidualMLP(n_channels * length, width, n_blocks)

    @property
    def shape(self) -> dict[str, int]:
        """Parameters that build a network of the same shape."""
        flat = self.flat.shape
        size = {"width": flat["width"], "n_blocks": flat["n_blocks"]}
        return {"n_channels": self.n_channels, "length": self.length, **size}

    def forward(
        self,
        x: Float[Tensor, "row channel time"],
        given: Bool[Tensor, "row channel time"],
        c_noise: Float[Tensor, "row"],
    ) -> Float[Tensor, "row channel time"]:
        """Return the raw prediction for ``x``, knowing which entries are noise-free."""
        return self.flat(x.flatten(1), given.flatten(1), c_noise).reshape(x.shape)
