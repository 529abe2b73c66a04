"""A pivoted table whose column labels are timestamps.

Source: interpretml/interpret-community#340
Right: What fit takes can be saved; else fit refuses the labels before training.
"""

import warnings

import numpy as np
import pandas as pd

from anomdiff import TabularDetector
from tests.cases.common import QUICK_TABLE, caught, reloaded, verdict

warnings.simplefilter("ignore")

months = pd.date_range("2026-01-01", periods=4, freq="MS")
rows = pd.DataFrame(np.random.default_rng(7).normal(size=(300, 4)), columns=months)

detector, _ = caught(lambda: TabularDetector(**QUICK_TABLE).fit(rows))
if isinstance(detector, ValueError):
    verdict(True, f"fit refuses: {detector}")

again, _ = caught(lambda: reloaded(detector).score_frame(rows))
verdict(
    isinstance(again, pd.DataFrame),
    f"save: {again}" if isinstance(again, Exception) else "ok",
)
