"""One repeated timestamp (autumn DST hour in local time; a logger that sends twice; NAB
machine_temperature has 12) must not stop training or a nightly series score - or the message must
say what to do.
"""

import sys

import numpy as np
import pandas as pd

import anomdiff

rng = np.random.default_rng(0)
utc = pd.date_range("2024-10-20", periods=600, freq="h", tz="UTC")
local = utc.tz_convert("Europe/Berlin").strftime("%Y-%m-%d %H:%M:%S")
load = np.sin(np.arange(600) / 24 * 2 * np.pi) + rng.normal(0, 0.1, 600)
rows = pd.DataFrame({"time": local, "load": load})
print("repeated:", rows["time"][rows["time"].duplicated()].tolist())

try:
    anomdiff.TimeSeriesDetector(time="time", random_state=0, max_iter=30).fit(rows)
except ValueError as error:
    print("ValueError:", error)
    print("FAULT")
    sys.exit(1)
print("OK")
