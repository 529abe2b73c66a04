"""A panel whose series are days (one series per day), as dates or timestamps.

Source: interpretml/interpret-community#340, diffix/syndiffix#91
Right: What fit takes can be saved and scores the same after loading; else fit refuses the labels.
"""

import datetime
import uuid
import warnings

import numpy as np
import pandas as pd

from anomdiff import TimeSeriesDetector
from tests.cases.common import QUICK, caught, panel, reloaded, verdict

warnings.simplefilter("ignore")


def survives(rows):
    try:
        detector = TimeSeriesDetector(**QUICK, series="machine", time="time").fit(rows)
    except ValueError:
        return True
    return reloaded(detector).score_frame(rows).equals(detector.score_frame(rows))


labels_of = {
    "date": [datetime.date(2026, 1, d) for d in (1, 2)],
    "Timestamp": [pd.Timestamp(2026, 1, d) for d in (1, 2)],
    "UUID": [uuid.UUID(int=d) for d in (1, 2)],
    "np.int64 in an object column": [np.int64(1), np.int64(2)],
}
bad = []
for name, labels in labels_of.items():
    rows = panel(labels)
    result, _ = caught(lambda rows=rows: survives(rows))
    if result is not True:
        bad.append(f"{name}: {result}")
verdict(not bad, "; ".join(bad) or "all survive")
