r"""New windows of series: each drawn from a Gaussian that is fitted to the neighbours of one.

A remembered window and its :math:`k` nearest have a mean :math:`\mu` and deviations from it
:math:`d_i`; :math:`\mu + k^{-1/2} \sum_i g_i d_i` with standard normal :math:`g_i` has their mean
and their covariance, that of noise in single steps included. With more neighbours, draws get away
from the remembered windows and lose their shape: :math:`k` is the least that takes them as far
away as windows are that were kept apart. Noising and denoising by the network, as for tables,
measured worse: a classifier told every such window by its roughness.

References
----------
Vincent and Bengio (2003), "Manifold Parzen Windows".
"""

from numbers import Integral

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomdiff.conditional.forecasts import seeded, shapes, target_scale
from anomdiff.conditional.reference_rows import nearest_rows
from anomdiff.encoding.panel import PanelLayout
from anomdiff.reference.window_bank import WindowMemory

# Numbers of neighbours to try; and how far from the remembered windows, in distances of windows
# kept apart, is far enough.
NEIGHBOURS = (3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500)
FAR_ENOUGH = 0.9
# Share of the memory, its last part, that is kept apart to tell; and windows drawn for it.
APART, N_TRIED = 0.2, 300
# Windows that are drawn together: each has its neighbours beside it.
AT_ONCE = 64
# Windows drawn at least, and quantiles compared, to see how values come out.
N_MARGINAL, N_QUANTILES = 300, 1001
# Neighbouring windows are linked that share this many of their steps.
LINKED = 0.25


def sample_windows(detector, n: int, length: int | None, series, random_state) -> pd.DataFrame:
    """Draw new windows; see ``TimeSeriesDetector.sample``."""
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"need n as a whole number of at least 1; got {n!r}.")
    length = detector.network_length_ if length is None else length
    longest = shapes(detector)[-1].length
    if not isinstance(length, Integral) or not 0 < length <= longest:
        raise ValueError(f"need a length from 1 to {longest}, the longest window; got {length!r}.")
    generator = seeded(detector, random_state)
    memory = next(each for each in shapes(detector) if each.length >= length)
    windows = with_levels(memory, len(detector.encoder_.names), generator)
    drawn = new_windows(windows, memory.places, n, generator)[:, :, :length]
    labels = [label for label in detector.encoder_.scales if label is not None] or [None]
    if series is not None and series not in labels:
        raise ValueError(f"need a series of training, such as {labels[:5]}; got {series!r}.")
    which = torch.randint(len(labels), (n,), generator=generator).tolist()
    owners = [labels[i] if series is None else series for i in which]
    mean, std = zip(*(target_scale(detector.encoder_, label) for label in owners), strict=True)
    values = drawn.mT.numpy() * np.stack(std)[:, None] + np.stack(mean)[:, None]
    return _laid_out(detector, values)


def with_levels(
    memory: WindowMemory, n_channels: int, generator: torch.Generator
) -> Float[Tensor, "memory channel time"]:
    """Remembered windows with the levels that were taken off them.

    Windows that overlap tell how much higher one stands than the other. What a chain of them
    leaves open is its own level: over all, series have mean 0 and variance 1.
    """
    windows = memory.rows.double().unflatten(1, (n_channels, memory.length))
    gaps, rises = memory.places.diff(), windows.new_zeros(len(windows), n_channels)
    linked = (gaps > 0) & (gaps <= (1 - LINKED) * memory.length)
    for gap in gaps[linked].unique().tolist():
        at = torch.nonzero(gaps == gap)[:, 0]
        shared = windows[at][:, :, gap:] - windows[at + 1][:, :, : memory.length - gap]
        rises[at + 1] = shared.mean(2)
    chain = torch.cat([torch.zeros(1, dtype=torch.long), (~linked).long().cumsum(0)])
    levels = rises.cumsum(0)
    counts = chain.bincount()[:, None]
    means = levels.new_zeros(len(counts), n_channels).index_add(0, chain, levels) / counts
    levels = levels - means[chain]
    if len(means) > 1:
        lacking = 1 - windows.square().mean((0, 2)) - levels.var(0, correction=0)
        unknown = torch.randn(means.shape, generator=generator, dtype=means.dtype)
        levels = levels + (unknown * lacking.clamp(min=0).sqrt())[chain]
    return windows + levels[:, :, None]


