"""Cells missing where training had none make a row score below all normal rows (p=1): a broken or
short row is waved through.
"""

import sys
import warnings

import numpy as np
import pandas as pd

import anomdiff

warnings.simplefilter("ignore")

rng = np.random.default_rng(0)
n = 2000
rows = pd.DataFrame(
    {
        "price": rng.lognormal(size=n),
        "qty": rng.integers(0, 9, n).astype(float),
        "kind": rng.choice(["a", "b", "c"], n, p=[0.6, 0.3, 0.1]),
        "load": rng.normal(size=n),
    }
)
detector = anomdiff.TabularDetector(
    max_iter=50,
    width=16,
    n_blocks=1,
    random_state=0,
    device="cpu",
    progress=False,
    alpha=0.05,
).fit(rows)
whole = rows.head(1).astype({"kind": object})
holed = {
    "all cells missing": whole.mask(whole.notna()),
    "kind missing": whole.assign(kind=None),
    "only qty there": whole.assign(price=np.nan, kind=None, load=np.nan),
}

bad = False
for name, row in holed.items():
    row = row.astype({column: float for column in ("price", "qty", "load")})
    scored = detector.score_frame(row).iloc[0]
    bad |= scored["p_value"] > 0.99
    print(
        f"{name} score {scored['anomaly_score']:.1f} p {scored['p_value']:.3f} lowest score of a "
        f"held-out normal row {detector.calibration_scores_[0]:.2f}"
    )
print("FAULT" if bad else "OK")
sys.exit(bool(bad))
