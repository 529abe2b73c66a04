"""Settings as text: every file that is written reads back as what it says."""

import math
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import cli
from anomdiff.jobs.assignments import with_assignments
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.settings import TrainSettings
from anomdiff.jobs.settings_files import JOBS, commented, reference_page, toml_value

ROOT = Path(__file__).parents[2]


@pytest.fixture
def payments(tmp_path, monkeypatch):
    """A CSV of payments with a label, in the folder that commands run in."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(size=80).round(2),
            'shop "A"': rng.choice(["x", "y"], 80),
            "fraud": rng.choice(["no", "yes"], 80, p=[0.9, 0.1]),
        }
    )
    frame.to_csv(tmp_path / "payments.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return frame


def init(*arguments):
    return CliRunner().invoke(cli.main, ["init", *map(str, arguments)])


@pytest.mark.parametrize(
    "value",
    [
        "a",
        'quote " and \\',
        "Zürich\n",
        1,
        -0.5,
        math.inf,
        True,
        [1, 2],
        ["a", ["b"]],
        {"a b": {"c": 1}},
        [],
    ],
)
def test_a_value_reads_back_from_toml(value):
    assert tomllib.loads(f"v = {toml_value(value)}")["v"] == value


def test_what_toml_has_not_is_refused():
    with pytest.raises(ValueError, match="need a text, number, boolean, list or table for TOML"):
        toml_value(None)


@pytest.mark.parametrize("job", JOBS)
def test_all_keys_stand_in_a_file_and_in_the_page_with_what_they_mean(job):
    given = {key: "x" for key, field in JOBS[job].model_fields.items() if field.is_required()}

    text = commented(JOBS[job], given, "head", {})

    section = reference_page().split(f"## anomdiff {job}\n")[1].split("\n## ")[0]
    for key in JOBS[job].model_fields:
        assert any(
            line.lstrip("# ").startswith((f"{key} =", f"[{key}]")) for line in text.splitlines()
        )
        assert f"| `{key}` |" in section
    assert tomllib.loads(text) == given
    assert max(map(len, text.splitlines())) <= 100


def test_defaults_that_are_commented_out_are_those_of_the_settings():
    text = commented(TrainSettings, {"data": "x"}, "head", {})
    lines = [line.removeprefix("# ") for line in text.splitlines()]
    keys = [line for line in lines if line.partition(" = ")[0] in TrainSettings.model_fields]

    read = TrainSettings(**tomllib.loads("\n".join(keys)))

    assert read == TrainSettings(data="x")


def test_a_key_that_is_needed_or_unknown_is_told():
    with pytest.raises(ValueError, match="need a value for 'data'"):
        commented(TrainSettings, {}, "head", {})
    with pytest.raises(ValueError, match=r"need keys of TrainSettings; got \['dat'\]"):
        commented(TrainSettings, {"dat": "x"}, "head", {})


def test_the_page_in_docs_is_as_the_code_says():
    assert (ROOT / "docs" / "settings.md").read_text() == reference_page()


def test_init_writes_files_that_the_jobs_read(payments):
    result = init("payments.csv", "--label", "fraud", "--normal", "no", "--name", "cards")

    assert result.exit_code == 0, result.output
    found = {job: JOBS[job].load(f"{job}.toml") for job in JOBS}
    assert found["train"].label == "fraud"
    assert found["train"].normal == ("no",)
    assert found["train"].registered_name == "cards"
    assert found["train"].detector == {"alpha": 0.01, "random_state": 0}
    assert found["score"].model == "models:/cards@champion"
    text = Path("train.toml").read_text()
    assert "# number: amount\n" in text
    assert '# category: shop "A"\n' in text
    assert "fraud" not in text.split("rows have these columns")[1]


def test_init_says_to_replace_the_table_and_finds_the_column_that_names_rows(payments):
    payments.assign(payment=[f"p{i:05d}" for i in range(80)]).to_csv("named.csv", index=False)

    assert init("payments.csv", "--folder", "plain").exit_code == 0
    assert init("named.csv").exit_code == 0

    plain, named = JOBS["score"].load("plain/score.toml"), JOBS["score"].load("score.toml")
    assert (plain.key, plain.alarms) == ((), None)
    assert (named.key, str(named.alarms)) == (("payment",), "scored/anomdiff.alarms.csv")
    assert JOBS["feedback"].load("feedback.toml").key == ("payment",)
    for job in set(JOBS) - {"train"}:
        assert (
            "replace it by that of the night, or of recent rows.\ndata = "
            in Path(f"{job}.toml").read_text()
        )
    assert "replace it" not in Path("train.toml").read_text()


def test_init_keeps_files_that_are_there(payments):
    Path("score.toml").write_text("mine")

    result = init("payments.csv")

    assert result.exit_code == ExitCode.SETTINGS
    assert "score.toml would be overwritten: set --folder, or --overwrite" in result.output
    assert Path("score.toml").read_text() == "mine"
    assert not Path("train.toml").exists()
    assert init("payments.csv", "--folder", "new").exit_code == 0
    assert init("payments.csv", "--overwrite").exit_code == 0
    assert "mine" not in Path("score.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--label", "fraud"], "need --normal, the value of column 'fraud'"),
        (["--label", "fraud", "--normal", "0"], "need --normal as a value of column 'fraud'"),
        (["--label", "frau", "--normal", "0"], r"need columns ['frau']"),
        (["--time", "when"], r"need columns ['when']"),
    ],
)
def test_init_says_what_is_wrong_and_writes_nothing(payments, arguments, said):
    result = init("payments.csv", *arguments)

    assert result.exit_code in (ExitCode.SETTINGS, ExitCode.DATA)
    assert said in result.output
    assert not list(Path().glob("*.toml"))


def test_init_of_series_asks_for_the_detector_of_series(payments):
    frame = payments.assign(time=pd.date_range("2026-01-01", periods=80, freq="h"))
    frame.drop(columns=['shop "A"', "fraud"]).to_csv("load.csv", index=False)

    assert init("load.csv", "--time", "time").exit_code == 0

    assert JOBS["train"].load("train.toml").estimator == "timeseries"
    assert JOBS["train"].load("train.toml").time == "time"


def test_assignments_reach_into_tables_and_leave_the_rest():
    before = {"data": "x", "detector": {"alpha": 0.01, "max_iter": 5}}

    found = with_assignments(
        before, ["detector.alpha=0.05", "drop=['a', 'b']", "label=is fraud", "kinds.zip='category'"]
    )

    assert found == {
        "data": "x",
        "detector": {"alpha": 0.05, "max_iter": 5},
        "drop": ["a", "b"],
        "label": "is fraud",
        "kinds": {"zip": "category"},
    }
    assert before["detector"] == {"alpha": 0.01, "max_iter": 5}


@pytest.mark.parametrize("text", ["alpha", "=1", "detector.=1"])
def test_an_assignment_without_a_key_is_told(text):
    with pytest.raises(ValueError, match="need --set as KEY=VALUE"):
        with_assignments({}, [text])


def test_an_assignment_into_what_is_no_table_is_told():
    with pytest.raises(ValueError, match="need a table at 'data' for --set data.x=1; got 'f.csv'"):
        with_assignments({"data": "f.csv"}, ["data.x=1"])


def test_set_wins_over_the_file_and_the_options(tmp_path):
    (tmp_path / "t.toml").write_text('data = "a.csv"\n[detector]\nalpha = 0.01\n')

    found = TrainSettings.load(
        tmp_path / "t.toml",
        {"data": Path("b.csv"), "assignments": ("data=c.csv", "detector.alpha=0.2")},
    )

    assert found.data == Path("c.csv")
    assert found.detector == {"alpha": 0.2}
