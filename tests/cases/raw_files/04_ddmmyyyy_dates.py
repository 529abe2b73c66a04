"""dd/mm/yyyy (or mm/dd/yyyy, or dd.mm.yyyy) dates: later, wholly normal rows must not all be
alarms.
"""

import sys
import warnings

import numpy as np
import pandas as pd

import anomdiff

rng = np.random.default_rng(0)
times = pd.date_range("2025-01-01", periods=4000, freq="h")
rows = pd.DataFrame(
    {
        "when": times.strftime("%d/%m/%Y"),
        "x": rng.normal(size=4000),
        "y": rng.normal(size=4000),
        "z": rng.normal(size=4000),
    }
)
past, later = rows[:2800], rows[2800:]


def detector():
    return anomdiff.TabularDetector(alpha=0.01, random_state=0, max_iter=150)


def real(frame):
    return frame.assign(when=pd.to_datetime(frame["when"], format="%d/%m/%Y"))


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    of_text = detector().fit(past)
kinds = {column.name: column.kind for column in of_text.schema_.columns}
print(kinds, [str(warning.message) for warning in said])

rate = of_text.score_frame(later)["is_anomaly"].mean()
dated = detector().fit(real(past)).score_frame(real(later))
without = detector().fit(past.drop(columns="when")).score_frame(later.drop(columns="when"))
print(
    f"alarm rate of later normal rows: text dates {rate} | "
    f"real datetimes {dated['is_anomaly'].mean()} p<=.05: {(dated['p_value'] <= 0.05).mean()} | "
    f"without the column {without['is_anomaly'].mean()}"
)
ok = rate < 0.05
print("OK" if ok else "FAULT")
sys.exit(not ok)
