r"""New windows of series: each drawn from a Gaussian that is fitted to the neighbours of one.

A reference window and its :math:`k` nearest have a mean :math:`\mu` and deviations from it
:math:`d_i`; :math:`\mu + k^{-1/2} \sum_i g_i d_i` with standard normal :math:`g_i` has their mean
and their covariance, that of noise in single steps included. With more neighbours, draws get away
from the reference windows and lose their shape: :math:`k` is the least that takes them as far
away as windows are that were kept apart. Noising and denoising by the network, as for tables,
measured worse: a classifier recognised every such window by its roughness.

References
----------
Vincent and Bengio (2003), "Manifold Parzen Windows".
"""

from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from anomdiff.conditional import constants as tuned
from anomdiff.conditional.draws import generator_of, quantile_map
from anomdiff.conditional.forecasts import free_name
from anomdiff.diffusion.noise import seeded
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.segment import Segment
from anomdiff.models.window_model import WindowModel
from anomdiff.reference.conditional_means import nearest_distances
from anomdiff.reference.window_bank import WindowBank

__all__ = ["sample_windows", "with_levels"]

# Windows that are drawn together: each has its neighbours beside it.
WINDOWS_DRAWN_AT_ONCE = 64


def sample_windows(
    model: WindowModel,
    n: int,
    length: int | None = None,
    series: object = None,
    random_state: int | np.random.RandomState | None = None,
) -> pd.DataFrame:
    """Draw new windows; see ``TimeSeriesDetector.sample``."""
    if not isinstance(n, Integral) or n < 1:
        raise ValueError(f"need n as a whole number of at least 1; got {n!r}.")
    length = model.network_length if length is None else length
    longest = model.shape_banks[-1].length
    if not isinstance(length, Integral) or not 0 < length <= longest:
        raise ValueError(f"need a length from 1 to {longest}, the longest window; got {length!r}.")
    generator = generator_of(random_state, model.seed)
    bank = next(each for each in model.shape_banks if each.length >= length)
    windows = with_levels(bank, len(model.names), generator)
    drawn = _new_windows(windows, bank.starts, n, generator)[:, :, :length]
    labels = [label for label in model.scaler.scales if label is not None] or [None]
    if series is not None and series not in labels:
        raise ValueError(f"need a series of training, such as {labels[:5]}; got {series!r}.")
    which = torch.randint(len(labels), (n,), generator=generator).tolist()
    owners = [labels[i] if series is None else series for i in which]
    values = drawn.mT.numpy()
    for window, label in zip(values, owners, strict=True):
        mean, std = model.scaler.scale_at(_steps(model, label, length))
        window[:] = window * std + mean
    return _panel(model, values, owners)


def with_levels(
    bank: WindowBank, n_channels: int, generator: torch.Generator
) -> Float[Tensor, "reference channel time"]:
    """Reference windows with the levels that were taken off them.

    Windows that overlap show how much higher one stands than the other. What a chain of them
    leaves open is its own level: over all, series have mean 0 and variance 1.
    """
    windows = bank.windows.double().unflatten(1, (n_channels, bank.length))
    gaps, rises = bank.starts.diff(), windows.new_zeros(len(windows), n_channels)
    linked = (gaps > 0) & (gaps <= (1 - tuned.LINKED) * bank.length)
    for gap in gaps[linked].unique().tolist():
        at = torch.nonzero(gaps == gap)[:, 0]
        shared = windows[at][:, :, gap:] - windows[at + 1][:, :, : bank.length - gap]
        rises[at + 1] = shared.mean(2)
    chain = torch.cat([torch.zeros(1, dtype=torch.long), (~linked).long().cumsum(0)])
    levels = rises.cumsum(0)
    counts = chain.bincount()[:, None]
    means = levels.new_zeros(len(counts), n_channels).index_add(0, chain, levels) / counts
    levels = levels - means[chain]
    if len(means) > 1:
        unexplained = 1 - windows.square().mean((0, 2)) - levels.var(0, correction=0)
        unknown = torch.randn(means.shape, generator=generator, dtype=means.dtype)
        levels = levels + (unknown * unexplained.clamp(min=0).sqrt())[chain]
    return windows + levels[:, :, None]


def _new_windows(
    windows: Float[Tensor, "reference channel time"],
    starts: Int[Tensor, "reference"],
    n: int,
    generator: torch.Generator,
) -> Float[Tensor, "row channel time"]:
    """Draw windows with the marginals of the reference windows, channel by channel."""
    flat, n_drawn = windows.flatten(1), max(n, tuned.WINDOW_MARGINAL)
    k = _n_neighbours(flat, starts, windows.shape[2])
    drawn = _drawn(flat, n_drawn, k, generator).unflatten(1, windows.shape[1:])
    for cells, reference in zip(drawn.unbind(1), windows.unbind(1), strict=True):
        cells.copy_(quantile_map(cells, reference, tuned.WINDOW_QUANTILES)(cells))
    return drawn[:n]


