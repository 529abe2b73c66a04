"""The series of a panel beside each other: which one needs a look first."""

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from anomdiff.explain.alarm_segments import in_order, require_other_name, require_scored

__all__ = ["fleet_frame", "robust_z_scores"]

WORST = ["anomaly_score", "start", "end", "channels"]
COLUMNS = ["rank", "steps", "segments", "flagged", "mean_score", "deviation", *WORST]
# Mean and median absolute deviation of a Gaussian of unit variance; series that have a median.
MEAN_DEVIATION, MEDIAN_DEVIATION, LEAST_SERIES = (2 / np.pi) ** 0.5, 0.6745, 3
# Share of the steps of a series that are to tell what it is like as a whole, and that of steps near
# to an alarm from which on it has alarms throughout, not a short fault.
LEAST_TELLING, ALARMS_THROUGHOUT = 0.25, 0.5


def fleet_frame(
    scored: pd.DataFrame,
    segments: pd.DataFrame,
    series: Hashable | None,
    time: Hashable | None,
    *,
    threshold: float = np.inf,
    reach: int = 0,
    near: int = 0,
) -> pd.DataFrame:
    """One row per series, the worst first; see ``TimeSeriesDetector.fleet``.

    Steps above ``threshold`` with an alarm at most ``reach`` steps away tell nothing of the whole
    series, as windows that cover them hold the alarm; unless most steps are ``near`` to one.
    """
    require_scored(scored, series, time)
    require_other_name(series, COLUMNS)
    groups = list(in_order(scored, series, time))
    parts = [scored.iloc[rows] for _, rows in groups]
    labels = pd.Index([label for label, _ in groups], object, name=series, tupleize_cols=False)
    fleet = pd.DataFrame([_counts(part) for part in parts])
    fleet["deviation"] = _deviations(parts, threshold, reach, near)
    places = {label: place for place, (label, _) in enumerate(groups)}
    owners = [None] * len(segments) if series is None else segments[series].tolist()
    owned = segments.assign(owner=[places[label] for label in owners])
    fleet.insert(1, "segments", np.bincount(owned["owner"], minlength=len(groups)))
    worst = owned.sort_values("anomaly_score", ascending=False, kind="stable")
    worst = worst.drop_duplicates("owner").set_index("owner").reindex(fleet.index)[WORST]
    fleet = pd.concat([fleet, worst], axis=1).set_axis(labels)
    order = ["anomaly_score", "mean_score"]
    fleet = fleet.sort_values(order, ascending=False, kind="stable", na_position="last")
    fleet.insert(0, "rank", np.arange(1, len(fleet) + 1))
    return fleet[COLUMNS].reset_index(drop=series is None)


def robust_z_scores(values: np.ndarray) -> np.ndarray:
    r"""How far values lie from their median, in robust standard deviations.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Numbers, NaN where missing.

    Returns
    -------
    deviations : ndarray of shape (n,)
        :math:`0.6745 (x - m) / MAD`; with the mean absolute deviation where more than half of the
        values are the median, and 0 where all are. NaN for fewer than three values.

    References
    ----------
    Iglewicz and Hoaglin (1993), "How to Detect and Handle Outliers", section 3.
    """
    if np.count_nonzero(~np.isnan(values)) < LEAST_SERIES:
        return np.full(len(values), np.nan)
    away = values - np.nanmedian(values)
    spread = np.nanmedian(np.abs(away)) / MEDIAN_DEVIATION
    if not spread:
        spread = np.nanmean(np.abs(away)) / MEAN_DEVIATION or 1.0
    return away / spread


def _counts(part: pd.DataFrame) -> dict:
    scores = part["anomaly_score"]
    return {
        "steps": len(part),
        "flagged": part["is_anomaly"].mean(),
        "mean_score": scores.mean(),
    }


def _deviations(
    parts: Sequence[pd.DataFrame], threshold: float, reach: int, near: int
) -> np.ndarray:
    """Robust z-score of each series by the steps that tell; 0 where hardly any does."""
    telling = [_telling(part, threshold, reach, near) for part in parts]
    tells = np.array([each.mean() >= LEAST_TELLING for each in telling])
    scores = [part["anomaly_score"][own] for part, own in zip(parts, telling, strict=True)]
    medians = np.where(tells, [each.median() for each in scores], np.nan)
    deviations = robust_z_scores(medians)
    return deviations if np.isnan(deviations).all() else np.where(tells, deviations, 0.0)


def _telling(part: pd.DataFrame, threshold: float, reach: int, near: int) -> np.ndarray:
    """Which steps of a series, in the order of time, tell what it is like as a whole."""
    flagged = part["is_anomaly"].to_numpy(dtype=bool)
    if _are_within(flagged, near).mean() >= ALARMS_THROUGHOUT:
        return np.ones(len(part), dtype=bool)
    high = part["anomaly_score"].to_numpy(float) > threshold
    return ~((flagged | high) & _are_within(flagged, reach))


def _are_within(flagged: np.ndarray, steps: int) -> np.ndarray:
    """Tell the steps with an alarm so many steps away, or fewer."""
    so_far = np.pad(np.cumsum(np.pad(flagged, steps)), (1, 0))
    return so_far[2 * steps + 1 :] > so_far[: len(flagged)]
