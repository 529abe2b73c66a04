"""What a fitted detector's network makes of rows, noise level by noise level; no labels needed."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from anomdiff.detectors.base import DiffusionDetector
from anomdiff.detectors.timeseries import TimeSeriesDetector
from anomdiff.diffusion.denoiser import denoising_loss
from anomdiff.diffusion.noise import geometric_levels
from anomdiff.reference.sliding_windows import cut_windows

LEVELS = geometric_levels(8, 0.05, 4.0)
MAX_EVENTS = 1000
SEED = 0

Events = tuple[Tensor, Tensor]


def level_losses(
    detector: DiffusionDetector, groups: dict[str, Events], levels: Tensor = LEVELS
) -> pd.DataFrame:
    """Denoising loss of groups of rows or windows at each noise level.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        Fitted detector.
    groups : dict of str to (values, observed)
        As from `remembered_events` or `network_events`.
    levels : float Tensor of shape (level,)
        Noise levels, in standard deviations.

    Returns
    -------
    losses : DataFrame
        Column ``sigma`` and one column per group: the mean weighted squared error, 1 for a
        network that expects nothing. Where held-out rows lie above training rows, the network
        has learnt these by heart; where both are near 1, it has learnt nothing at that level.
    """
    columns = {
        name: [_loss(detector, *events, float(sigma)) for sigma in levels]
        for name, events in groups.items()
    }
    return pd.DataFrame({"sigma": levels.tolist(), **columns})


def remembered_events(detector: DiffusionDetector) -> dict[str, Events]:
    """Some of the training data that a detector remembers, as its network sees them.

    For tables those are two groups, rows held out of training and rows of training; for series
    it is one, remembered windows.
    """
    if isinstance(detector, TimeSeriesDetector):
        length = detector.network_length_
        (memory, *_) = [each for each in detector.memories_ if each.length == length]
        windows = _some(memory.rows).reshape(-1, len(detector.encoder_.names), length)
        return {"remembered windows": (windows, torch.ones_like(windows, dtype=torch.bool))}
    held_out = detector.memory_["shy"].numpy()
    rows = remembered_rows(detector)
    groups = {"held-out rows": rows[held_out], "training rows": rows[~held_out]}
    return {name: network_events(detector, part) for name, part in groups.items() if len(part)}


def remembered_rows(detector: DiffusionDetector) -> pd.DataFrame:
    """Rows of training that a detector of tables remembers, decoded."""
    return detector.encoder_.decode((detector.memory_["rows"] / detector.ensemble_.factors).numpy())


def network_events(detector: DiffusionDetector, frame: pd.DataFrame) -> Events:
    """Rows of a table, or windows of series, as the network sees them; at most a thousand.

    Returns
    -------
    values, observed : Tensor of shape (row, *event)
        Encoded events, float64, and which entries are not missing.

    Raises
    ------
    ValueError
        If the data cannot be used, or every series is shorter than a window.
    """
    if isinstance(detector, TimeSeriesDetector):
        return _windows(detector, frame)
    checked = detector.schema_.check(frame)
    encoded = detector.encoder_.encode(checked.iloc[_places(len(checked))])
    view = detector.ensemble_.views[0]
    return tuple(torch.from_numpy(part)[:, view] for part in encoded)


def _windows(detector: TimeSeriesDetector, frame: pd.DataFrame) -> Events:
    """Windows of the network's length, their means taken off."""
    length = detector.network_length_
    encoded = [detector.encoder_.encode(part) for part in detector.layout_.read(frame)]
    parts = [
        cut_windows(*map(torch.from_numpy, pair), length)
        for pair in encoded
        if len(pair[0]) >= length
    ]
    if not parts:
        longest = max(len(values) for values, _ in encoded)
        raise ValueError(f"need {length} steps in a row, as the network does; got {longest}.")
    windows, seen = (torch.cat(part) for part in zip(*parts, strict=True))
    return _some(windows), _some(seen)


@torch.inference_mode()
def _loss(detector: DiffusionDetector, values: Tensor, observed: Tensor, sigma: float) -> float:
    """Denoising loss at one level, with the same noise whatever the detector."""
    generator = torch.Generator().manual_seed(SEED)
    noise = torch.randn(values.shape, generator=generator).to(values)
    level = values.new_full((len(values),), sigma)
    nothing = torch.zeros_like(observed)
    return float(denoising_loss(detector.denoiser_, values, observed, level, noise, nothing))


def _some(events: Tensor) -> Tensor:
    return events[_places(len(events))]


def _places(n: int) -> np.ndarray:
    """Evenly spread places of at most a thousand events."""
    return np.linspace(0, n - 1, min(n, MAX_EVENTS)).round().astype(int)
