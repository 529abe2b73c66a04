"""The series of a panel beside each other: which one needs a look first."""

from collections.abc import Hashable

import numpy as np
import pandas as pd

from anomdiff.explain.alarm_segments import in_order, require_other_name, require_scored

__all__ = ["fleet_frame", "robust_z_scores"]

WORST = ["anomaly_score", "start", "end", "channels"]
COLUMNS = ["rank", "steps", "segments", "flagged", "mean_score", "deviation", *WORST]
# Mean and median absolute deviation of a Gaussian of unit variance; series that have a median.
MEAN_DEVIATION, MEDIAN_DEVIATION, LEAST_SERIES = (2 / np.pi) ** 0.5, 0.6745, 3


def fleet_frame(
    scored: pd.DataFrame, segments: pd.DataFrame, series: Hashable | None, time: Hashable | None
) -> pd.DataFrame:
    """One row per series, the worst first; see ``TimeSeriesDetector.fleet``."""
    require_scored(scored, series, time)
    require_other_name(series, COLUMNS)
    groups = list(in_order(scored, series, time))
    counted = [_counts(scored.iloc[rows]) for _, rows in groups]
    labels = pd.Index([label for label, _ in groups], object, name=series, tupleize_cols=False)
    fleet = pd.DataFrame(counted)
    fleet["deviation"] = robust_z_scores(fleet.pop("median_score").to_numpy())
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
        "median_score": scores.median(),
    }
