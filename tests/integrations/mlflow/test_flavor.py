import ast
import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.types.schema import DataType

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor
from anomdiff.integrations.mlflow.pyfunc_model import PyfuncModel
from tests.series import panel, waves
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def steps():
    """A detector of a panel of series."""
    return TimeSeriesDetector(**TINY_SERIES, series="host", time="time").fit(panel(200, seed=0))


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
    detector = TabularDetector(**TINY).fit(holes)
    model = PyfuncModel(detector)

    for column in table:
        scored = model.predict(flavor.as_input(detector, table).drop(columns=column).head(2))

        assert scored["anomaly_score"].notna().all()


def test_numbered_columns_are_found_by_their_names_as_text(tmp_path):
    table = mixed_table(120, seed=0)[["size", "price", "kind"]].set_axis([0, 1, 2], axis=1)
    detector = TabularDetector(**TINY).fit(table)
    flavor.save_model(detector, tmp_path / "model")

    scored = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(table.rename(columns=str))

    pd.testing.assert_frame_equal(scored, detector.score_frame(table))


def test_a_panel_is_scored_as_by_its_detector(steps, tmp_path):
    rows = panel(50, seed=5, labels=("b", "new"))
    flavor.save_model(steps, tmp_path / "model", input_example=rows)

    scored = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(flavor.as_input(steps, rows))

    wanted = steps.score_frame(rows)
    # MLflow's timestamps are nanoseconds.
    pd.testing.assert_frame_equal(scored, wanted.astype({"time": "datetime64[ns]"}))
    native = flavor.load_model(str(tmp_path / "model")).score_frame(rows)
    pd.testing.assert_frame_equal(native, wanted)


def test_a_single_series_without_time_is_scored_row_by_row_in_order(tmp_path):
    rows = waves(200, seed=0).reset_index(drop=True)
    detector = TimeSeriesDetector(**TINY_SERIES).fit(rows)
    flavor.save_model(detector, tmp_path / "model", signature="tensor")

    scored = mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(rows[:60].to_numpy())

    pd.testing.assert_frame_equal(scored, detector.score_frame(rows[:60]))


def test_signature_of_a_panel_has_series_time_and_channels(steps):
    signature = flavor.infer_signature(steps)

    types = {column.name: column.type for column in signature.inputs.inputs}
    assert types == {
        "host": DataType.string,
        "time": DataType.datetime,
        **dict.fromkeys(["slow", "echo", "fast"], DataType.double),
    }
    outputs = [column.name for column in signature.outputs.inputs]
    assert outputs == list(steps.score_frame(panel(20, seed=0)))


@pytest.mark.parametrize("labels", [(1, 2), ("a", "b")])
def test_numbered_series_and_times_stay_numbers(labels):
    rows = panel(200, seed=0, labels=labels).assign(time=lambda each: np.arange(len(each)) % 200)
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time").fit(rows)
    typed = flavor.as_input(detector, rows)

    signature = flavor.infer_signature(detector)

    types = [column.type for column in signature.inputs.inputs[:2]]
    assert types == [DataType.string if "a" in labels else DataType.long, DataType.double]
    assert typed["host"].tolist() == rows["host"].tolist()
    scored = PyfuncModel(detector).predict(typed)
    np.testing.assert_array_equal(
        scored["anomaly_score"], detector.score_frame(rows)["anomaly_score"]
    )


@pytest.mark.parametrize("kind", ["table", "series"])
def test_parameters_of_a_request_have_types_and_defaults(detector, steps, kind):
    signature = flavor.infer_signature(detector if kind == "table" else steps)

    assert {spec.name: (spec.dtype, spec.default) for spec in signature.params} == {
        "alpha": (DataType.double, None),
        "explain": (DataType.boolean, False),
        "top_columns": (DataType.long, 3),
        "include_expected": (DataType.boolean, False),
    }


def test_reasons_are_those_of_the_detector(folder, detector, table):
    model = mlflow.pyfunc.load_model(str(folder))
    rows = flavor.as_input(detector, table.head(20))

    scored = model.predict(rows, params={"alpha": 0.9, "explain": True, "top_columns": 2})

    flagged = scored.index[scored["is_anomaly"]]
    assert len(flagged)
    assert set(scored.index[scored["reasons"].str.len() > 0]) == set(flagged)
    wanted = detector.explain(table.head(20).loc[flagged], top=2)
    found = [reason for reasons in scored.loc[flagged, "reasons"] for reason in reasons]
    assert [reason["column"] for reason in found] == wanted["column"].tolist()
    np.testing.assert_allclose([r["contribution"] for r in found], wanted["contribution"])


def test_a_tensor_takes_numbers_only(detector):
    with pytest.raises(ValueError, match="need numbers in every column of a tensor; got .'kind'"):
        flavor.infer_signature(detector, "tensor")