def new_windows(
    windows: Float[Tensor, "memory channel time"],
    places: Int[Tensor, "memory"],
    n: int,
    generator: torch.Generator,
) -> Float[Tensor, "row channel time"]:
    """Draw windows with the marginals of the remembered ones, channel by channel.

    Parameters
    ----------
    windows : float Tensor of shape (memory, channel, time)
        Remembered windows.
    places : int Tensor of shape (memory,)
        Where each begins, in ascending order.
    n : int
        Number of windows to draw.
    generator : torch.Generator
        Source of all randomness.
    """
    flat = windows.flatten(1)
    k = _n_neighbours(flat, places, windows.shape[2])
    drawn = _drawn(flat, max(n, N_MARGINAL), k, generator).unflatten(1, windows.shape[1:])
    shares = np.linspace(0, 1, N_QUANTILES)
    for channel, known in enumerate(windows.unbind(1)):
        cells = drawn[:, channel].numpy()
        quantiles = (np.quantile(each, shares) for each in (cells, known.numpy()))
        drawn[:, channel] = torch.from_numpy(np.interp(cells, *quantiles))
    return drawn[:n]


def _drawn(flat: Tensor, n: int, k: int, generator: torch.Generator) -> Tensor:
    """Draw from Gaussians of the neighbours of remembered windows, each starting once in turn."""
    order = torch.randperm(len(flat), generator=generator)[torch.arange(n) % len(flat)]
    means, offs = torch.empty(n, flat.shape[1]).to(flat), torch.empty(n, flat.shape[1]).to(flat)
    for rows in torch.arange(n).split(AT_ONCE):
        own = flat[order[rows]]
        near = torch.cdist(own, flat).topk(min(k, len(flat)), largest=False).indices
        means[rows] = flat[near].mean(1)
        weights = torch.randn(near.shape, generator=generator, dtype=flat.dtype)
        around = flat[near] - means[rows][:, None]
        offs[rows] = torch.einsum("rk,rke->re", weights, around) / max(1, near.shape[1] - 1) ** 0.5
    # Neighbours are chosen for being near: what they differ by is less than what windows do.
    lacking = flat.var(0).sum() - means.var(0).sum()
    return means + offs * (lacking / offs.var(0).sum().clamp(min=1e-12)).clamp(min=0).sqrt()


def _n_neighbours(flat: Tensor, places: Tensor, length: int) -> int:
    """Fewest neighbours with which draws get as far away as windows kept apart are."""
    first = min(round((1 - APART) * len(flat)), len(flat) - 1)
    rest = flat[places <= places[first] - length]
    if len(rest) < NEIGHBOURS[0]:  # all windows overlap: nothing tells
        return NEIGHBOURS[0]
    tried = torch.linspace(first, len(flat) - 1, N_TRIED).long().unique()
    far = FAR_ENOUGH * nearest_rows(flat[tried], rest).median()
    for k in NEIGHBOURS:
        drawn = _drawn(rest, N_TRIED, k, torch.Generator().manual_seed(k))
        if k >= len(rest) or nearest_rows(drawn, rest).median() >= far:
            break
    return k


def _laid_out(detector, values: np.ndarray) -> pd.DataFrame:
    """Panel of windows, of shape (window, step, channel)."""
    layout, (n, length, _) = detector.layout_, values.shape
    taken = set(layout.channels)
    free = (name for name in ("series", "sample", "window") if name not in taken)
    series = next(free) if layout.series is None else layout.series
    cells = dict(zip(detector.encoder_.names, values.reshape(n * length, -1).T, strict=True))
    steps = np.tile(np.arange(length), n)
    if layout.time is None:
        times = {"step": steps} if "step" not in taken else {}
    else:
        times = {layout.time: _times(steps, layout)}
    nothing = np.full(n * length, np.nan)
    channels = {name: cells.get(name, nothing) for name in layout.channels}
    return pd.DataFrame({series: np.repeat(np.arange(n), length), **times, **channels})


def _times(steps: np.ndarray, layout: PanelLayout):
    """Numbers of steps as times that lie as far apart as those of training."""
    step = layout.step or 1
    times = steps * step
    if layout.has_dates:
        return pd.to_datetime(times.astype(np.int64))
    return times.astype(np.int64) if float(step).is_integer() else times
