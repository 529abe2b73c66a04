"""The drift job on batches with constant, empty, all-new and single-row columns.

Source: evidentlyai/evidently#1480, evidentlyai/evidently#330, evidentlyai/evidently#1932
Right: A finite report each time; drift is told where a column is empty or all new, not on new
rows of the same kind.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from anomdiff.jobs.monitor import monitor
from anomdiff.jobs.settings import MonitorSettings
from tests.cases.common import caught, fit_job, table, verdict, work_in_own_store

warnings.simplefilter("ignore")
work_in_own_store()

rng = np.random.default_rng(7)
rows = table(600).assign(
    const=1,
    flat="x",
    flag=rng.random(600) < 0.2,
    when=pd.date_range("2026-01-01", periods=600, freq="h"),
)
rows.to_parquet("t.parquet")
fit_job("t.parquet")
rows[["amount", "kind", "age"]] = table(600, seed=11)  # new rows of the same kind
settings = MonitorSettings(
    data="b.parquet", output="m.json", experiment="case-monitor", model="models:/case@champion"
)
batches = [
    ("same", rows, False),
    ("const moved", rows.assign(const=2), True),
    ("number empty", rows.assign(age=np.nan), True),
    ("category empty", rows.assign(kind=None), True),
    ("category new", rows.assign(kind="zz"), True),
    ("flat moved", rows.assign(flat="y"), True),
    ("one row", rows.head(1), None),
]

bad = []
for name, batch, drifted in batches:
    batch.to_parquet("b.parquet")
    result, _ = caught(lambda: monitor(settings))
    if isinstance(result, Exception):
        bad.append(f"{name}: {result}")
        continue
    text = Path("m.json").read_text()
    report = json.loads(text)
    if "NaN" in text or "Infinity" in text:
        bad.append(f"{name}: not finite")
    if drifted is not None and bool(report["drifted"]) != drifted:
        bad.append(f"{name}: drifted is {report['drifted']} {report.get('alarms')}")
verdict(not bad, "; ".join(bad) or "all told")
