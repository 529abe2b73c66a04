"""Series ids that became floats (1.0, 2.0) upstream; the model behind pyfunc.

Source: mlflow/mlflow#3798, sdv-dev/SDV#1099
Right: The served model scores like the detector: docs promise the same score everywhere.
"""

import warnings

import numpy as np

from anomdiff import TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor
from tests.cases.common import QUICK, caught, panel, served, verdict

warnings.simplefilter("ignore")

rows = panel([0.0, 1.0, 2.0], n=300)
rows["machine"] = rows["machine"].astype(float)
rows.loc[rows["machine"] == 2.0, ["cpu", "disk"]] *= 30  # each series has its own scale
detector = TimeSeriesDetector(**QUICK, series="machine", time="time").fit(rows)
wanted = detector.score_frame(rows)["anomaly_score"].to_numpy()
model = served(detector, input_example=rows.head(20))


def score():
    return model.predict(flavor.as_input(detector, rows))["anomaly_score"].to_numpy()


got, _ = caught(score)
far = np.abs(got - wanted).max() if isinstance(got, np.ndarray) else got
asked = model.metadata.get_input_schema().inputs[0]
verdict(
    isinstance(far, float) and far < 1e-4,
    f"largest difference of a score: {far}; signature asks for {asked}",
)
