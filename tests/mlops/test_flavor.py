import ast
import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.models import Model
from mlflow.types.schema import DataType

import anomdiff
from anomdiff import TabularDetector
from anomdiff.mlops import flavor
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory, detector, table):
    path = tmp_path_factory.mktemp("saved") / "model"
    flavor.save_model(detector, path, input_example=table.head(3))
    return path


def test_native_load_scores_as_the_detector_did(folder, detector, table):
    loaded = flavor.load_model(str(folder))

    pd.testing.assert_frame_equal(loaded.score_frame(table), detector.score_frame(table))


def test_native_load_runs_no_code_of_the_model(folder, table, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_MODEL_CODE_EXECUTION", "false")

    assert len(flavor.load_model(str(folder)).score_frame(table)) == len(table)


def test_native_load_can_keep_the_files(folder, tmp_path):
    flavor.load_model(str(folder), dst_path=tmp_path)

    assert list(tmp_path.rglob("weights.safetensors"))


def test_pyfunc_scores_as_the_detector_did(folder, detector, table):
    scored = mlflow.pyfunc.load_model(str(folder)).predict(flavor.as_input(detector, table))

    pd.testing.assert_frame_equal(scored, detector.score_frame(table))


def test_pyfunc_takes_an_optional_column_that_is_not_there_as_missing(folder, detector, table):
    rows = flavor.as_input(detector, table).head()

    scored = mlflow.pyfunc.load_model(str(folder)).predict(rows.drop(columns="weight"))

    pd.testing.assert_frame_equal(scored, detector.score_frame(rows.assign(weight=None)))


def test_pyfunc_takes_every_kind_of_column_as_missing():
    table = mixed_table(120, seed=1).drop(columns=["weight", "count"])
    holes = table.astype({"gift": "boolean"})
    holes.iloc[:3] = None
    detector = TabularDetector(steps=5, width=8, n_blocks=1, random_state=0).fit(holes)
    model = flavor._TabularModel(detector)

    for column in table:
        scored = model.predict(flavor.as_input(detector, table).drop(columns=column).head(2))

        assert scored["anomaly_score"].notna().all()


def test_numbered_columns_are_found_by_their_names_as_text(tmp_path):
    table = mixed_table(120, seed=0)[["size", "price", "kind"]].set_axis([0, 1, 2], axis=1)
    detector = TabularDetector(steps=5, width=8, n_blocks=1, random_state=0).fit(table)
    flavor.save_model(detector, tmp_path / "model")

    scored = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(table.rename(columns=str))

    pd.testing.assert_frame_equal(scored, detector.score_frame(table))


def test_signature_says_what_each_column_is(detector):
    columns = {c.name: c for c in flavor.infer_signature(detector).inputs.inputs}

    assert columns["size"].type == DataType.double
    assert columns["count"].type == DataType.double
    assert columns["kind"].type == DataType.string
    assert columns["gift"].type == DataType.boolean
    assert columns["sold"].type == DataType.datetime
    assert [name for name, column in columns.items() if not column.required] == ["weight"]


def test_requirements_are_pinned_and_cover_what_scoring_imports(folder):
    lines = (folder / "requirements.txt").read_text().split()
    names = {line.split("==")[0].replace("scikit-learn", "sklearn") for line in lines}

    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in lines)
    assert "anomdiff" not in names
    assert names == _third_party_imports() | {"mlflow"}


def test_the_model_carries_its_code_and_scores_with_it_alone(folder, tmp_path):
    code = folder / Model.load(str(folder)).flavors["python_function"]["code"]
    script = (
        "import anomdiff, sys, mlflow\n"
        "print(anomdiff.__file__)\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print(model.predict(model.input_example).to_json(orient='records'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(code)}

    answer = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        capture_output=True, text=True, check=True, env=environment, cwd=tmp_path,
    )  # fmt: skip

    where, records = answer.stdout.strip().split("\n")
    assert Path(where).is_relative_to(code)
    assert [sorted(r) for r in json.loads(records)] == [
        ["anomaly_score", "is_anomaly", "p_value"]
    ] * 3


def test_files_can_be_read_by_other_users(folder):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}

    assert modes == {0o644}


def test_no_pickle_is_written(folder):
    names = {path.suffix for path in (folder / "data").rglob("*") if path.is_file()}

    assert names == {".json", ".safetensors"}


def test_a_model_of_another_flavor_is_told_apart(tmp_path):
    Model(flavors={"sklearn": {}}).save(tmp_path / "MLmodel")

    with pytest.raises(ValueError, match="need a model of the flavor 'anomdiff'; got sklearn"):
        flavor.load_model(str(tmp_path))


def _third_party_imports():
    """Top-level packages that the library's files import, but for those of mlops."""
    package = Path(anomdiff.__file__).parent
    names = set()
    for path in package.rglob("*.py"):
        if path.parent.name == "mlops":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"anomdiff"}
