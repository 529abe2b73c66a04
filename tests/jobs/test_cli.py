"""Laws of the command `anomdiff`: it answers quickly, and runs the jobs as they are."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from anomdiff import cli
from anomdiff.jobs.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
SLOW = ("torch", "mlflow", "pandas", "sklearn", "matplotlib")


def test_help_lists_the_jobs_and_loads_none_of_them():
    program = f"""
import sys
from anomdiff.cli import main
main(["--help"], standalone_mode=False)
print("loaded", [name for name in {SLOW} if name in sys.modules])
"""

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip().endswith("loaded []")
    for name, sentence in cli.JOBS.items():
        assert f"  {name}  " in done.stdout
        assert sentence in done.stdout


@pytest.mark.parametrize("name", cli.JOBS)
def test_a_subcommand_is_the_command_of_its_job(name):
    result = CliRunner().invoke(cli.main, [name, "--help"])

    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: main {name} [OPTIONS]")
    assert cli.job(name).help in " ".join(result.output.split())


@pytest.mark.parametrize("name", cli.JOBS)
def test_a_recipe_is_the_command_of_its_job(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])

    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"pipelines.{name}", run_name="__main__")

    assert ended.value.code == 0
    assert cli.job(name).help in " ".join(capsys.readouterr().out.split())


def test_a_subcommand_runs_and_reports_a_mistake_in_one_sentence(tmp_path):
    data = tmp_path / "none.csv"

    result = CliRunner().invoke(cli.main, ["score", "--data", str(data), "--output", "y.parquet"])

    assert result.exit_code == ExitCode.DATA
    assert result.stderr.endswith(f" Error: need a table at {data}; there is no such file.\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["score", "--colour", "red"], "No such option"),
        (["traim"], "No such command 'traim'"),
        (["score", "--batch-size", "many"], "'many' is not a valid integer."),
    ],
)
def test_a_mistyped_command_is_reported_in_one_sentence(words, sentence):
    result = CliRunner().invoke(cli.main, words)

    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert "Error: " in last
    assert sentence in last
    assert "Traceback" not in result.output


def test_the_environment_is_set_before_a_job_is_imported_and_the_users_own_settings_win(
    monkeypatch,
):
    for key in cli.ENVIRONMENT:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "ERROR")
    seen = {}

    def import_module(name):
        seen.update(os.environ)
        return SimpleNamespace(main=name)

    monkeypatch.setattr(cli.importlib, "import_module", import_module)

    assert cli.job("score") == "anomdiff.jobs.score"
    assert seen["OMP_WAIT_POLICY"] == "PASSIVE"
    assert seen["MLFLOW_LOGGING_LEVEL"] == "ERROR"


@pytest.mark.parametrize("module", ["anomdiff", "anomdiff.cli"])
def test_the_command_is_run_as_a_module_too(module):
    asked = [sys.executable, "-m", module, "score", "nowhere.toml"]

    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == ExitCode.SETTINGS
    assert "nowhere.toml" in done.stderr
