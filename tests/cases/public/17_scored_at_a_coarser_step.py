"""Fitted to one row a minute, scored on one row each 5 minutes.

Source: twitter/AnomalyDetection#77, Nixtla/nixtla#430
Right: Refused or warned: with no two rows near each other nothing is judged.
"""

import warnings

from anomdiff import TimeSeriesDetector
from tests.cases.common import QUICK, caught, verdict, waves

warnings.simplefilter("ignore")

detector = TimeSeriesDetector(**QUICK).fit(waves(1500))
new = waves(2400, seed=5)
new.iloc[1200:1240, 0] += 4

scored, said = caught(lambda: detector.score_frame(new.iloc[::5]))

judged = isinstance(scored, Exception) or scored["is_anomaly"].any() or bool(said)
verdict(
    judged,
    f"told: {said or scored}"
    if judged
    else f"{len(scored)} rows, all scores {scored['anomaly_score'].unique()}, no alarm, no warning",
)
