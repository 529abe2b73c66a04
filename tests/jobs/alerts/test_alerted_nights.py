"""Laws of alerts of `anomdiff score`: one message a night, whatever happens, after the files."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff import TimeSeriesDetector
from anomdiff.jobs import score as job
from anomdiff.jobs.exit_codes import ExitCode, SettingsError
from anomdiff.jobs.runs import retries
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from tests.jobs.alerts.servers import web_server
from tests.series import panel
from tests.settings import TINY_SERIES

NIGHTS, LENGTH = 5, 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(retries, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server(monkeypatch):
    with web_server() as found:
        monkeypatch.setenv("HOOK", found.url)
        yield found


@pytest.fixture
def night(tmp_path, table):
    """Settings of 90 rows, three of them odd."""
    rows = table.head(90).reset_index(names="sale")
    rows.loc[[3, 50, 51], "price"] += [900, 300, 500]
    rows.to_parquet(tmp_path / "in.parquet")
    return {
        "data": tmp_path / "in.parquet",
        "output": tmp_path / "out",
        "alarms": tmp_path / "alarms.csv",
        "key": ["sale"],
        "batch_date": "2026-01-31",
        "max_alarm_rate": 1.0,
        "retries": 0,
        "alert": {"webhook_env": "HOOK", "top": 2},
    }


def bodies(server):
    return [body for _, _, body in server.requests]


def test_a_message_says_what_the_files_say(tmp_path, night, tiny, server):
    settings = ScoreSettings(**night)

    summary = score(settings, tiny)

    table = pd.read_csv(night["alarms"])
    [body] = bodies(server)
    written = json.loads((tmp_path / "out/batch_date=2026-01-31/_summary.json").read_text())
    assert body == summary["alert"] == written["alert"]
    assert (body["new"], body["alarms"], body["rows"]) == (len(table), summary["alarms"], 90)
    assert [case["name"] for case in body["cases"]] == [f"sale {i}" for i in table["sale"][:2]]
    assert [case["sentence"] for case in body["cases"]] == table["sentence"][:2].tolist()
    assert body["alarms_expected"] == round(tiny.alpha * 90, 1)
    assert summary["alert_unsent"] == []


def test_a_night_that_is_scored_again_is_told_once(night, tiny, server):
    for more in ({}, {}, {"overwrite": True}, {"batch_size": 7, "overwrite": True}):
        score(ScoreSettings(**{**night, **more}), tiny)
    assert len(server.requests) == 1

    score(ScoreSettings(**{**night, "batch_date": "2026-02-01"}), tiny)
    assert [body["batch_date"] for body in bodies(server)] == ["2026-01-31", "2026-02-01"]


def test_a_message_that_was_not_sent_is_sent_by_the_next_run(
    tmp_path, night, tiny, server, monkeypatch
):
    server.answers.append(500)
    first = score(ScoreSettings(**night), tiny)
    output = tmp_path / "out/batch_date=2026-01-31/scored.parquet"
    before = output.stat().st_mtime_ns

    monkeypatch.setattr(tiny, "score_frame", None)  # nothing is scored again
    second = score(ScoreSettings(**night), tiny)

    assert (first["alert_unsent"], second["alert_unsent"]) == (["webhook"], [])
    assert output.stat().st_mtime_ns == before
    one, two = bodies(server)
    assert one == two == second["alert"]


def test_a_dry_run_sends_nothing_and_says_what_it_would(night, tiny, server):
    told = score(ScoreSettings(**night, dry_run=True), tiny)["dry_run"]

    assert "  would alert  webhook" in told.splitlines()
    assert server.requests == []


def test_nothing_is_scored_where_a_variable_is_missing(tmp_path, night, tiny, monkeypatch):
    monkeypatch.delenv("HOOK", raising=False)

    for dry_run in (False, True):
        with pytest.raises(SettingsError, match="need the environment variable HOOK"):
            score(ScoreSettings(**night, dry_run=dry_run), tiny)
    assert not (tmp_path / "out").exists()


def test_more_alarms_than_make_sense_are_told(night, tiny, server):
    settings = ScoreSettings(**{**night, "max_alarm_rate": 0.0, "max_alarm_factor": 1e-9})
    rows = pd.read_parquet(night["data"])
    rows.assign(price=rows["price"] + 1e4).to_parquet(night["data"])

    with pytest.warns(UserWarning, match="need an alarm rate"):
        score(settings, tiny)

    assert bodies(server)[0]["warnings"][0].startswith("need an alarm rate near alpha")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"alarms": None, "key": []}, "need `alarms`"),
        ({"alert": {}}, "need `webhook_env`, `slack_env`, `email` or `command`; got none"),
        (
            {"alert": {"webhook": "https://S3CRET"}},
            "unknown key 'alert.webhook'; known keys are co",
        ),
        ({"alert": {"webhook_env": "https://S3CRET"}}, "'alert.webhook_env': String should match"),
        ({"alert": {"email": {"hots": 1}}}, "unknown key 'alert.email.hots'; known keys are host"),
        ({"alert": {"email": {"host": "h", "sender": "a@b\nBcc: x@y"}}}, "'alert.email.sender'"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence(tmp_path, night, given, told):
    path = tmp_path / "empty.toml"
    path.write_text("")
    plain = {key: value for key, value in {**night, **given}.items() if value is not None}

    with pytest.raises(SettingsError) as error:
        ScoreSettings.load(path, plain)

    assert told in str(error.value)
    assert "S3CRET" not in str(error.value)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ({}, ExitCode.DONE),
        ({"alert_unsent": []}, ExitCode.DONE),
        ({"alert_unsent": ["email"]}, ExitCode.UNSENT),
        ({"alert_unsent": ["email"], "series": {"failed": 1}}, ExitCode.UNSENT),
        ({"alert_unsent": ["email"], "alarms_make_no_sense": True}, ExitCode.SENSELESS),
    ],
)
def test_the_exit_code_says_that_a_message_was_not_sent(tmp_path, monkeypatch, found, code):
    counts = {"rows": 1, "alarms": 0, "rows_per_second": 1.0, "output": "x"}
    summary = {"alarms_make_no_sense": False, **counts, **found}
    monkeypatch.setattr(job, "score", lambda settings: summary)

    done = CliRunner().invoke(job.main, ["--data", "x.csv", "--output", "x.parquet"])

    assert done.exit_code == code


def test_an_incident_of_many_nights_is_told_once(tmp_path, server):
    hosts = ("a", "b", "c")
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    detector.fit(panel(200, seed=0, labels=hosts))
    whole = panel(NIGHTS * LENGTH, seed=7, labels=hosts)
    step = np.tile(np.arange(NIGHTS * LENGTH), len(hosts))
    whole.loc[(whole["host"] == "b") & (step >= 90) & (step < 195), "echo"] += 40.0
    told, worst = [], []
    for each in (1, 2, 3):
        whole[step // LENGTH == each].to_parquet(tmp_path / "in.parquet")
        settings = ScoreSettings(
            data=tmp_path / "in.parquet",
            output=tmp_path / "out",
            alarms=tmp_path / "alarms.csv",
            batch_date=f"2026-01-{each + 1:02d}",
            join=8,
            max_alarm_rate=1.0,
            alert={"webhook_env": "HOOK", "top": 20},
        )
        score(settings, detector)
        table = pd.read_csv(tmp_path / "alarms.csv")
        told += table.loc[table["new"], "incident_id"].tolist()
        worst.append(table.loc[table["series"] == "b", "incident_id"].iloc[0])

    sent = [case["incident_id"] for body in bodies(server) for case in body["cases"]]
    assert sent == told
    assert len(sent) == len(set(sent))
    assert len(set(worst)) == 1
    assert sent.count(worst[0]) == 1
