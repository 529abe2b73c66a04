"""Laws of a message: what it says is in the alarm table, and no text of a table is code in it."""

import json

import pandas as pd
import pytest

from anomdiff.jobs.alerts.alert_settings import AlertSettings
from anomdiff.jobs.alerts.cases import clean, new_alarms
from anomdiff.jobs.alerts.message import message_of
from anomdiff.jobs.alerts.texts import plain_text, slack_message

ATTACK = "<!channel> <http://evil|x> &\r\nBcc: all@x.org\u202e\x00 *b* " + "y" * 9000
SUMMARY = {
    "scored_at": "2026-02-01T03:00:00+00:00",
    "record": {"batch_date": "2026-01-31"},
    "model": {"uri": "models:/anomdiff/7", "version": "7", "run_id": "r"},
    "rows": 2000,
    "rows_not_judged": 100,
    "rows_quarantined": 0,
    "alarms": 25,
    "alpha": 0.01,
}


def alert(**given):
    return AlertSettings(**{"command": ["true"], **given})


def rows(n, **columns):
    frame = pd.DataFrame(
        {
            "row": range(n),
            "id": [f"p{i}" for i in range(n)],
            "severity": [90.0 - i for i in range(n)],
            "sentence": [f"amount {i}, expected 1" for i in range(n)],
        }
    )
    return frame.assign(**columns)


def incidents(**columns):
    frame = pd.DataFrame(
        {
            "incident_id": ["aa", "bb", "cc"],
            "new": [False, True, True],
            "series": ["x", "y", "z"],
            "start": pd.to_datetime(
                ["2026-01-30", "2026-01-31", "2026-01-31 05:00"], format="mixed"
            ),
            "end": pd.to_datetime(
                ["2026-01-31", "2026-01-31 02:00", "2026-01-31 06:00"], format="mixed"
            ),
            "ongoing": [True, False, True],
            "channels": ["cpu", "cpu, disk", "disk"],
            "kind": ["shift", "spike", None],
            "severity": [99.0, 70.0, float("nan")],
            "sentence": ["a", "b", None],
        }
    )
    return frame.assign(**columns)


def test_a_message_has_the_first_cases_and_counts_them_all():
    found = message_of(
        alert(top=2, report="https://r/{batch_date}"), SUMMARY, rows(7), ["id"], None
    )

    assert found["subject"] == (
        "2026-01-31: 7 new alarms; 25 of 2,000 rows flagged, 19 expected by alpha 0.01"
    )
    assert found["cases"] == [
        {"name": "id p0", "severity": 90.0, "sentence": "amount 0, expected 1"},
        {"name": "id p1", "severity": 89.0, "sentence": "amount 1, expected 1"},
    ]
    assert (found["new"], found["alarms_expected"], found["warnings"]) == (7, 19.0, [])
    assert found["report"] == "https://r/2026-01-31"
    assert found["model"] == {"uri": "models:/anomdiff/7", "version": "7"}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert "5 more in the alarm table" in plain_text(found)


def test_a_row_without_a_key_is_called_by_its_number():
    found = message_of(alert(), SUMMARY, rows(1), [], None)

    assert found["cases"][0]["name"] == "row 0"
    assert "1 new alarm;" in found["subject"]


def test_only_new_incidents_are_told():
    found = message_of(alert(), SUMMARY, incidents(), [], None)

    assert [case["incident_id"] for case in found["cases"]] == ["bb", "cc"]
    assert found["cases"][0] == {
        "name": "y",
        "incident_id": "bb",
        "start": "2026-01-31T00:00:00",
        "end": "2026-01-31T02:00:00",
        "ongoing": False,
        "channels": "cpu, disk",
        "kind": "spike",
        "severity": 70.0,
        "sentence": "b",
    }
    assert found["cases"][1]["severity"] is None
    assert "2 new incidents; 25 of 2,000 steps flagged" in found["subject"]
    assert "2026-01-31T05:00:00 to 2026-01-31T06:00:00, ongoing: disk (incident cc)" in plain_text(
        found
    )


def test_muted_lines_are_not_told():
    table = rows(3, muted_by=["", "rule 1", None])

    assert new_alarms(table)["id"].tolist() == ["p0", "p2"]


@pytest.mark.parametrize(
    ("when", "table", "senseless", "told"),
    [
        ("alarms", rows(0), None, False),
        ("alarms", rows(2, muted_by="rule 1"), None, False),
        ("alarms", incidents(new=False), None, False),
        ("alarms", rows(1), None, True),
        ("alarms", rows(0), "too many", True),
        ("always", rows(0), None, True),
    ],
)
def test_a_night_without_news_is_told_only_if_it_is_always(when, table, senseless, told):
    found = message_of(alert(when=when), SUMMARY, table, [], senseless)

    assert (found is not None) == told


def test_what_makes_a_night_doubtful_is_told():
    summary = {
        **SUMMARY,
        "rows_quarantined": 12,
        "series": {"failed": 5},
        "series_status": {**{f"s{i}": "failed: why" for i in range(5)}, "new": "unknown"},
    }

    found = message_of(alert(), summary, rows(1), [], "need fewer alarms")

    assert found["warnings"] == [
        "need fewer alarms",
        "5 series failed: s0, s1, s2, ...",
        "12 rows could not be read",
    ]
    assert all(f"! {each}" in plain_text(found) for each in found["warnings"])


def test_the_id_of_a_message_is_that_of_what_it_says():
    first = message_of(alert(), SUMMARY, rows(3), [], None)
    later = message_of(alert(), {**SUMMARY, "scored_at": "2026-03-01"}, rows(3), [], None)
    other = message_of(alert(), SUMMARY, rows(4), [], None)

    assert first["id"] == later["id"] != other["id"]


def attacked():
    table = incidents(series=ATTACK, channels=ATTACK, sentence=ATTACK, new=True)
    summary = {**SUMMARY, "series": {"failed": 1}, "series_status": {ATTACK: "failed: x"}}
    return message_of(alert(report="https://r/?a=1&b=<x>|y"), summary, table, [], None)


def test_no_text_of_a_table_is_code_in_slack():
    sent = slack_message(attacked())

    texts = [block["text"]["text"] for block in sent["blocks"]] + [sent["text"]]
    linked = "Model: models:/anomdiff/7\n<https://r/?a=1&amp;b=&lt;x&gt;%7Cy|Report>"
    assert [text for text in texts if "<" in text] == [linked]
    assert any("&lt;!channel&gt;" in text for text in texts)
    assert all(block["text"].get("verbatim") for block in sent["blocks"][1:])
    assert max(map(len, texts)) <= 3000
    assert len(sent["blocks"]) <= 50


def test_no_text_of_a_table_begins_a_line_of_its_own():
    text = plain_text(attacked())

    assert not any(line.startswith("Bcc") for line in text.splitlines())
    assert not {"\u202e", "\x00", "\r"} & {*text}
    assert max(map(len, text.splitlines())) <= 500


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (float("nan"), ""),
        (pd.NaT, ""),
        ("a\n\tb", "a b"),
        (7, "7"),
        (b"x", "b'x'"),
        ("é" * 81, "é" * 77 + "..."),
    ],
)
def test_a_cell_is_text_of_one_line(value, text):
    assert clean(value) == text
