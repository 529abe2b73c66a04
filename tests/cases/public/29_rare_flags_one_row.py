"""A table of one or two rarely set flags (or one constant category); the common row scored alone
and among others.

Source: tinkoff-ai/etna#334, arimousa/DDAD#20, jeffheaton/t81_558_deep_learning#50
Right: The common row is no alarm, alone or among others, and scores the same.
"""

import warnings

import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from tests.cases.common import QUICK_TABLE, verdict

warnings.simplefilter("ignore")


def rare(seed):
    return np.random.default_rng(seed).random(2000) < 0.001


tables = {
    "one flag, 0.1 %": pd.DataFrame({"f": rare(2001)}),
    "two flags, 0.1 %": pd.DataFrame({f"f{i}": rare(2002 + i) for i in range(2)}),
    "one constant category": pd.DataFrame({"b": ["x"] * 300}),
    "99 of 100 one category": pd.DataFrame({"b": (["x"] * 99 + ["y"]) * 3}),
}
bad = []
for name, rows in tables.items():
    detector = TabularDetector(**QUICK_TABLE).fit(rows)
    common = rows[(rows == rows.mode().iloc[0]).all(axis=1)].head(60)
    among = detector.score_frame(common).iloc[0]
    alone = detector.score_frame(common.head(1)).iloc[0]
    differs = abs(alone["anomaly_score"] - among["anomaly_score"]) > 1e-3
    if alone["is_anomaly"] != among["is_anomaly"] or differs:
        bad.append(
            f"{name}: {among['anomaly_score']:.2g} among others, "
            f"{alone['anomaly_score']:.4g} alone (flagged {bool(alone['is_anomaly'])})"
        )
verdict(not bad, "; ".join(bad) or "same alone and among others")
