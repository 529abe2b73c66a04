"""Arithmetic of anomalies that last: runs of rows, their shoulders and their overlaps.

The public functions, with their checks, are in `anomdiff.metrics.detection`; here every array is
one-dimensional and has one entry per row.
"""

import numpy as np

__all__ = ["N_THRESHOLDS", "event_rates", "range_rates", "runs", "volumes"]

N_THRESHOLDS = 250


def runs(flagged: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the runs of True: first rows, and rows after the last ones."""
    edges = np.flatnonzero(np.diff(flagged, prepend=False, append=False))
    return edges[::2], edges[1::2]


def volumes(anomalous: np.ndarray, scores: np.ndarray, window: int) -> tuple[float, float]:
    r"""Volumes under the ROC and the precision-recall surface.

    With width w, a row at distance d of an anomaly, :math:`1 \le d \le \lfloor w/2 \rfloor`, is
    itself an anomaly to the degree :math:`\sqrt{1 - d/w}`; degrees from several anomalies add up
    to at most 1. At a threshold that flags F rows, with C of the P anomalous rows and degrees
    of sum S among them, and a share E of the widened anomalies touched,

    .. math:: precision = \frac{C + S}{F}, \quad
        recall = E \min\Big(1, \frac{C + S}{P + S/2}\Big), \quad
        fpr = \frac{F - C - S}{n - P - S/2}

    The steps of precision over recall and the trapezoids of recall over fpr are summed over the
    thresholds and averaged over the widths 0 to `window`.
    """
    n_rows, n_anomalous = len(scores), anomalous.sum()
    first = _first_threshold(scores)
    flagged, found = _cumulated(first), _cumulated(first[anomalous])
    rows, nearest, second = _shoulders(anomalous, window // 2)
    roc = pr = 0.0
    for width in range(window + 1):
        reach = width // 2
        part = slice(np.searchsorted(nearest, reach, side="right"))
        # a degree is at least sqrt(1/2), so two of them always fill a row
        alone = second[part] > reach
        degrees = np.where(alone, np.sqrt(1 - nearest[part] / width), 1.0)
        shoulder = _cumulated(first[rows[part]], degrees)
        hits, positives = found + shoulder, n_anomalous + shoulder / 2
        recall = _touched(first, anomalous, reach) * np.minimum(hits / positives, 1)
        fpr = (flagged - hits) / (n_rows - positives)
        roc += float(np.trapezoid(np.r_[0, recall, 1], np.r_[0, fpr, 1]))
        pr += float(np.diff(recall, prepend=0) @ (hits / flagged))
    return roc / (window + 1), pr / (window + 1)


def range_rates(anomalous: np.ndarray, flagged: np.ndarray) -> tuple[float, float]:
    """Range precision and recall: flat bias, factor 1/x for x segments, 0.2 for being touched."""
    return _reward(flagged, anomalous, touched=0.0), _reward(anomalous, flagged, touched=0.2)


def event_rates(anomalous: np.ndarray, flagged: np.ndarray) -> tuple[float, float]:
    """Share of anomalous rows among the flagged ones, share of anomalies with a flagged row."""
    precision = anomalous[flagged].mean() if flagged.any() else 0.0
    rows, _ = _overlaps(anomalous, flagged)
    return float(precision), float((rows > 0).mean())


def _first_threshold(scores: np.ndarray) -> np.ndarray:
    """Place, from the largest threshold down, of the first one that flags each row."""
    places = np.linspace(0, len(scores) - 1, N_THRESHOLDS).astype(int)
    descending = np.sort(-scores)
    return np.searchsorted(descending[places], -scores)


def _cumulated(first: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Weight of the rows that are flagged at each threshold."""
    return np.bincount(first, weights, minlength=N_THRESHOLDS).cumsum()


def _shoulders(anomalous: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normal rows within `reach` of an anomaly, and how far the nearest two anomalies are.

    Ordered by the nearest distance, so that a shorter reach takes a leading part.
    """
    starts, stops = runs(anomalous)
    far = len(anomalous) + reach
    starts, stops = np.r_[starts, far, far], np.r_[-reach, -reach, stops]
    rows = np.flatnonzero(~anomalous)
    after = np.searchsorted(starts, rows)
    distances = np.stack(
        [
            rows - stops[after] + 1,
            rows - stops[after + 1] + 1,
            starts[after] - rows,
            starts[after + 1] - rows,
        ]
    )
    nearest, second = np.partition(distances, 1, axis=0)[:2]
    order = np.argsort(nearest, kind="stable")
    order = order[: np.count_nonzero(nearest <= reach)]
    return rows[order], nearest[order], second[order]


def _touched(first: np.ndarray, anomalous: np.ndarray, reach: int) -> np.ndarray:
    """Share of anomalies, widened by `reach` and merged where they meet, with a flagged row."""
    starts, stops = runs(anomalous)
    apart = starts[1:] - reach > stops[:-1] - 1 + reach
    starts = np.maximum(starts[np.r_[True, apart]] - reach, 0)
    stops = np.minimum(stops[np.r_[apart, True]] + reach, len(first))
    # reduceat takes no bound after the last row; a row that no threshold flags stands there
    padded = np.append(first, N_THRESHOLDS)
    earliest = np.minimum.reduceat(padded, np.column_stack([starts, stops]).ravel())[::2]
    return _cumulated(earliest) / len(starts)


def _reward(wanted: np.ndarray, given: np.ndarray, touched: float) -> float:
    """Mean over the runs of `wanted` of how well those of `given` cover them."""
    rows, segments = _overlaps(wanted, given)
    starts, stops = runs(wanted)
    if not len(starts):
        return 0.0
    covered = rows / (stops - starts) / np.maximum(segments, 1)
    return float((touched * (rows > 0) + (1 - touched) * covered).mean())


def _overlaps(wanted: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each run of `wanted`: rows it shares with `given`, runs of `given` it meets."""
    starts, stops = runs(wanted)
    given_starts, given_stops = runs(given)
    before = np.r_[0, np.cumsum(given)]
    begun = np.searchsorted(given_starts, stops)
    over = np.searchsorted(given_stops, starts, side="right")
    return before[stops] - before[starts], begun - over
