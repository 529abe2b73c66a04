"""An object column with True and 1: what a cell is read as depends on which of the two comes first
in the batch (pd.factorize holds them for equal).
"""

import sys
import warnings

import numpy as np
import pandas as pd

import anomdiff

warnings.simplefilter("ignore")

rng = np.random.default_rng(0)
cells = rng.choice(np.array(["a", 1, True, "b"], dtype=object), 80)
rows = pd.DataFrame({"o": np.array(cells, dtype=object), "x": rng.normal(size=80)})
settings = {"max_iter": 20, "random_state": 0, "device": "cpu", "progress": False, "alpha": 0.05}
detector = anomdiff.TabularDetector(**settings).fit(rows)

two = pd.DataFrame({"o": pd.Series([True, 1], dtype=object), "x": [0.0, 0.0]})
ordered = detector.score_frame(two)["anomaly_score"]
reversed_ = detector.score_frame(two.iloc[::-1])["anomaly_score"].sort_index()

print("in order", ordered.tolist(), "reversed", reversed_.tolist())
bad = abs(ordered - reversed_).max() > 1e-6
print("FAULT" if bad else "OK")
sys.exit(bool(bad))
