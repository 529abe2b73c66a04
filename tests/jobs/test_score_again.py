"""Scoring the same night again: once is enough, and a run that has died goes on."""

import json
import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import cli
from anomdiff.jobs.dry_run import dry_run
from anomdiff.jobs.errors import BusyError
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.runs.locks import locked
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.storage import save

# Scores a table by a stored model, and dies in the middle of a batch.
DYING = """
import os, signal, sys
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.storage import load
detector, left = load(sys.argv[1]), int(sys.argv[4])
class Dying:
    def __getattr__(self, name):
        return getattr(detector, name)
    def score_frame(self, rows):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return detector.score_frame(rows)
settings = ScoreSettings(data=sys.argv[2], output=sys.argv[3], batch_size=20)
score(settings, Dying())
"""


@pytest.fixture
def night(tmp_path, table):
    """A table of 90 rows, and where its scores go."""
    path = tmp_path / "in.parquet"
    table.head(90).reset_index(drop=True).to_parquet(path)
    return {"data": path, "output": tmp_path / "out" / "scored.parquet", "batch_size": 20}


def _files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("finished", [0, 1, 3, 4])
def test_a_killed_run_goes_on_and_nothing_is_left_over(tmp_path, night, tiny, finished):
    save(tiny, tmp_path / "model")
    words = [tmp_path / "model", night["data"], night["output"], finished]
    died = subprocess.run([sys.executable, "-c", DYING, *map(str, words)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert not night["output"].exists()

    summary = score(ScoreSettings(**night), tiny)

    assert summary["batches_restored"] == finished
    assert set(_files(tmp_path / "out")) == {"scored.parquet", "scored.summary.json"}
    unbroken = {**night, "output": tmp_path / "other" / "scored.parquet"}
    whole = score(ScoreSettings(**unbroken), tiny)
    found, expected = (pd.read_parquet(each["output"]) for each in (night, unbroken))
    pd.testing.assert_frame_equal(found, expected)
    assert summary["rows_digest"] == whole["rows_digest"]
    assert found["row"].tolist() == [*range(90)]


def test_the_same_date_is_scored_once(night, tiny):
    settings = ScoreSettings(**night, batch_date="2026-01-31")
    first = score(settings, tiny)
    before = os.stat(settings.output).st_mtime_ns

    again = score(settings, tiny)

    assert again == json.loads(json.dumps(first))
    assert os.stat(settings.output).st_mtime_ns == before
    assert score(settings.model_copy(update={"batch_size": 7}), tiny) == again


def test_other_rows_or_settings_of_the_same_date_are_refused_unless_it_is_overwritten(night, tiny):
    settings = ScoreSettings(**night, batch_date="2026-01-31")
    score(settings, tiny)
    before = _files(settings.output.parent)
    kept = settings.model_copy(update={"keep": ("amount",)})
    pd.read_parquet(night["data"]).head(50).to_parquet(night["data"])

    for changed, said in ((settings, "other rows"), (kept, "other rows and other settings")):
        with pytest.raises(SettingsError, match=f"need `overwrite`.* a run with {said}."):
            score(changed, tiny)
    assert _files(settings.output.parent) == before

    summary = score(settings.model_copy(update={"overwrite": True}), tiny)
    assert summary["rows"] == 50


def test_another_date_and_no_date_overwrite_as_ever(night, tiny):
    settings = ScoreSettings(**night, batch_date="2026-01-31")
    score(settings, tiny)
    pd.read_parquet(night["data"]).head(50).to_parquet(night["data"])

    later = ScoreSettings(**night, batch_date="2026-02-01")
    assert score(later, tiny)["rows"] == 50
    assert score(ScoreSettings(**night), tiny)["rows"] == 50


def test_another_model_is_no_repetition(night, tiny, monkeypatch):
    settings = ScoreSettings(**night, batch_date="2026-01-31")
    monkeypatch.setattr("anomdiff.jobs.score.load_registered", lambda uri: tiny)
    for version, run in (("1", "a"), ("2", "b")):
        model = {"uri": f"models:/m/{version}", "run_id": run}
        monkeypatch.setattr("anomdiff.jobs.score.resolve_model", lambda uri, model=model: model)
        if version == "1":
            score(settings)
    with pytest.raises(SettingsError, match="a run with another model"):
        score(settings)


def test_two_runs_at_once_do_not_mix(night, tiny):
    settings = ScoreSettings(**night)
    with locked(settings.output), pytest.raises(BusyError, match="another one does right now"):
        score(settings, tiny)
    assert not settings.output.exists()


def test_rows_that_cannot_be_scored_leave_no_scores_of_others(night, tiny):
    table = pd.read_parquet(night["data"])
    numbers = table.select_dtypes("number").columns[0]
    table[numbers] = table[numbers].astype(object)
    table.loc[60:79, numbers] = "many"
    path = night["data"].with_suffix(".csv")
    table.to_csv(path, index=False)

    with pytest.raises(ValueError, match="many"):
        score(ScoreSettings(**{**night, "data": path}), tiny)

    assert _files(night["output"].parent) == {}


def test_a_dry_run_checks_and_writes_nothing(tmp_path, night, tiny):
    told = dry_run(ScoreSettings(**night), tiny).splitlines()

    assert told[0] == "dry run: nothing is written"
    assert f"  would read   data: {night['data']}" in told
    assert f"  would write  output: {night['output']}" in told
    assert not (tmp_path / "out").exists()
    done = ScoreSettings(**night, batch_date="2026-01-31")
    score(done, tiny)
    assert "nothing: 2026-01-31 was scored before" in dry_run(done, tiny)


def test_a_dry_run_finds_what_a_run_would_fail_of(tmp_path, night, tiny):
    narrow = pd.read_parquet(night["data"]).iloc[:, :1]
    narrow.to_parquet(tmp_path / "narrow.parquet")
    (tmp_path / "taken.parquet").mkdir()

    with pytest.raises(ValueError, match="need columns"):
        dry_run(ScoreSettings(**{**night, "data": tmp_path / "narrow.parquet"}), tiny)
    with pytest.raises(IsADirectoryError, match="need a file to write"):
        dry_run(ScoreSettings(**{**night, "output": tmp_path / "taken.parquet"}), tiny)


@pytest.mark.parametrize("job", ["train", "score", "monitor", "feedback", "retrain", "promote"])
def test_no_job_does_anything_in_a_dry_run(tmp_path, night, tiny, job, monkeypatch):
    """Where the model is there; whatever the job, no file and no run appears."""
    monkeypatch.setattr("anomdiff.jobs.dry_run.resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr("anomdiff.jobs.dry_run.load_registered", lambda uri: tiny)
    monkeypatch.setattr("anomdiff.integrations.mlflow.tracking_store.ensure_store", _never)
    words = [job, "--data", night["data"], "--dry-run"]
    if job == "feedback":
        verdicts = tmp_path / "verdicts.csv"
        verdicts.write_text("row,verdict\n1,false alarm\n", encoding="utf-8")
        words += ["--verdicts", verdicts]
    if job in ("score", "monitor", "feedback"):
        words += ["--output", night["output"]]
    before = _files(tmp_path)

    result = CliRunner().invoke(cli.main, list(map(str, words)))

    assert result.exit_code == 0, result.output
    assert "dry run: nothing is written" in result.stdout
    assert _files(tmp_path) == before


def _never(*_):
    raise AssertionError("a dry run needs no store")
