r"""One cell in 5,000 that is no number ('ERR', '#DIV/0!', '\N' of MySQL/Hive, '--', '1,5') turns a
number column into a category without a word: every later value counts as unseen; and the other way
round one such cell tonight stops the whole job.
"""

import pathlib
import sys
import tempfile
import warnings

import numpy as np
import pandas as pd

import anomdiff
from anomdiff.jobs.readers import read_table

rng = np.random.default_rng(0)
n = 3000
rows = pd.DataFrame(
    {
        "a": rng.normal(100, 30, n).round(1),
        "b": rng.normal(size=n),
        "c": rng.normal(size=n),
    }
)
spoilt = rows.assign(a=rows["a"].astype(str))
spoilt.loc[17, "a"] = "ERR"
home = pathlib.Path(tempfile.mkdtemp())
spoilt[:2100].to_csv(home / "a.csv", index=False)
rows[2100:].to_csv(home / "b.csv", index=False)


def detector():
    return anomdiff.TabularDetector(alpha=0.01, random_state=0, max_iter=120)


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    trained = detector().fit(read_table(home / "a.csv"))
kind = trained.schema_.columns[0].kind
told = [str(warning.message) for warning in said]

later = trained.score_frame(read_table(home / "b.csv", text=["a"]))
extreme = rows[2100:].copy()
extreme.iloc[0, 0] = 1e4
scored = trained.score_frame(extreme.assign(a=extreme["a"].astype(str)))
print(
    f"kind of a: {kind} told: {told} alarm rate later: {later['is_anomaly'].mean()} "
    f"a = 10000 (33 sigma) is alarm: {bool(scored['is_anomaly'].iloc[0])} "
    f"p {scored['p_value'].iloc[0]}"
)

clean = detector().fit(rows[:2100])
rate = clean.score_frame(rows[2100:])["is_anomaly"].mean()
p_value = clean.score_frame(extreme)["p_value"].iloc[0]
print(f"clean model: rate {rate} a = 10000 p {p_value}")
batch = rows[2100:].assign(a=rows["a"][2100:].astype(str))
batch.iloc[5, 0] = "ERR"
try:
    clean.score_frame(batch)
    print("scored with ERR")
    dies = False
except ValueError as error:
    print("a later batch with one ERR:", error)
    dies = True

bad = (kind != "number" and not told) or dies
print("FAULT" if bad else "OK")
sys.exit(bool(bad))
