"""A table with MultiIndex columns logged to MLflow with an input example.

Source: equinor/gordo#437
Right: Logs and scores: Column says a name may be a tuple, and fit, score and save take it.
"""

import warnings

import pandas as pd

from anomdiff import TabularDetector
from anomdiff.integrations.mlflow import flavor
from tests.cases.common import QUICK_TABLE, caught, reloaded, served, table, verdict

warnings.simplefilter("ignore")

rows = table().astype({"age": float})
rows.columns = pd.MultiIndex.from_tuples([("pay", "amount"), ("pay", "kind"), ("who", "age")])
detector = TabularDetector(**QUICK_TABLE).fit(rows)
assert reloaded(detector).score_frame(rows).equals(detector.score_frame(rows))


def score():
    model = served(detector, input_example=rows.head(3))
    return model.predict(flavor.as_input(detector, rows))


result, _ = caught(score)
good = isinstance(result, pd.DataFrame)
verdict(good, "scored" if good else str(result)[-260:])
