import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff.jobs import demo
from anomdiff.jobs.exit_codes import ExitCode
from tests.settings import TINY
from tests.tables import mixed_table

QUICK = {**TINY, "n_levels": 3, "alpha": 0.05}


def test_payments_are_scored_and_compared_with_the_truth(mlflow_store, tmp_path, capsys):
    done = demo.payments_demo(tmp_path, n_training=400, n_later=300, detector=QUICK)

    output = capsys.readouterr().out
    assert len(pd.read_parquet(done.path)) == 300
    for words in (
        "anomalous cells",
        "IsolationForest",
        "AUROC",
        "alarms on normal rows",
        "card_testing",
    ):
        assert words in output
    assert output.count("(expected ") >= demo.N_SHOWN


def test_the_medical_table_is_scored_beside_isolation_forest(mlflow_store, tmp_path, capsys):
    done = demo.medical_demo(tmp_path, detector=QUICK)

    assert len(done.scores) == 569 - 214
    assert "average precision" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_of_the_user_needs_no_label(mlflow_store, tmp_path, capsys, suffix):
    path = tmp_path / f"my table{suffix}"
    table = mixed_table(200, seed=0)
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)

    done = demo.file_demo(path, tmp_path / "out", detector=QUICK)

    assert len(done.scores) == 60
    assert done.report.model_uri == "models:/my-table/1"
    assert "The 10 most anomalous rows" in capsys.readouterr().out


def test_a_missing_file_is_reported_in_one_sentence(mlflow_store):
    result = CliRunner().invoke(demo.main, ["--data", "none.csv"])

    assert result.exit_code == ExitCode.DATA
    assert result.output.strip().endswith("need a table at none.csv; there is no such file.")


def test_columns_are_aligned():
    assert demo.aligned([["a", "bb"], ["10", "c"]], n_right=1) == "   a  bb\n  10  c"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "missing"),
        (True, "True"),
        (12345.678, "12,346"),
        ("     144.18900129", "144.2"),
        ("08", "08"),
        ("a long sentence ", "a long sentence"),
        (pd.Timestamp("2025-01-31 03:04:05"), "2025-01-31 03:04"),
    ],
)
def test_a_cell_is_shown_in_short(value, shown):
    assert demo.cell_text(value) == shown