def test_a_style_that_is_none_is_refused(detector):
    with pytest.raises(ValueError, match="need a style of .*; got 'matrix'"):
        flavor.infer_signature(detector, "matrix")


def test_what_cannot_be_scored_is_an_error_of_the_client(folder, detector, table):
    rows = flavor.as_input(detector, table.head(2)).assign(size=np.inf)

    with pytest.raises(MlflowException, match="need finite numbers in column 'size'") as error:
        mlflow.pyfunc.load_model(str(folder)).predict(rows)

    assert error.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    "module", ["anomdiff", "anomdiff.mlops", "anomdiff.integrations.spark", "anomdiff.selection"]
)
def test_nothing_imports_mlflow_before_it_is_asked_for(module):
    script = f"import {module}, sys; sys.exit('mlflow' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_model_that_names_the_former_loader_is_served(folder, detector, table, tmp_path):
    shutil.copytree(folder, tmp_path / "former")
    described = (tmp_path / "former" / "MLmodel").read_text()
    former = described.replace(flavor.__name__, "anomdiff.mlops.flavor")
    (tmp_path / "former" / "MLmodel").write_text(former)

    model = mlflow.pyfunc.load_model(str(tmp_path / "former"))

    assert former != described
    rows = flavor.as_input(detector, table)
    pd.testing.assert_frame_equal(model.predict(rows), detector.score_frame(table))


def test_typed_rows_need_every_column(detector, table):
    with pytest.raises(ValueError, match=r"need the columns \['price'\]; the frame has \['size'"):
        flavor.as_input(detector, table.drop(columns="price"))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("uv"), reason="need uv, which makes the environment")
def test_a_fresh_environment_is_enough(folder, detector, table, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ENV_ROOT", str(tmp_path / "environments"))
    rows = flavor.as_input(detector, table.head(2))

    mlflow.models.predict(
        str(folder), rows, env_manager="uv", output_path=str(tmp_path / "scored.json")
    )

    scored = json.loads((tmp_path / "scored.json").read_text())["predictions"]
    wanted = detector.score_frame(table.head(2))["anomaly_score"]
    assert [row["anomaly_score"] for row in scored] == pytest.approx(wanted.tolist(), abs=1e-6)


def test_signature_says_what_each_column_is(detector):
    columns = {c.name: c for c in flavor.infer_signature(detector).inputs.inputs}

    assert columns["size"].type == DataType.double
    assert columns["count"].type == DataType.double
    assert columns["kind"].type == DataType.string
    assert columns["gift"].type == DataType.boolean
    assert columns["sold"].type == DataType.datetime
    assert [name for name, column in columns.items() if not column.required] == ["weight"]


def test_requirements_are_pinned_and_cover_what_scoring_imports(folder):
    lines = (folder / "requirements.txt").read_text().splitlines()
    names = {line.split("==")[0].replace("scikit-learn", "sklearn") for line in lines}

    assert all(re.fullmatch(r"[\w-]+==[\w.]+( ?; sys_platform .*)?", line) for line in lines)
    assert "anomdiff" not in names
    server = set() if sys.platform == "win32" else {"uvloop"}
    assert names == _third_party_imports() - {"holidays"} | {"mlflow"} | server


def test_holidays_of_a_country_require_their_package():
    pytest.importorskip("holidays", reason="the package holidays is not installed")
    dates, country = (TimeSeriesDetector(holidays=each) for each in ([], "DE"))

    added = {*flavor.default_requirements(country)} - {*flavor.default_requirements(dates)}

    assert [line.split("==")[0] for line in added] == ["holidays"]


def test_covariates_that_say_what_is_normal_are_required():
    rows = waves(100, seed=0).reset_index(drop=True).assign(on=np.arange(100) % 2)
    found, declared = (
        TimeSeriesDetector(covariates=each, **TINY_SERIES).fit(rows) for each in (None, ["on"])
    )

    required = [
        [c.name for c in flavor.infer_signature(each).inputs.inputs if c.required]
        for each in (found, declared)
    ]

    assert required == [["slow", "echo", "fast"], ["slow", "echo", "fast", "on"]]


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
    """Packages outside of the standard library that loading, scoring and explaining import.

    The imports inside functions count, and so do those of every module of ours on the way, but
    for `autolog`, which a server does not ask for.
    """
    names, waiting = set(), [flavor.__name__]
    seen = {"anomdiff.integrations.mlflow.autologging"}
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for name in _imports(Path(importlib.util.find_spec(module).origin)):
            ours = name.split(".")[0] == "anomdiff"
            waiting += _modules(name) if ours else []
            names |= set() if ours else {name.split(".")[0]}
    return names - set(sys.stdlib_module_names)


def _imports(path):
    """Names that a file imports, with the module before them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _modules(name):
    """Modules of ours along a dotted name: the packages, whose `__init__.py` runs, and the last."""
    parts = name.split(".")
    dotted = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
    return dotted[:-1] + [each for each in dotted[-1:] if _is_module(each)]


def _is_module(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
