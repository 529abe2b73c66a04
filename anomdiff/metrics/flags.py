"""How well the flags of a detector, at its own threshold, mark the anomalies of a series.

A step is an interval of length 1, so that a run of steps is an interval too, from the beginning of
its first step to the end of its last one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from anomdiff.metrics.ranges import runs

__all__ = ["PrecisionRecall", "affiliation", "range_based"]


class _Interval(NamedTuple):
    start: float
    stop: float

    @property
    def length(self) -> float:
        return self.stop - self.start

    def clip(self, times: np.ndarray) -> np.ndarray:
        return np.clip(times, self.start, self.stop)


class PrecisionRecall(NamedTuple):
    """Precision, NaN where nothing is flagged, and recall, each from 0 to 1."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of both; 0 where nothing is flagged."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total > 0 else 0.0


def affiliation(anomalous: ArrayLike, flagged: ArrayLike) -> PrecisionRecall:
    r"""Precision and recall by distance in time, against a step drawn at random.

    The zone :math:`E` of an anomaly :math:`J` holds the times that are nearer to it than to any
    other anomaly; :math:`I` is what is flagged in the zone, and :math:`X` a time drawn uniformly
    from it. The precision and the recall of a zone are

    .. math:: \frac{1}{|I|} \int_I P\big(d(X, J) \ge d(x, J)\big)\,dx, \qquad
        \frac{1}{|J|} \int_J P\big(|X - y| \ge d(y, I)\big)\,dy

    with the distance d to the nearest point of an interval. Recall is the mean over all anomalies,
    0 in a zone where nothing is flagged; precision is the mean over the zones where something is.

    Parameters
    ----------
    anomalous : array of shape (step,)
        True or 1 where the step of one series, in the order of time, belongs to an anomaly.
    flagged : array of shape (step,)
        True or 1 where the step is flagged.

    Returns
    -------
    rates : PrecisionRecall
        Both are 1 if exactly the anomalies are flagged. Flags at random have a precision of about
        0.5, and everything flagged has a recall of 1 and a precision of
        :math:`\tfrac12 + \tfrac12 (|J| / |E|)^2` around an anomaly in the middle of its zone.

    Raises
    ------
    ValueError
        If shapes differ, an entry is neither 0 nor 1, or no step is anomalous.

    References
    ----------
    Huet, Navarro and Rossi (2022), "Local Evaluation of Time Series Anomaly Detection Algorithms",
    KDD, section 3. https://arxiv.org/abs/2206.13167
    """
    anomalous, flagged = _checked(anomalous, flagged)
    first, last = runs(flagged)
    precisions, recalls = [], []
    for event, zone in _zones(anomalous):
        part = slice(np.searchsorted(last, zone.start, "right"), np.searchsorted(first, zone.stop))
        flags = zone.clip(np.stack([first[part], last[part]]))
        if flags.size:
            precisions.append(_zone_precision(flags, event, zone))
        recalls.append(_zone_recall(flags, event, zone) if flags.size else 0.0)
    return _means(precisions, recalls)


def range_based(anomalous: ArrayLike, flagged: ArrayLike) -> PrecisionRecall:
    """Mean share of each anomaly that is flagged, and of each flagged run that is anomalous.

    Every run counts the same, long or short. These are the range-based recall and precision with
    the settings alpha = 0 (no reward for touching an anomaly), flat positional bias and a
    cardinality factor of 1; `anomdiff.metrics.detection.range_f1` has those of TSB-AD.

    Parameters, result and errors as in `affiliation`.

    References
    ----------
    Tatbul et al. (2018), "Precision and Recall for Time Series". https://arxiv.org/abs/1803.03639
    """
    anomalous, flagged = _checked(anomalous, flagged)
    return _means(_shares(flagged, anomalous), _shares(anomalous, flagged))


def _checked(anomalous: ArrayLike, flagged: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    anomalous, flagged = np.asarray(anomalous), np.asarray(flagged)
    if anomalous.ndim != 1 or anomalous.shape != flagged.shape:
        raise ValueError(
            "need one label and one flag per step; "
            f"got shapes {anomalous.shape} and {flagged.shape}."
        )
    for name, values in (("labels", anomalous), ("flags", flagged)):
        if not np.isin(values, [0, 1]).all():
            step = int(np.argmin(np.isin(values, [0, 1])))
            raise ValueError(f"need {name} of 0 and 1; got {values[step]} at step {step}.")
    if not anomalous.any():
        raise ValueError("need at least one anomalous step; got labels of 0 only.")
    return anomalous.astype(bool), flagged.astype(bool)


def _means(
    precisions: np.ndarray | list[float], recalls: np.ndarray | list[float]
) -> PrecisionRecall:
    precision = float(np.mean(precisions)) if len(precisions) else float("nan")
    return PrecisionRecall(precision, float(np.mean(recalls)))


def _shares(of: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Share of each run that lies within other ones."""
    starts, stops = runs(of)
    counted = np.r_[0, np.cumsum(within)]
    return (counted[stops] - counted[starts]) / (stops - starts)


def _zones(anomalous: np.ndarray) -> Iterator[tuple[_Interval, _Interval]]:
    """Each anomaly with its zone, which ends half way to the next one."""
    starts, stops = runs(anomalous)
    borders = np.r_[0, (stops[:-1] + starts[1:]) / 2, len(anomalous)]
    for bounds in zip(starts, stops, borders[:-1], borders[1:], strict=True):
        start, stop, left, right = map(float, bounds)
        yield _Interval(start, stop), _Interval(left, right)


def _zone_precision(flags: np.ndarray, event: _Interval, zone: _Interval) -> float:
    """Precision of a zone, given the bounds of its flagged runs, of shape (2, run)."""
    rooms = event.start - zone.start, zone.stop - event.stop
    # the distances to the anomaly that each run covers, on one side and the other
    sides = (event.start - flags[::-1]).clip(0), (flags - event.stop).clip(0)
    outside = sum(_farther(side, room) for side in sides for room in rooms) / zone.length
    inside = np.diff(event.clip(flags), axis=0).sum()
    return float((inside + outside) / np.diff(flags, axis=0).sum())


def _farther(distances: np.ndarray, room: float) -> float:
    """Integral of max(0, room - d) over the distances d between the bounds."""
    near, far = (room - distances).clip(0) ** 2 / 2
    return float((near - far).sum())


def _zone_recall(flags: np.ndarray, event: _Interval, zone: _Interval) -> float:
    """Recall of a zone: 1, less the chance of a time nearer than the flagged ones.

    What is not flagged lies between two flagged runs, and its first half is nearer to the first.
    """
    first, last = flags
    middles = np.r_[zone.start, (last[:-1] + first[1:]) / 2, zone.stop]
    after = event.clip(np.stack([last, middles[1:]])) - last
    before = first - event.clip(np.stack([first, middles[:-1]]))
    nearer = _nearer(after, zone.stop - last) + _nearer(before, first - zone.start)
    return 1 - nearer / zone.length / event.length


def _nearer(distances: np.ndarray, room: np.ndarray) -> float:
    """Integral of d + min(d, room - d) over the distances d between the bounds."""
    short = np.minimum(distances, room / 2)
    beyond = distances - short
    low, high = distances**2 / 2 + short**2 / 2 + beyond * room / 2 - beyond**2 / 2
    return float((high - low).sum())
