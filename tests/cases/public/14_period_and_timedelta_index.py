"""Time in a PeriodIndex or TimedeltaIndex, rows shuffled.

Source: sktime/sktime#5641, arundo/adtk#112
Right: Rows are ordered by that time as by a DatetimeIndex, or it is refused or warned that the
index is not read.
"""

import warnings

import numpy as np

from anomdiff import TimeSeriesDetector
from tests.cases.common import QUICK, caught, verdict, waves

warnings.simplefilter("ignore")

changes = {
    "PeriodIndex": lambda index: index.to_period("min"),
    "TimedeltaIndex": lambda index: index - index[0],
}
bad = []
for name, change in changes.items():
    known, new = waves(1500), waves(600, seed=5)
    known.index, new.index = change(known.index), change(new.index)
    detector, said = caught(lambda known=known: TimeSeriesDetector(**QUICK).fit(known))
    if isinstance(detector, Exception) or said:
        continue
    ordered = detector.score_frame(new)["anomaly_score"]
    shuffled = detector.score_frame(new.sample(frac=1, random_state=0))
    if not np.allclose(ordered, shuffled["anomaly_score"].sort_index()):
        rate = f"{shuffled['is_anomaly'].mean():.0%}"
        bad.append(f"{name}: order of rows counts, {rate} of shuffled rows flagged, no warning")
verdict(not bad, "; ".join(bad) or "ordered by time")
