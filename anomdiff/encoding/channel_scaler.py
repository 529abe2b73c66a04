"""Segments of series to scaled channels, and which of the channels are scored."""

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomdiff.encoding.json_values import as_label, require_storable, to_json
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.segment import Segment

__all__ = ["ChannelScaler"]

# Standard deviations from the mean at which a value is cut: one glitch must not dominate a window.
MAX_DEVIATION = 50.0
# Standard deviation of a channel that never moved, in units of its size or 1: any jump is far.
CONSTANT_STD = 0.01


@dataclass(frozen=True)
class ChannelScaler:
    """Scales the channels of each series and tells targets from covariates.

    A channel that holds only 0 and 1 is a command or a state, not a measurement: a covariate,
    and not scored, unless there is nothing else. One that never moved is scored like any other,
    because a jump is an anomaly; but channels that always were 0, or 1, are covariates where they
    outnumber the channels that moved, and a warning says so.

    Parameters
    ----------
    layout : PanelLayout
        The columns.
    targets : tuple of bool
        Which channels are scored.
    scales : dict
        Mean and standard deviation of every channel, by series; under None those of all series
        together, for a series that training did not show.
    """

    layout: PanelLayout
    targets: tuple[bool, ...]
    scales: dict[Any, tuple[np.ndarray, np.ndarray]]

    @classmethod
    def fit(
        cls,
        layout: PanelLayout,
        segments: list[Segment[np.ndarray]],
        covariates: tuple | None = None,
    ) -> "ChannelScaler":
        """Learn scales and targets from training segments.

        ``covariates`` names the channels that are not scored; by default their values tell.
        """
        values = np.concatenate([part.values for part in segments])
        for name, empty in zip(layout.channels, np.isnan(values).all(0), strict=True):
            if empty:
                raise ValueError(f"need values in column {name!r}; it has none.")
        if covariates is None:
            targets = _targets(values, layout)
        else:
            if unknown := [name for name in covariates if name not in layout.channels]:
                raise ValueError(f"need covariates among {list(layout.channels)}; got {unknown}.")
            targets = np.array([name not in covariates for name in layout.channels])
        if not targets.any():
            raise ValueError("need at least one channel that is not a covariate; got none.")
        groups = {None: [values]}
        for part in segments:
            if part.series is not None:
                groups.setdefault(part.series, []).append(part.values)
        for label in groups:
            require_storable("label of a series", label)
        pooled = np.nanmean(values, 0), np.nanstd(values, 0)
        scales = {label: _scale(np.concatenate(parts), *pooled) for label, parts in groups.items()}
        return cls(layout, tuple(targets.tolist()), scales)

    @property
    def names(self) -> list:
        """Names of the scored channels."""
        return [n for n, t in zip(self.layout.channels, self.targets, strict=True) if t]

    def scale(self, series: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the scored channels of a series, known or not."""
        mean, std = self.scales.get(series, self.scales[None])
        scored = list(self.targets)
        return mean[scored], std[scored]

    def encode(self, segment: Segment[np.ndarray]) -> Segment[np.ndarray]:
        """Scale the scored channels of a segment to standard deviations; 0 where not observed."""
        mean, std = self.scale(segment.series)
        scaled = (segment.values[:, list(self.targets)] - mean) / std
        observed = ~np.isnan(scaled)
        values = np.clip(np.where(observed, scaled, 0.0), -MAX_DEVIATION, MAX_DEVIATION)
        known = segment.series in self.scales
        return dataclasses.replace(segment, values=values, observed=observed, known=known)

    def to_dict(self) -> dict:
        """Return the encoder as JSON values."""
        return {
            "layout": self.layout.to_dict(),
            "targets": list(self.targets),
            "scales": [
                [to_json(label), mean.tolist(), std.tolist()]
                for label, (mean, std) in self.scales.items()
            ],
        }

    @classmethod
    def from_dict(cls, state: Mapping) -> "ChannelScaler":
        """Rebuild an encoder from `to_dict`, before or after a trip through JSON."""
        scales = {
            as_label(label): (np.array(mean, dtype=float), np.array(std, dtype=float))
            for label, mean, std in state["scales"]
        }
        scaler = cls(PanelLayout.from_dict(state["layout"]), tuple(state["targets"]), scales)
        scaler._require_whole()
        return scaler

    def _require_whole(self) -> None:
        """Refuse a stored scaler that lacks the scale of a channel."""
        shape = (len(self.layout.channels),)
        whole = all(
            mean.shape == std.shape == shape and (std > 0).all()
            for mean, std in self.scales.values()
        )
        flags = all(isinstance(target, bool) for target in self.targets)
        if not whole or not flags or len(self.targets) != shape[0] or None not in self.scales:
            raise ValueError(
                f"need the scale of each of the channels {list(self.layout.channels)} in a stored "
                "model; got others."
            )


def _targets(values: np.ndarray, layout: PanelLayout) -> np.ndarray:
    """Tell which channels are scored where none are declared as covariates."""
    states = (np.isnan(values) | (values == 0) | (values == 1)).all(0)
    if states.all():
        return states
    still = states & (np.nanmin(values, 0) == np.nanmax(values, 0))
    if still.sum() <= (~states).sum():
        return ~states | still
    names = [name for name, each in zip(layout.channels, still, strict=True) if each]
    warnings.warn(
        f"channels {names} never moved in training and count as states, which are not scored; set "
        "`covariates` to the channels that are states to have the others scored.",
        stacklevel=2,
    )
    return ~states


def _scale(
    values: np.ndarray, pooled_mean: np.ndarray, pooled_std: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation; of all series where this one is constant, small if all are."""
    empty = np.isnan(values).all(0)
    own = np.where(empty, 0.0, values)  # a channel that this series lacks scales as in the others
    mean = np.where(empty, pooled_mean, np.nanmean(own, 0))
    std = np.nanstd(own, 0)
    tiny = 1e-9 * np.maximum(np.abs(mean), 1e-300)
    constant = CONSTANT_STD * np.maximum(np.abs(mean), 1.0)
    return mean, np.where(std > tiny, std, np.where(pooled_std > tiny, pooled_std, constant))
