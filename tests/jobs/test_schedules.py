"""Laws of `pipelines/schedules`: every file runs the same command, with yesterday's date."""

import ast
import configparser
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner

from anomdiff import cli
from anomdiff.jobs.exit_codes import ExitCode
from tests.settings import TINY

FOLDER = Path(__file__).parents[2] / "pipelines" / "schedules"
UNITS = ("service", "timer")
AGAIN = {int(ExitCode.UNSENT), int(ExitCode.STORE)}
PROGRAM = '#!/bin/sh\nprintf "%s\\n" "$PWD" "$@" >> "$CALLS"\n'


def command(date):
    """The one command of all files, as words."""
    places = f"--data landing/{date}.parquet --output scored --batch-date {date}"
    return shlex.split(f"score score.toml {places}")


def yesterdays():
    """Yesterday; a test that runs over midnight may see two."""
    return (datetime.now(UTC) - timedelta(days=1)).date().isoformat()


def crontab():
    lines = (FOLDER / "crontab").read_text().splitlines()
    [line] = [line for line in lines if line and line[0] not in "#CP"]
    return line.split(None, 5)


def unit(name):
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read(FOLDER / name)
    return parser


def cron_job():
    return yaml.safe_load((FOLDER / "kubernetes-cronjob.yaml").read_text())


def workflow():
    return yaml.safe_load((FOLDER / "github-actions.yml").read_text())


def dag_file():
    return ast.parse((FOLDER / "airflow_dag.py").read_text())


def scripts():
    """What a shell runs, by file, as its scheduler hands it over."""
    service = unit("anomdiff-score.service")["Service"]["ExecStart"]
    container = cron_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    steps = workflow()["jobs"]["score"]["steps"]
    return {
        "crontab": ["/bin/sh", "-c", crontab()[5].replace("\\%", "%")],
        "anomdiff-score.service": shlex.split(service.replace("$$", "$").replace("%%", "%")),
        "kubernetes-cronjob.yaml": [*container["command"], *container["args"]],
        "github-actions.yml": ["bash", "-e", "-c", steps[-1]["run"]],
    }


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """A program `anomdiff` that writes down the folder and the words it is called with."""
    program = tmp_path / "bin" / "anomdiff"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.delenv("BATCH_DATE", raising=False)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")  # where it is tomorrow already
    return lambda: (tmp_path / "calls").read_text().splitlines()


@pytest.mark.parametrize("name", scripts())
def test_a_file_runs_the_command_with_the_date_of_yesterday(tmp_path, calls, name):
    (tmp_path / "secrets.env").write_text("SLACK_URL=https://x\n")
    words = [each.replace("/srv/anomdiff", str(tmp_path)) for each in scripts()[name]]
    expected = [command(yesterdays())]

    subprocess.run(words, cwd=tmp_path, check=True)

    assert calls()[1:] in [*expected, command(yesterdays())]
    assert calls()[0] == str(tmp_path)


def test_a_workflow_takes_another_date(tmp_path, calls, monkeypatch):
    monkeypatch.setenv("BATCH_DATE", "2026-01-31")

    subprocess.run(scripts()["github-actions.yml"], cwd=tmp_path, check=True)

    assert calls()[1:] == command("2026-01-31")


def test_a_crontab_line_has_five_fields_and_a_command():
    minute, hour, *others, line = crontab()

    assert 0 <= int(minute) < 60
    assert 0 <= int(hour) < 24
    assert others == ["*", "*", "*"]
    assert "%" not in line.replace("\\%", "")  # which cron takes for the end of a line


