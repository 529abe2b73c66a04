"""README: 'A row's score does not depend on its batch'; detectors of few distinct rows break it."""

import sys
import warnings

import numpy as np
import pandas as pd

import anomdiff

warnings.simplefilter("ignore")

rng = np.random.default_rng(0)
n = 1000
tables = {
    "constant number": pd.DataFrame({"f": np.full(n, 3.7)}),
    "one flag": pd.DataFrame({"f": rng.random(n) < 0.5}),
    "one category": pd.DataFrame({"f": rng.choice(list("abc"), n)}),
    "one 3-valued integer": pd.DataFrame({"f": rng.integers(0, 3, n)}),
    "two flags": pd.DataFrame({"f": rng.random(n) < 0.5, "g": rng.random(n) < 0.3}),
    "two categories": pd.DataFrame(
        {"f": rng.choice(list("abc"), n), "g": rng.choice(list("xy"), n)}
    ),
    "three flags, a category": pd.DataFrame(
        {
            "a": rng.random(n) < 0.5,
            "b": rng.random(n) < 0.3,
            "c": rng.random(n) < 0.1,
            "f": rng.choice(list("abc"), n),
        }
    ),
    "category and number": pd.DataFrame({"f": rng.choice(list("abc"), n), "x": rng.normal(size=n)}),
}
settings = {"max_iter": 300, "random_state": 0, "device": "cpu", "progress": False, "alpha": 0.05}

bad = False
for name, rows in tables.items():
    detector = anomdiff.TabularDetector(**settings).fit(rows)
    some = rows[:100]
    together = detector.score_frame(some)
    alone = pd.concat([detector.score_frame(some.iloc[[i]]) for i in range(100)])
    score = np.abs(alone["anomaly_score"] - together["anomaly_score"]).max()
    p_value = np.abs(alone["p_value"] - together["p_value"]).max()
    flags = int((alone["is_anomaly"] != together["is_anomaly"]).sum())
    print(
        f"{name:26s} max |score in batch of 100 - alone| {score:.3g}; "
        f"flags that differ {flags}/100 (alone {int(alone['is_anomaly'].sum())}, "
        f"batch {int(together['is_anomaly'].sum())}); max p difference {p_value:.3g}"
    )
    bad |= flags > 0 or score > 1e-5
print("FAULT" if bad else "OK")
sys.exit(bool(bad))
