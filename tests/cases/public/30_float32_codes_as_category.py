"""A code column stored as float32 in training and as float64 (or text) in scoring.

Source: scikit-learn/scikit-learn#15396 (types that change between fit and transform)
Right: 0.1 is the category 0.1 in both: numbers are compared as written, not by the digits of
their storage.
"""

import warnings

import numpy as np

from anomdiff import TabularDetector
from tests.cases.common import QUICK_TABLE, table, verdict

warnings.simplefilter("ignore")

codes = np.random.default_rng(7).choice([0.1, 0.2, 0.7], 400)
rows = table().assign(grade=codes.astype("float32"))
detector = TabularDetector(**QUICK_TABLE, kinds={"grade": "category"}).fit(rows)

single = detector.score_frame(rows)["anomaly_score"]
double = detector.score_frame(rows.assign(grade=codes))["anomaly_score"]
text = detector.score_frame(rows.assign(grade=codes.astype(str)))["anomaly_score"]

verdict(
    np.allclose(single, double) and np.allclose(single, text),
    f"rows that score otherwise: {(single != double).sum()} as float64, "
    f"{(single != text).sum()} as text, of 400",
)
