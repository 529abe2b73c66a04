"""What stored verdicts say about alarms: silenced, near a confirmed one, or neither."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from anomdiff.detectors.tabular import TabularDetector
from anomdiff.feedback.nearest_verdicts import NearestVerdicts, Points, default_radius
from anomdiff.feedback.reweighting import Examples, Reweighting
from anomdiff.feedback.verdicts import FALSE_ALARM
from anomdiff.thresholds.severity import severity

__all__ = ["COLUMNS", "Judge"]

# Of ``Judge.judge``.
COLUMNS = ["priority", "nearest_verdict", "verdict_distance", "muted_by"]
# Normal rows beside the judged ones: more take longer, and tell the same.
NORMAL_ROWS = 2000
# An alarm near a confirmed one goes this share of the way to the top of the scale.
RAISED = 0.5


@dataclass(frozen=True)
class Judge:
    """Verdicts on rows of one detector, ready for the alarms of a batch.

    Attributes
    ----------
    detector : TabularDetector
    nearest : NearestVerdicts
    names : sequence of str
        Of the judged rows, each another one.
    verdicts : sequence of str
        ``"false alarm"``, ``"confirmed"`` or ``"missed"``.
    reweighting : Reweighting
    """

    detector: TabularDetector
    nearest: NearestVerdicts
    names: Sequence[str]
    verdicts: Sequence[str]
    reweighting: Reweighting

    @classmethod
    def fit(
        cls,
        detector: TabularDetector,
        rows: pd.DataFrame,
        verdicts: Sequence[str],
        names: Sequence[str],
        radius: float | None = None,
    ) -> "Judge":
        """Take in judged rows, in any order.

        Parameters
        ----------
        detector : TabularDetector
            Fitted.
        rows : DataFrame
            Judged rows with the columns of the model, under its names.
        verdicts : sequence of str
            Of each row: ``"false alarm"``, ``"confirmed"`` or ``"missed"``.
        names : sequence of str
            Of each row, to say which verdict it was.
        radius : float, optional
            Distance up to which a verdict holds for other rows, in standard deviations of the
            encoded columns; by default that of ``default_radius``.
        """
        order = np.argsort(np.asarray(names, dtype=str), kind="stable")
        names, verdicts = [names[i] for i in order], [verdicts[i] for i in order]
        points = Points.of(detector, rows.iloc[order])
        anomalous = np.array([verdict != FALSE_ALARM for verdict in verdicts], dtype=bool)
        radius = default_radius(detector.model_) if radius is None else radius
        nearest = NearestVerdicts(points.compared, anomalous, radius)
        learned = Reweighting.fit(_examples(detector, points), anomalous, _normal(detector))
        return cls(detector, nearest, names, verdicts, learned)

    def judge(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What the verdicts say about alarms; a pure function of each row.

        Parameters
        ----------
        rows : DataFrame
            Alarms with the columns of the model, under its names.

        Returns
        -------
        judged : DataFrame
            Index of ``rows``; ``priority`` (0 to 100: the severity, with what was learned from
            verdicts, and raised near a confirmed anomaly), ``nearest_verdict`` and
            ``verdict_distance`` (of the verdict that holds, within the radius; missing where none
            does) and ``muted_by`` (``verdict NAME`` where that is a false alarm, else empty).
        """
        points = Points.of(self.detector, rows)
        false, confirmed = self.nearest.search(points.compared)
        is_false = false.distances < confirmed.distances
        place = np.where(is_false, false.rows, confirmed.rows)
        distance = np.where(is_false, false.distances, confirmed.distances)
        holds = distance <= self.nearest.radius
        priority = self.reweighting.priorities(_examples(self.detector, points))
        raised = priority + RAISED * (100 - priority)
        told = [
            f"{self.verdicts[i]}: {self.names[i]}" if h else None for i, h in _pairs(place, holds)
        ]
        muted = [
            f"verdict {self.names[i]}" if h else "" for i, h in _pairs(place, holds & is_false)
        ]
        found = {
            "priority": np.where(holds & ~is_false, raised, priority),
            "nearest_verdict": pd.Series(told, rows.index, dtype=object),
            "verdict_distance": np.where(holds, distance, np.nan),
            "muted_by": pd.Series(muted, rows.index, dtype=object),
        }
        return pd.DataFrame(found, index=rows.index, columns=COLUMNS)

    def silenced(self) -> np.ndarray:
        """Whether each judged row silences its own copies: no confirmed one is as near."""
        false, confirmed = self.nearest.search(self.nearest.compared)
        return ~self.nearest.anomalous & (false.distances < confirmed.distances)


def _pairs(places: np.ndarray, flags: np.ndarray) -> zip:
    return zip(places.tolist(), flags.tolist(), strict=True)


def _examples(detector: TabularDetector, points: Points) -> Examples:
    """Encoded rows with their severities."""
    scores = detector.model_.score(points.values, points.observed).numpy()
    severities = severity(scores, detector.calibration_scores_, detector.threshold_)
    return Examples(points.weighted.numpy(), severities)


def _normal(detector: TabularDetector) -> Examples:
    """Some of the reference rows: those that calibrate, which are no neighbours of themselves."""
    model = detector.model_
    values = model.reference.values[model.reference.exclude_self]
    spread = torch.linspace(0, len(values) - 1, min(NORMAL_ROWS, len(values))).long()
    values = values[spread]
    observed = torch.ones_like(values, dtype=torch.bool)
    points = Points(
        values, observed, values * model.distance_weights, values.new_zeros(len(values), 0)
    )
    return _examples(detector, points)
