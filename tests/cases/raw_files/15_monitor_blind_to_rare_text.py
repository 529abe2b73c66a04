"""monitor must see that a text column whose values are many and rare (dd/mm/yyyy dates, ids,
numbers with decimal comma) holds nothing but values that training did not show.
"""

import sys

import numpy as np
import pandas as pd

from anomdiff.monitoring.drift import column_drift, drift_alarms, profile

rng = np.random.default_rng(0)
times = pd.date_range("2024-03-10", periods=9357, freq="h")
rows = pd.DataFrame({"Date": times.strftime("%d/%m/%Y"), "x": rng.normal(size=9357)})
scores = {"ks": 0, "p_value": 1, "higher": 0}
alarms = {"alarm_rate": 0.01, "alpha": 0.01, "p_value": 1}

found = {}
for name, n in (("90 days", 90 * 24), ("270 days", 270 * 24)):
    drift = column_drift(profile(rows[:n]), rows[n : n + 2400])
    found[name] = drift_alarms(drift, scores, alarms)
    print(name, drift.loc["Date", ["psi", "unseen"]].to_dict(), found[name])
bad = [name for name, texts in found.items() if not any("Date" in text for text in texts)]
print("FAULT" if bad else "OK", bad)
sys.exit(bool(bad))
