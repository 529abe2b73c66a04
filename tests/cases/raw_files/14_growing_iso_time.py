"""A proper timestamp column: later, wholly normal rows must keep the alarm rate of alpha. The codec
clips the trend at the last training time but keeps the hour, so that (last day, other hour) is a
pair that training never had.
"""

import sys
import warnings

import numpy as np
import pandas as pd

import anomdiff

warnings.simplefilter("ignore")

rng = np.random.default_rng(0)
n = 60_000
k = int(0.9 * n)
factors = rng.normal(size=(n, 2))
values = factors @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(n, 6))
rows = pd.DataFrame(values, columns=list("abcdef"))
rows["when"] = pd.date_range("2025-01-01", periods=n, freq="15s")

rate = {}
for name, frame in {"with": rows, "without": rows.drop(columns="when")}.items():
    detector = anomdiff.TabularDetector(alpha=0.01, random_state=0, max_iter=100).fit(frame[:k])
    p_values = detector.score_frame(frame[k:])["p_value"]
    rate[name] = (p_values <= 0.01).mean()
    print(
        f"{name} the time column: later p<=.01 {rate[name]:.4f} "
        f"p<=.05 {(p_values <= 0.05).mean():.4f} ({len(p_values)} rows)",
        flush=True,
    )
# 6000 rows: one standard error is 0.13 points
fault = rate["with"] > 1.5 * max(rate["without"], 0.01)
print("FAULT" if fault else "OK")
sys.exit(bool(fault))
