"""An error counter that is 0 in all of training and 50 in scoring, beside one that was always 7.

Source: netdata/netdata#12180, twitter/AnomalyDetection#67
Right: A channel that never moved and jumps is an alarm, whether it stood at 0 or 7; at the least
a warning that it is not judged.
"""

import warnings

from anomdiff import TimeSeriesDetector
from tests.cases.common import QUICK, caught, verdict, waves

warnings.simplefilter("ignore")

found, words = {}, []
for level in (0, 7):
    known = waves(1500).assign(errors=level)
    new = waves(600, seed=4).assign(errors=level)
    new.iloc[300:320, 2] = 50
    detector, said = caught(lambda known=known: TimeSeriesDetector(**QUICK).fit(known))
    scored, more = caught(lambda detector=detector, new=new: detector.score_frame(new))
    found[level] = int(scored["is_anomaly"][300:320].sum())
    words = words + said + more
verdict(
    all(found.values()) or bool(words),
    f"flagged of 20 steps at 50, by level in training: {found}; warnings {words}",
)
