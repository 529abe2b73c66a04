import json

import pytest
from click.testing import CliRunner

import anomdiff
from anomdiff.jobs import explain, inspect
from anomdiff.jobs.exit_codes import ExitCode
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model of a table, one of series, and rows for both."""
    folder = tmp_path_factory.mktemp("models")
    rows = mixed_table(200, seed=1)
    rows.iloc[7, rows.columns.get_loc("price")] = 1e6
    rows.to_csv(folder / "rows.csv", index=False)
    panel(200, seed=7).to_csv(folder / "steps.csv", index=False)
    table = anomdiff.TabularDetector(**TINY, alpha=0.05).fit(mixed_table(400, seed=0))
    series = anomdiff.TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    anomdiff.save(table, folder / "table")
    anomdiff.save(series.fit(panel(300, seed=0)), folder / "series")
    return folder


def run(command, *words):
    return CliRunner().invoke(command, [str(word) for word in words])


def test_the_worst_alarms_come_with_their_number_and_reasons(folder):
    done = run(explain.main, folder / "rows.csv", "--model", folder / "table", "--json")

    first = json.loads(done.stdout)[0]
    assert first["row"] == 7
    assert "price" in first["reasons"]
    assert first["severity"] > 50


@pytest.mark.parametrize(("model", "data"), [("table", "rows.csv"), ("series", "steps.csv")])
def test_given_rows_are_explained_as_the_detector_does(folder, model, data):
    words = folder / data, "--model", folder / model, "--row", 3, "--row", 5, "--top", 1, "--json"

    found = json.loads(run(explain.main, *words).stdout)

    assert [line["row"] for line in found] == [3, 5]
    assert all("contribution" in line and "expected" in line for line in found)


def test_rows_that_are_not_there_are_a_sentence(folder):
    done = run(explain.main, folder / "rows.csv", "--model", folder / "table", "--row", 200)

    assert done.exit_code == ExitCode.SETTINGS
    assert "from 0 to 199" in done.stderr


def test_a_model_is_described_by_its_columns_alpha_and_parameters(folder):
    found = json.loads(run(inspect.main, folder / "table", "--json").stdout)

    model = anomdiff.load(folder / "table")
    assert found["alpha"] == 0.05
    assert found["threshold"] == pytest.approx(model.threshold_)
    assert found["parameters"]["alpha"] == 0.05
    kinds = {column["name"]: column["kind"] for column in found["columns"]}
    assert kinds == {str(c.name): c.kind for c in model.schema_.columns}


@pytest.mark.parametrize(("model", "words"), [("table", "price"), ("series", "host")])
def test_people_read_lines(folder, model, words):
    done = run(inspect.main, folder / model)

    assert done.exit_code == 0
    assert words in done.stdout
    assert "alpha" in done.stdout


def test_a_model_that_is_not_there_has_an_exit_code_of_its_own(folder, mlflow_store):
    done = run(inspect.main, "models:/nothing@champion")

    assert done.exit_code == ExitCode.MODEL
    assert "anomdiff train" in done.stderr
