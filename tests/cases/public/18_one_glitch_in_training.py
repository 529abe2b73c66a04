"""One reading of 1,000 (or -9,999) among 2,000 training steps of a wave of amplitude 1.

Source: elastic/ml-cpp#2230, yzhao062/pyod#314
Right: One glitch must not blind the channel: +4 for 10 steps is an alarm with and without it.
"""

import warnings

from anomdiff import TimeSeriesDetector
from tests.cases.common import QUICK, verdict, waves

warnings.simplefilter("ignore")

found = {}
for glitch in (None, 20.0, 1000.0, -9999.0):
    known, new = waves(2000), waves(1000, seed=4)
    if glitch is not None:
        known.iloc[300, 0] = glitch
    new.iloc[500:510, 0] += 4
    scored = TimeSeriesDetector(**QUICK).fit(known).score_frame(new)
    found[glitch] = int(scored["is_anomaly"][495:515].sum())
verdict(
    all(found.values()),
    f"flagged of 20 steps around the anomaly, by glitch in training: {found}",
)
