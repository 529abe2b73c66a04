"""What the calendar and covariates let one expect of each channel: a mean and a spread.

Both are ridge regressions, for all series together and from there for each series by itself: of
the channels, and of the logarithms of what these were off on rows that were left out. The
spread goes by the calendar alone: a colder winter than those of training would leave what
covariates say of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from anomdiff.encoding.calendar_features import DAY, Calendar
from anomdiff.encoding.json_values import as_label, to_json
from anomdiff.encoding.ridge import (
    FOLDS,
    NormalEquations,
    Rows,
    chosen_penalty,
    predicted,
    row_blocks,
)

__all__ = ["ConditionedSteps", "ExpectedValues", "Scale", "condition_features", "fold_numbers"]

# Straight pieces of the effect of a covariate, of equal length. Beyond the ends it goes on for this
# share of the range, and no further: a counter would leave it for ever.
PIECES, BEYOND_RANGE = 8, 0.25
# Share of the steps from which a fold is too large to be left out.
MOST_IN_FOLD = 0.5
# Penalty of what is particular to a series, in rows.
SERIES_PENALTY = 10.0
# Residuals below this share of the standard deviation count as this large.
SMALL_RESIDUAL = 0.05
# The spread of some hours is at most this many times the usual one, or one over it.
MOST_SPREAD = 4.0
# Least spread, in standard deviations of the channel: what is expected to the last digit.
LEAST_SPREAD = 0.01

Weights = dict[Any, np.ndarray]  # of shape (channel, feature), by series
Scale = tuple[np.ndarray, np.ndarray]  # mean and spread, both of shape (step, channel)


class ConditionedSteps(NamedTuple):
    """Steps of one series in standard deviations of its channels, NaN where missing."""

    series: Any
    scored: np.ndarray  # (step, channel)
    covariates: np.ndarray  # (step, covariate)
    times: np.ndarray | None  # nanoseconds since 1970 in UTC; None where rows are only in order

    def rows(self, part: slice) -> "ConditionedSteps":
        """Some of the steps."""
        times = None if self.times is None else self.times[part]
        return ConditionedSteps(self.series, self.scored[part], self.covariates[part], times)


@dataclass(frozen=True)
class ExpectedValues:
    """Mean of the scored channels given calendar and covariates, and spread given the calendar.

    Parameters
    ----------
    calendar : Calendar
        May be empty.
    knots : ndarray of shape (covariate, knot)
        Where the effect of a covariate bends, in its standard deviations.
    size : ndarray of shape (channel,)
        Usual spread, in standard deviations of the channel.
    means, spreads : dict
        Weights of the features by series; under None those of all series together. The second
        are those of the logarithm of the spread, in usual ones.
    """

    calendar: Calendar
    knots: Float[np.ndarray, "covariate knot"]
    size: Float[np.ndarray, "channel"]
    means: Weights
    spreads: Weights

    @classmethod
    def fit(
        cls, calendar: Calendar, parts: Sequence[ConditionedSteps]
    ) -> tuple["ExpectedValues", list[Scale]]:
        """Learn from training; return mean and spread of each part too.

        These are learned from the other folds, so that what is left over is as large as it is on
        new steps.
        """
        covariates = np.concatenate([part.covariates for part in parts])
        ends = np.zeros((2, 0))
        if covariates.shape[1]:
            ends = np.stack([np.nanmin(covariates, 0), np.nanmax(covariates, 0)])
        knots = np.linspace(ends[0], ends[1], PIECES + 1, axis=1)
        regression = _Regression(calendar, knots, parts)
        means, expected = regression.fit([part.scored for part in parts])
        left = [part.scored - mean for part, mean in zip(parts, expected, strict=True)]
        least = np.maximum(SMALL_RESIDUAL * _size(left), np.finfo(float).tiny)
        logs = [np.log(np.maximum(np.abs(each), least)) for each in left]
        centre = np.nanmean(np.concatenate(logs), 0)
        plain = [part._replace(covariates=part.covariates[:, :0]) for part in parts]
        by_calendar = _Regression(calendar, knots[:0], plain)
        spreads, found = by_calendar.fit([each - centre for each in logs])
        shapes = [_spread(each) for each in found]
        ratios = [each / shape for each, shape in zip(left, shapes, strict=True)]
        size = np.maximum(_size(ratios), LEAST_SPREAD)
        scales = [(mean, shape * size) for mean, shape in zip(expected, shapes, strict=True)]
        return cls(calendar, knots, size, means, spreads), scales

    def scale(self, steps: ConditionedSteps) -> Scale:
        """Mean and spread of each step and channel, in standard deviations of the channel.

        A missing covariate counts as its mean.
        """
        shape = (len(steps.scored), len(self.size))
        mean, logs = np.empty(shape), np.empty(shape)
        weights = [each.get(steps.series, each[None]).T for each in (self.means, self.spreads)]
        n_calendar = len(weights[1])
        for part in row_blocks(shape[0]):
            features = condition_features(self.calendar, self.knots, steps.rows(part))
            mean[part], logs[part] = features @ weights[0], features[:, :n_calendar] @ weights[1]
        return mean, _spread(logs) * self.size

    def to_dict(self) -> dict[str, Any]:
        """Return the expected values as JSON values."""
        return {
            "calendar": self.calendar.to_dict(),
            "knots": self.knots.tolist(),
            "size": self.size.tolist(),
            "weights": [
                [to_json(label), self.means[label].tolist(), self.spreads[label].tolist()]
                for label in self.means
            ],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "ExpectedValues":
        """Rebuild expected values from `to_dict`, before or after a trip through JSON."""
        means, spreads = Weights(), Weights()
        for label, mean, spread in state["weights"]:
            means[as_label(label)] = np.array(mean, dtype=float)
            spreads[as_label(label)] = np.array(spread, dtype=float)
        knots = np.array(state["knots"], dtype=float).reshape(-1, PIECES + 1)
        size = np.array(state["size"], dtype=float)
        found = cls(Calendar.from_dict(state["calendar"]), knots, size, means, spreads)
        found._require_whole()
        return found

    def _require_whole(self) -> None:
        """Refuse stored weights that do not fit the features and channels."""
        nothing = ConditionedSteps(
            None, np.zeros((1, 0)), np.zeros((1, len(self.knots))), np.zeros(1, dtype=np.int64)
        )
        n_features = condition_features(self.calendar, self.knots, nothing).shape[1]
        n_calendar = n_features - PIECES * len(self.knots)
        for weights, n in ((self.means, n_features), (self.spreads, n_calendar)):
            shape = (len(self.size), n)
            if None not in weights or any(each.shape != shape for each in weights.values()):
                raise ValueError(
                    f"need weights of shape {shape} of calendar and covariates in a stored model; "
                    f"got {[each.shape for each in weights.values()][:5]}."
                )
        if not (self.size > 0).all():
            raise ValueError(f"need positive spreads in a stored model; got {self.size.tolist()}.")


def condition_features(
    calendar: Calendar, knots: Float[np.ndarray, "covariate knot"], steps: ConditionedSteps
) -> Float[np.ndarray, "step feature"]:
    """Features of steps: a constant, those of the calendar, pieces of a line for each covariate."""
    ones = np.ones((len(steps.scored), 1))
    blocks = [ones]
    if calendar:
        if steps.times is None or steps.times.dtype != np.int64:
            raise ValueError(
                "need times as dates, as in training, for the calendar; got rows without: give "
                "them the column or the DatetimeIndex of times that training had."
            )
        blocks.append(calendar.features(steps.times))
    for cells, bends in zip(steps.covariates.T, knots, strict=True):
        beyond = BEYOND_RANGE * (bends[-1] - bends[0])
        within = np.clip(np.nan_to_num(cells), bends[0] - beyond, bends[-1] + beyond)[:, None]
        blocks += [within, np.maximum(within - bends[1:-1], 0.0)]
    return np.hstack(blocks)


def fold_numbers(
    times: Sequence[np.ndarray | None], lengths: Sequence[int]
) -> list[Int[np.ndarray, "step"]]:
    """Fold of each step of several parts: weeks in turn, or days where there are few weeks.

    Blocks of steps in their order, where there are no dates or most are in one fold.
    """
    dated = [each for each in times if each is not None and each.dtype == np.int64]
    if len(dated) == len(times):
        first = min(each[0] for each in dated)
        whole = max(each[-1] for each in dated) - first
        size = 7 * DAY if whole >= FOLDS * 7 * DAY * (1 - 1e-2) else DAY
        folds = [((each - first) // size % FOLDS).astype(int) for each in dated]
        if np.bincount(np.concatenate(folds)).max() < MOST_IN_FOLD * sum(lengths):
            return folds
    size = max(1, max(lengths) // (2 * FOLDS))
    return [np.arange(n) // size % FOLDS for n in lengths]


class _Regression:
    """Ridge regressions of the steps of training on their features."""

    def __init__(self, calendar: Calendar, knots: np.ndarray, parts: Sequence[ConditionedSteps]):
        self.calendar, self.knots, self.parts = calendar, knots, parts
        self.folds = fold_numbers([each.times for each in parts], [len(p.scored) for p in parts])
        self.places: dict[Any, list[int]] = {}
        for i, part in enumerate(parts):
            if part.series is not None:
                self.places.setdefault(part.series, []).append(i)

    def fit(self, targets: Sequence[np.ndarray]) -> tuple[Weights, list[np.ndarray]]:
        """Weights by series, and what those of the other folds say of each part."""
        every = list(range(len(self.parts)))
        pooled = self._equations(every, targets)
        penalty = chosen_penalty(self._rows(every, targets), pooled)
        weights: Weights = {None: pooled.solve(penalty)}
        others = np.stack([pooled.solve(penalty, k) for k in range(FOLDS)])
        found: list[np.ndarray] = [np.empty(0)] * len(every)
        for label, places in (self.places or {None: every}).items():
            own = others
            if label is not None:
                equations = self._equations(places, targets)
                weights[label] = equations.solve(SERIES_PENALTY, None, weights[None])
                solved = [equations.solve(SERIES_PENALTY, k, others[k]) for k in range(FOLDS)]
                own = np.stack(solved)
            for i in places:
                found[i] = self._predicted(i, own)
        return weights, found

    def _equations(self, places: list[int], targets: Sequence[np.ndarray]) -> NormalEquations:
        rows = self._rows(places, targets)
        whole = not any(np.isnan(targets[i]).any() for i in places)
        return NormalEquations.sum(rows, targets[0].shape[1], whole)

    def _rows(self, places: list[int], targets: Sequence[np.ndarray]) -> Iterator[Rows]:
        """Rows of some parts, those without a missing covariate."""
        for i in places:
            for part in row_blocks(len(self.parts[i].scored)):
                steps = self.parts[i].rows(part)
                known = ~np.isnan(steps.covariates).any(1)
                features = condition_features(self.calendar, self.knots, steps)[known]
                yield features, targets[i][part][known], self.folds[i][part][known]

    def _predicted(self, i: int, weights: np.ndarray) -> np.ndarray:
        blocks = [
            predicted(
                condition_features(self.calendar, self.knots, self.parts[i].rows(part)),
                self.folds[i][part],
                weights,
            )
            for part in row_blocks(len(self.parts[i].scored))
        ]
        return np.concatenate(blocks)


def _spread(logs: np.ndarray) -> np.ndarray:
    """Spread in usual ones, from its logarithm."""
    most = np.log(MOST_SPREAD)
    return np.exp(np.clip(logs, -most, most))


def _size(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Root mean square of each channel."""
    return np.sqrt(np.nanmean(np.concatenate(parts) ** 2, 0))
