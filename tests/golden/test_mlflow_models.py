import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from anomdiff.integrations.mlflow.flavor import load_model
from tests.golden.answers import differences, predictions

FOLDER = Path(__file__).parent
MODELS = sorted(folder.name for folder in (FOLDER / "mlflow").iterdir() if folder.is_dir())
EXPECTED = [
    (name, path.stem)
    for name in MODELS
    for path in sorted((FOLDER / "expected" / "mlflow" / name).iterdir())
]
SCORE = """
import sys, mlflow, pandas
model = mlflow.pyfunc.load_model("model")
model.predict(pandas.read_parquet("input.parquet")).to_pickle("scored.pickle")
print(sys.modules["anomdiff"].__file__)
"""


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """Make a function that puts a stored model together with the code that belongs to it."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # MLflow puts the code of a model there

    def put_together(name):
        shutil.copytree(FOLDER / "mlflow" / name, tmp_path / "model")
        with zipfile.ZipFile(FOLDER / "mlflow" / f"code_{name.rpartition('_')[2]}.zip") as code:
            code.extractall(tmp_path / "model" / "code")
        return tmp_path / "model"

    return put_together


def stored_input(name):
    return pd.read_parquet(FOLDER / "inputs" / f"{name.rpartition('_')[0]}.parquet")


@pytest.mark.parametrize(("name", "answer"), EXPECTED)
def test_a_logged_model_predicts_as_it_did(name, answer, logged):
    model = mlflow.pyfunc.load_model(str(logged(name)))

    found = predictions(model, stored_input(name))[answer]

    assert differences(found, FOLDER / "expected" / "mlflow" / name / f"{answer}.csv") == []


@pytest.mark.parametrize("name", MODELS)
def test_the_flavor_loads_the_detector_of_a_logged_model(name, logged):
    detector = load_model(logged(name))

    scored = detector.score_frame(stored_input(name))

    assert differences(scored, FOLDER / "expected" / "models" / name / "scores.csv") == []


def test_a_logged_model_predicts_with_its_own_code(logged):
    folder = logged("panel_1").parent
    stored_input("panel_1").to_parquet(folder / "input.parquet")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    run = subprocess.run(
        [sys.executable, "-c", SCORE], cwd=folder, env=environment, capture_output=True, text=True
    )

    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.split()[-1]).is_relative_to(folder / "model")
    scored = pd.read_pickle(folder / "scored.pickle")
    assert differences(scored, FOLDER / "expected" / "mlflow" / "panel_1" / "predictions.csv") == []