def test_a_service_is_started_again_for_what_may_pass_only():
    service, timer = unit("anomdiff-score.service"), unit("anomdiff-score.timer")

    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["Restart"] == "on-failure"
    ends = {*map(int, service["Service"]["RestartPreventExitStatus"].split())}
    assert {int(each) for each in ExitCode if each} - ends == AGAIN
    assert timer["Timer"]["OnCalendar"].endswith("UTC")
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_systemd_takes_the_units(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd")
    units = [shutil.copy(FOLDER / f"anomdiff-score.{kind}", tmp_path) for kind in UNITS]

    done = subprocess.run([program, "verify", *units], capture_output=True, text=True, check=False)

    assert "anomdiff-score" not in done.stderr
    assert done.returncode == 0


def test_a_cron_job_runs_once_and_is_tried_again_for_what_may_pass_only():
    spec = cron_job()["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]

    assert spec["concurrencyPolicy"] == "Forbid"
    assert pod["restartPolicy"] == "Never"
    assert job["backoffLimit"] > 0
    [rule] = [each for each in job["podFailurePolicy"]["rules"] if "onExitCodes" in each]
    codes = rule["onExitCodes"]
    assert (rule["action"], codes["operator"]) == ("FailJob", "NotIn")
    assert codes["containerName"] == pod["containers"][0]["name"]
    assert {*codes["values"]} - {0} == AGAIN
    assert {"requests", "limits"} == {*pod["containers"][0]["resources"]}


def test_a_workflow_waits_for_the_one_before():
    found = workflow()

    assert found[True]["schedule"] == [{"cron": "0 3 * * *"}]  # `on` is a boolean of YAML
    assert found["concurrency"]["cancel-in-progress"] is False


class Kept(SimpleNamespace):
    """Stands for a class of Airflow, and keeps what it is made with."""

    made: list = []  # noqa: RUF012

    def __init__(self, *words, **named):
        super().__init__(words=words, **named)
        Kept.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def airflow_modules(version):
    """Modules that have what the DAG imports, where they have it in a version of Airflow."""

    class Failed(Exception):
        pass

    class FailedForGood(Failed):
        pass

    operators = {2: "airflow.operators.python", 3: "airflow.providers.standard.operators.python"}
    offers = {
        {2: "airflow.exceptions", 3: "airflow.sdk.exceptions"}[version]: {
            "AirflowException": Failed,
            "AirflowFailException": FailedForGood,
        },
        "airflow.timetables.interval": {"CronDataIntervalTimetable": Kept},
        operators[version]: {"PythonOperator": Kept},
        {2: "airflow", 3: "airflow.sdk"}[version]: {"DAG": Kept},
    }
    names = {name.rsplit(".", i)[0] for name in offers for i in range(name.count(".") + 1)}
    modules = {name: ModuleType(name) for name in names}
    for name, values in offers.items():
        vars(modules[name]).update(values)
    return modules, Failed, FailedForGood


def imported():
    spec = importlib.util.spec_from_file_location("airflow_dag", FOLDER / "airflow_dag.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("version", [2, 3])
def test_a_dag_is_tried_again_for_what_may_pass_only(tmp_path, calls, monkeypatch, version):
    for name in [name for name in sys.modules if name.split(".")[0] == "airflow"]:
        monkeypatch.delitem(sys.modules, name)
    modules, failed, for_good = airflow_modules(version)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(Kept, "made", [])
    dag = imported()
    dag.FOLDER = tmp_path
    program = tmp_path / "bin" / "anomdiff"

    dag.score("2026-01-31")
    assert calls()[1:] == command("2026-01-31")
    for code in [each for each in ExitCode if each]:
        program.write_text(f"#!/bin/sh\nexit {code:d}\n")
        with pytest.raises(failed) as error:
            dag.score("2026-01-31")
        assert isinstance(error.value, for_good) == (code not in AGAIN)

    _, made, task = Kept.made
    assert made.max_active_runs == 1
    assert made.catchup is False
    assert task.python_callable is dag.score
    assert task.retries > 0


def test_a_real_airflow_takes_the_dag():
    pytest.importorskip("airflow")

    dag = imported().dag

    assert [task.task_id for task in dag.tasks] == ["score"]
    assert dag.max_active_runs == 1


def test_a_dag_file_is_python_without_anomdiff():
    """Airflow's own Python reads the file, which need not have this library."""
    names = {
        node.module.split(".")[0]
        for node in ast.walk(dag_file())
        if isinstance(node, ast.ImportFrom)
    }

    assert names <= {"airflow", "datetime"}


def test_the_command_scores_a_night(mlflow_store, table, tmp_path):
    detector = ", ".join(f"{key} = {str(value).lower()}" for key, value in TINY.items())
    table.head(300).to_parquet(tmp_path / "history.parquet")
    (tmp_path / "train.toml").write_text(f'data = "history.parquet"\ndetector = {{{detector}}}\n')
    (tmp_path / "landing").mkdir()
    table.tail(50).to_parquet(tmp_path / "landing" / "2026-01-31.parquet")
    text = 'alarms = "alarms.csv"\nmax_alarm_rate = 1.0\n[alert]\ncommand = ["tee", "sent.json"]\n'
    (tmp_path / "score.toml").write_text(f'{text}when = "always"\n')

    for words in (["train", "train.toml"], command("2026-01-31"), command("2026-01-31")):
        done = CliRunner().invoke(cli.main, words)
        assert done.exit_code == 0, done.output

    scored = pd.read_parquet(tmp_path / "scored" / "batch_date=2026-01-31" / "scored.parquet")
    assert len(scored) == 50
    assert (tmp_path / "sent.json").read_text().count('"batch_date": "2026-01-31"') == 1
