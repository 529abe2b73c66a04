"""Category codes with leading zeros in a CSV batch with one code of letters.

Source: sdv-dev/SDV#1099, awslabs/datawig#140
Right: A row scores the same whatever other rows are in the batch (README: same score everywhere).
"""

import warnings

import numpy as np
import pandas as pd

from tests.cases.common import fit_job, score_job, verdict, work_in_own_store

warnings.simplefilter("ignore")
work_in_own_store()

rng = np.random.default_rng(7)
codes = rng.choice(["0042", "0107", "1200", "0931"], 400)
rows = pd.DataFrame({"amount": rng.gamma(2, 10, 400).round(2), "merchant": codes})
rows.to_csv("train.csv", index=False)
fit_job("train.csv", kinds={"merchant": "category"})

rows.head(50).to_csv("plain.csv", index=False)
odd = rows.head(50).copy()
odd.loc[49, "merchant"] = "X777"
odd.to_csv("odd.csv", index=False)
plain, beside = score_job("plain.csv", "a.parquet"), score_job("odd.csv", "b.parquet")

moved = (plain["anomaly_score"] - beside["anomaly_score"]).abs()[:49] > 1e-4
before, after = plain["is_anomaly"][:49].sum(), beside["is_anomaly"][:49].sum()
verdict(
    not moved.any(),
    f"{moved.sum()} of 49 rows score otherwise beside one code of letters; "
    f"alarms {before} -> {after}",
)
