"""Segments of series to scaled channels, and which of the channels are scored."""

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.calendar_features import Calendar
from anomdiff.encoding.expected_values import ConditionedSteps, ExpectedValues, Scale
from anomdiff.encoding.json_values import as_label, require_storable, to_json
from anomdiff.encoding.panel import PanelLayout
from anomdiff.encoding.segment import Segment
from anomdiff.encoding.wall_clock import require_zone

__all__ = ["ChannelScaler"]

# Standard deviations from the mean at which a value is cut: one glitch must not dominate a window.
MAX_DEVIATION = 50.0
# Scales of series differ where one is off those of all together by this many standard deviations or
# this factor, in at least this share of the series.
OTHER_SCALE, OTHER_SERIES = 2.0, 0.1
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
    expected : ExpectedValues, or None
        What the calendar and the covariates let one expect, which is taken off the channels.
    """

    layout: PanelLayout
    targets: tuple[bool, ...]
    scales: dict[Any, tuple[np.ndarray, np.ndarray]]
    expected: ExpectedValues | None = None

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
                raise ValueError(
                    f"need values in column {name!r}; it has none: set drop=[{name!r}] to leave it "
                    "out, or fit to rows in which it is measured."
                )
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

    @property
    def conditions(self) -> list:
        """Names of the covariates that say what is normal."""
        if self.expected is None or not len(self.expected.knots):
            return []
        return [n for n in self.layout.channels if n not in self.names]

    def describe_conditions(self) -> dict[str, Any]:
        """Return what says what is normal, as JSON values; nothing where nothing does."""
        if self.expected is None:
            return {}
        calendar = self.expected.calendar.to_dict()
        return {"conditions": to_json(tuple(self.conditions)), "calendar": calendar}

    @property
    def differs_by_series(self) -> bool:
        """Whether the scale of all series together is not that of some of them, in some channel."""
        scored, (mean, std) = list(self.targets), self.scales[None]
        own = [each for label, each in self.scales.items() if label is not None]
        if not own:
            return False
        means, stds = (np.stack(each)[:, scored] for each in zip(*own, strict=True))
        away = np.abs(means - mean[scored]) / stds > OTHER_SCALE
        other = np.abs(np.log(stds / std[scored])) > np.log(OTHER_SCALE)
        return bool((away | other).any(1).mean() > OTHER_SERIES)

    def require_conditions(self, segments: list[Segment[np.ndarray]]) -> None:
        """Refuse rows in which a covariate that says what is normal has no value at all."""
        for name in self.conditions:
            place = self.layout.channels.index(name)
            if all(np.isnan(segment.values[:, place]).all() for segment in segments):
                raise ValueError(
                    f"need values of the covariate {name!r}, which says what is normal; got none "
                    f"in {sum(map(len, segments))} rows: add them, or fit without it."
                )

    def require_clock(self, frame: pd.DataFrame) -> None:
        """Refuse rows of which a calendar does not know what the wall clock shows."""
        if self.expected is not None and self.expected.calendar:
            require_zone(self.layout.clock(frame), self.expected.calendar.zone)

    def conditioned(
        self, segments: list[Segment[np.ndarray]], calendar: Calendar, *, by_covariates: bool
    ) -> tuple["ChannelScaler", list[Segment[np.ndarray]]]:
        """Learn what is expected given calendar and covariates; return the scaled segments too.

        Segments of training are scaled by what is expected where they are left out.
        """
        steps = [self._steps(segment, by_covariates) for segment in segments]
        expected, scales = ExpectedValues.fit(calendar, steps)
        scaler = dataclasses.replace(self, expected=expected)
        pairs = zip(segments, scales, strict=True)
        return scaler, [scaler.encode(segment, scale) for segment, scale in pairs]

    def scale(self, series: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the scored channels of a series, known or not."""
        mean, std = self.scales.get(series, self.scales[None])
        scored = list(self.targets)
        return mean[scored], std[scored]

    def has_scale_of_all(self, series: Any) -> np.ndarray:
        """Which scored channels of a series have the scale of all series together.

        Of several series, those are that training does not show of it, or of it alone.
        """
        known = series in self.scales and len(self.scales) > 2  # one of them is that of all
        own, pooled = (np.stack(self.scale(label)) for label in (series, None))
        return (own == pooled).all(0) & known

    def scale_of(self, segment: Segment) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the scored channels of an encoded segment.

        Of shape (channel,), or (step, channel) where calendar or covariates say what is expected.
        """
        if segment.mean is None or segment.std is None:
            return self.scale(segment.series)
        return segment.mean, segment.std

    def scale_at(self, segment: Segment[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The same of a segment as read; its scored channels do not matter."""
        if self.expected is None:
            return self.scale(segment.series)
        steps = self._steps(segment, bool(self.conditions))
        return self._in_units(segment.series, *self.expected.scale(steps))

    def encode(
        self, segment: Segment[np.ndarray], expected: Scale | None = None
    ) -> Segment[np.ndarray]:
        """Scale the scored channels of a segment to standard deviations; 0 where not observed.

        Where a covariate that says what is normal is missing, the channels count as missing.
        ``expected`` are mean and spread, in standard deviations, if they are not to be computed.
        """
        if self.expected is None:
            return self._scaled(segment, *self.scale(segment.series))
        if expected is None:
            expected = self.expected.scale(self._steps(segment, bool(self.conditions)))
        mean, std = self._in_units(segment.series, *expected)
        scaled = self._scaled(segment, mean, std)
        known = np.ones(len(segment), dtype=bool)
        if self.conditions:
            known = ~np.isnan(segment.values[:, ~np.array(self.targets)]).any(1)
        return dataclasses.replace(
            scaled,
            values=np.where(known[:, None], scaled.values, 0.0),
            observed=scaled.observed & known[:, None],
            mean=mean,
            std=std,
        )

    def _scaled(
        self, segment: Segment[np.ndarray], mean: np.ndarray, std: np.ndarray
    ) -> Segment[np.ndarray]:
        scaled = (segment.values[:, list(self.targets)] - mean) / std
        observed = ~np.isnan(scaled)
        values = np.clip(np.where(observed, scaled, 0.0), -MAX_DEVIATION, MAX_DEVIATION)
        known = segment.series in self.scales
        return dataclasses.replace(segment, values=values, observed=observed, known=known)

    def _in_units(
        self, series: Any, mean: np.ndarray, std: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Expected values in the units of the channels."""
        own_mean, own_std = self.scale(series)
        return own_mean + own_std * mean, own_std * std

    def _steps(self, segment: Segment[np.ndarray], by_covariates: bool) -> ConditionedSteps:
        """Steps in standard deviations of the channels of their series."""
        mean, std = self.scales.get(segment.series, self.scales[None])
        scaled, scored = (segment.values - mean) / std, np.array(self.targets)
        covariates = scaled[:, ~scored] if by_covariates else scaled[:, :0]
        return ConditionedSteps(segment.series, scaled[:, scored], covariates, segment.times)

    def to_dict(self) -> dict:
        """Return the encoder as JSON values."""
        state = {
            "layout": self.layout.to_dict(),
            "targets": list(self.targets),
            "scales": [
                [to_json(label), mean.tolist(), std.tolist()]
                for label, (mean, std) in self.scales.items()
            ],
        }
        return state if self.expected is None else state | {"expected": self.expected.to_dict()}

    @classmethod
    def from_dict(cls, state: Mapping) -> "ChannelScaler":
        """Rebuild an encoder from `to_dict`, before or after a trip through JSON."""
        scales = {
            as_label(label): (np.array(mean, dtype=float), np.array(std, dtype=float))
            for label, mean, std in state["scales"]
        }
        layout, targets = PanelLayout.from_dict(state["layout"]), tuple(state["targets"])
        expected = None
        if "expected" in state:
            expected = ExpectedValues.from_dict(state["expected"])
        scaler = cls(layout, targets, scales, expected)
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
        n_conditions = 0 if self.expected is None else len(self.expected.knots)
        sized = self.expected is None or len(self.expected.size) == sum(self.targets)
        if not sized or n_conditions not in (0, len(self.targets) - sum(self.targets)):
            raise ValueError(
                f"need what is expected of the channels {self.names} in a stored model; got others."
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
