"""What the cases share: small data, a verdict, and the jobs with a store of their own."""

import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import numpy as np
import pandas as pd

import anomdiff

__all__ = [
    "QUICK",
    "QUICK_TABLE",
    "caught",
    "fit_job",
    "folder",
    "panel",
    "reloaded",
    "score_job",
    "served",
    "table",
    "verdict",
    "waves",
    "work_in_own_store",
]

QUICK = {"max_iter": 60, "progress": False, "random_state": 0}
QUICK_TABLE = {**QUICK, "alpha": 0.05}


def verdict(ok, line):
    """Print the last line of a case and leave."""
    print(("OK    " if ok else "FAULT ") + " ".join(str(line).split())[:400])
    sys.exit(0 if ok else 1)


def table(n=400, seed=3):
    """Draw independent columns: a number, a category, an integer."""
    rng = np.random.default_rng(seed)
    amount = rng.gamma(2, 10, n).round(2)
    kind = rng.choice(["a", "b", "c"], n)
    return pd.DataFrame({"amount": amount, "kind": kind, "age": rng.integers(18, 80, n)})


def waves(n=1500, seed=0, freq="min", start="2026-01-01"):
    """Draw two channels, a sine and a cosine, with a little noise."""
    rng, steps = np.random.default_rng(seed), np.arange(n)
    cpu = np.sin(steps / 8) + rng.normal(0, 0.05, n)
    disk = np.cos(steps / 8) + rng.normal(0, 0.05, n)
    index = pd.date_range(start, periods=n, freq=freq)
    return pd.DataFrame({"cpu": cpu, "disk": disk}, index=index)


def panel(labels, n=200, series="machine", time="time"):
    """Put a series for each label below each other."""
    parts = []
    for i, label in enumerate(labels):
        part = waves(n, seed=i).reset_index(names=time)
        part.insert(0, series, pd.Series([label] * n, dtype=object))
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def caught(call):
    """Result or exception, and the texts of the UserWarnings."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as error:
            result = error
    return result, [str(w.message) for w in found if issubclass(w.category, UserWarning)]


def folder():
    """A new temporary folder."""
    return tempfile.mkdtemp(prefix="case-")


def reloaded(detector):
    """The detector after being saved and loaded."""
    place = folder()
    anomdiff.save(detector, place)
    return anomdiff.load(place)


def work_in_own_store():
    """Go to a new folder that holds the MLflow store of this case, and silence the jobs."""
    home = Path(folder())
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow.db"
    os.chdir(home)
    logging.disable(logging.INFO)


def fit_job(data, **more):
    """Run the training job on a file."""
    from anomdiff.jobs.settings import TrainSettings
    from anomdiff.jobs.train import train

    settings = TrainSettings(
        data=data,
        experiment="case",
        model_name="case",
        registered_name="case",
        detector=QUICK_TABLE,
        **more,
    )
    return train(settings)


def score_job(data, output="out.parquet", **more):
    """Run the scoring job on a file and read what it wrote."""
    from anomdiff.jobs.score import score
    from anomdiff.jobs.settings import ScoreSettings

    score(ScoreSettings(data=data, output=output, model="models:/case@champion", **more))
    return pd.read_parquet(output)


def served(detector, **options):
    """The detector as an MLflow model."""
    import mlflow

    from anomdiff.integrations.mlflow import flavor

    place = folder() + "/model"
    flavor.save_model(detector, place, **options)
    return mlflow.pyfunc.load_model(place)
