"""A stream in which series come and end (sessions); memory held for those that ended.

Source: opendistro-for-elasticsearch/anomaly-detection#258
Right: Memory is bounded (docstring of score_next), or single series can be ended.
"""

import tracemalloc
import warnings

import pandas as pd

from anomdiff import TimeSeriesDetector
from tests.cases.common import QUICK, panel, verdict, waves

warnings.simplefilter("ignore")

detector = TimeSeriesDetector(**QUICK, series="machine", time="time")
detector.fit(panel(["m0", "m1"], n=300))
tracemalloc.start()
sizes = []
for k in range(400):
    start = pd.Timestamp("2026-02-01") + pd.Timedelta(days=k)
    part = waves(20, seed=k, start=start).reset_index(names="time").assign(machine=f"session-{k}")
    detector.score_next(part)
    if k in (99, 199, 299, 399):
        sizes.append(tracemalloc.get_traced_memory()[0] // 1024)
verdict(
    sizes[-1] < 1.5 * sizes[0],
    f"KiB of Python memory after 100, 200, 300, 400 ended sessions, a day apart: {sizes}",
)