def _drawn(flat: Tensor, n: int, k: int, generator: torch.Generator) -> Tensor:
    """Draw from Gaussians of the neighbours of reference windows, each starting once in turn."""
    order = torch.randperm(len(flat), generator=generator)[torch.arange(n) % len(flat)]
    means, offs = torch.empty(n, flat.shape[1]).to(flat), torch.empty(n, flat.shape[1]).to(flat)
    for rows in torch.arange(n).split(WINDOWS_DRAWN_AT_ONCE):
        own = flat[order[rows]]
        near = torch.cdist(own, flat).topk(min(k, len(flat)), largest=False).indices
        means[rows] = flat[near].mean(1)
        weights = torch.randn(near.shape, generator=generator, dtype=flat.dtype)
        around = flat[near] - means[rows][:, None]
        offs[rows] = torch.einsum("rk,rke->re", weights, around) / max(1, near.shape[1] - 1) ** 0.5
    # Neighbours are chosen for being near: what they differ by is less than what windows do.
    unexplained = flat.var(0).sum() - means.var(0).sum()
    return means + offs * (unexplained / offs.var(0).sum().clamp(min=1e-12)).clamp(min=0).sqrt()


def _n_neighbours(flat: Tensor, starts: Tensor, length: int) -> int:
    """Fewest neighbours with which draws get as far away as windows kept apart are."""
    first = min(round((1 - tuned.LAST_PART) * len(flat)), len(flat) - 1)
    others = flat[starts <= starts[first] - length]
    if len(others) < tuned.NEIGHBOURS_TRIED[0]:  # all windows overlap: distances say nothing
        return tuned.NEIGHBOURS_TRIED[0]
    trials = torch.linspace(first, len(flat) - 1, tuned.WINDOW_DISTANCES).long().unique()
    far = tuned.FAR_ENOUGH * nearest_distances(flat[trials], others).median()
    for k in tuned.NEIGHBOURS_TRIED:
        drawn = _drawn(others, tuned.WINDOW_DISTANCES, k, seeded(k))
        if k >= len(others) or nearest_distances(drawn, others).median() >= far:
            break
    return k


def _steps(model: WindowModel, series: Any, length: int) -> Segment[np.ndarray]:
    """Steps of a new window, as read, the covariates that say what is normal at their means."""
    mean = model.scaler.scales[series][0]
    conditions = [name in model.scaler.conditions for name in model.layout.channels]
    values = np.tile(np.where(conditions, mean, np.nan), (length, 1))
    times = (np.arange(length) * (model.layout.steps.of(series) or 1)).astype(np.int64)
    return Segment(series, np.arange(length), values, ~np.isnan(values), times)


def _panel(model: WindowModel, values: np.ndarray, owners: list) -> pd.DataFrame:
    """Panel of windows, of shape (window, step, channel), each as of a series of training."""
    layout, (n, length, _) = model.layout, values.shape
    taken = set(layout.channels)
    free = (name for name in ("series", "sample", "window") if name not in taken)
    series = next(free, free_name("series", taken)) if layout.series is None else layout.series
    cells = dict(zip(model.names, values.reshape(n * length, -1).T, strict=True))
    for name in model.scaler.conditions:
        means = [model.scaler.scales[label][0][layout.channels.index(name)] for label in owners]
        cells[name] = np.repeat(means, length)
    steps = np.tile(np.arange(length), n)
    if layout.time is None:
        times = {free_name("step", taken): steps}
    else:
        apart = np.array([layout.steps.of(owner) or 1 for owner in owners]).repeat(length)
        times = {layout.time: _times(steps * apart, layout)}
    nothing = np.full(n * length, np.nan)
    channels = {name: cells.get(name, nothing) for name in layout.channels}
    frame = pd.DataFrame({series: np.repeat(np.arange(n), length), **times, **channels})
    calendar = model.scaler.expected is not None and model.scaler.expected.calendar
    if calendar and layout.time is None:  # whose index has the times
        frame.index = pd.Index(_times(steps, layout))
    return frame


def _times(times: np.ndarray, layout: PanelLayout):
    """Numbers as times of the type of those of training."""
    if layout.durations:
        return pd.to_timedelta(times.astype(np.int64), unit="ns")
    if layout.has_dates:
        return pd.to_datetime(times.astype(np.int64))
    return times.astype(np.int64) if (times % 1 == 0).all() else times
