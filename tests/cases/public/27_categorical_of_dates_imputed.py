"""A pandas categorical of dates with missing cells, imputed.

Source: alteryx/evalml#1019
Right: All cells are filled, with categories of the column.
"""

import warnings

import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from tests.cases.common import QUICK_TABLE, caught, table, verdict

warnings.simplefilter("ignore")

rows = table()
days = np.random.default_rng(7).choice(["2026-01-01", "2026-02-01"], len(rows))
rows["day"] = pd.Categorical(pd.to_datetime(days))
detector = TabularDetector(**QUICK_TABLE).fit(rows)
holes = rows.head(40).copy()
holes.loc[holes.index[:10], "day"] = None

filled, _ = caught(lambda: detector.impute(holes)["day"])

if not isinstance(filled, pd.Series):
    verdict(False, filled)
kept = filled.dtype == holes["day"].dtype
verdict(
    filled.notna().all() and kept,
    f"{filled.isna().sum()} of 10 cells still missing, dtype kept: {kept}",
)
