import json
import logging
import re
import time
import warnings

import pytest

from anomdiff.jobs.runs.logs import choose_format, heartbeat, told_on_stderr

logger = logging.getLogger("anomdiff.jobs.test")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d"


def _told(capsys, wanted):
    with told_on_stderr():
        choose_format(wanted)
        logger.info("read %s", "a.csv")
        warnings.warn("columns are not used", stacklevel=1)
        logger.error("need a table")
        logger.debug("a detail")
    return capsys.readouterr().err.splitlines()


def test_plain_lines_are_what_a_terminal_shows(capsys):
    assert _told(capsys, "plain") == [
        "read a.csv",
        "Warning: columns are not used",
        "Error: need a table",
    ]


@pytest.mark.parametrize("wanted", ["text", None])
def test_lines_have_time_and_level_where_there_is_no_terminal(capsys, wanted):
    plain, told = _told(capsys, "plain"), _told(capsys, wanted)

    assert [re.sub(f"^{TIME} ", "", line) for line in told] == plain
    assert all(re.match(TIME, line) for line in told)


def test_json_lines_hold_the_same(capsys):
    lines = [json.loads(line) for line in _told(capsys, "json")]

    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "read a.csv"),
        ("warning", "columns are not used"),
        ("error", "need a table"),
    ]
    assert all(re.fullmatch(TIME, line["time"]) for line in lines)


def test_a_long_step_tells_now_and_then_what_it_is_at(capsys):
    with told_on_stderr(), heartbeat("score", 0.05) as beating:
        choose_format("plain")
        beating.at = "20 of 80 rows"
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    time.sleep(0.1)

    assert len(lines) >= 2
    assert set(lines) == {"score: running for 0 min 0 s, 20 of 80 rows"}
    assert capsys.readouterr().err == ""


def test_no_heartbeat_is_told_where_none_is_wanted(capsys):
    with told_on_stderr(), heartbeat("score", 0):
        time.sleep(0.1)

    assert capsys.readouterr().err == ""
