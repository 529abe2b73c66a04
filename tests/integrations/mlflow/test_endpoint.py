"""Whatever is sent to the endpoint is scored or refused with a sentence, and it goes on."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests
import uvicorn
from mlflow.pyfunc import scoring_server

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor
from tests.integrations.conftest import ALPHA
from tests.series import panel
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table

JSON, CSV = "application/json", "text/csv"
PARQUET = "application/vnd.apache.parquet"
RECORDS = json.loads(mixed_table(3, seed=1).to_json(orient="records", date_format="iso"))


def record(**changes):
    """A request of one good row with some cells changed."""
    return {"dataframe_records": [{**RECORDS[0], **changes}]}


def without(name):
    return {"dataframe_records": [{k: v for k, v in RECORDS[0].items() if k != name}]}


def split(columns, data):
    return {"dataframe_split": {"columns": columns, "data": data}}


NAMES = list(RECORDS[0])
ROWS = [list(row.values()) for row in RECORDS]
GOOD = {"dataframe_records": RECORDS}
WAYS = {
    "dataframe_records": GOOD,
    "dataframe_split": split(NAMES, ROWS),
    "instances": {"instances": RECORDS},
    "inputs": {"inputs": RECORDS},
    "inputs by column": {"inputs": {name: [row[name] for row in RECORDS] for name in NAMES}},
}
SCORED = {
    "optional column left out": without("weight"),
    "unknown column": record(colour="red"),
    "unknown category": record(kind="zebra"),
    "number for a category": record(kind=3),
    "null": record(price=None),
    "null category": record(kind=None),
    "null date": record(sold=None),
    "NaN": record(price=float("nan")),
    "huge number": record(price=1e308),
    "huge text": record(kind="z" * 10_000_000),
    "unknown parameter": {**record(), "params": {"colour": "red"}},
    "null parameter": {**record(), "params": {"alpha": None}},
}
REFUSED = {
    "missing column": (without("price"), "missing inputs ['price']"),
    "text for a number": (record(price="much"), "column price"),
    "object for a number": (record(price={"a": 1}), "column price"),
    "number that overflows": (record(price=10**400), "column price"),
    "infinity": (record(price=float("inf")), "finite numbers in column 'price'"),
    "text for a date": (record(sold="yesterday"), "column sold"),
    "date with a zone": (record(sold="2025-03-02T10:00:00Z"), "timezone-naive"),
    "no rows": (split(NAMES, []), "need rows and columns; got 0"),
    "no records": ({"dataframe_records": []}, "missing inputs"),
    "no columns": (split([], [[]]), "missing inputs"),
    "repeated column": (split([*NAMES, "price"], [[*ROWS[0], 1.0]]), "schema"),
    "ragged rows": (split(NAMES, [[1, 2]]), "7 columns passed"),
    "alpha of 2": ({**GOOD, "params": {"alpha": 2}}, "need alpha between 0 and 1; got 2"),
    "alpha NaN": ({**GOOD, "params": {"alpha": float("nan")}}, "need alpha"),
    "alpha text": ({**GOOD, "params": {"alpha": "much"}}, "alpha"),
    "explain number": ({**GOOD, "params": {"explain": "yes"}}, "explain"),
    "no top columns": ({**GOOD, "params": {"top_columns": 0}}, "top_columns of at least 1"),
    "parameters in a list": ({**GOOD, "params": [1]}, "must be a dictionary"),
    "two inputs": ({**GOOD, "inputs": RECORDS}, "exactly one"),
    "a list": ([1, 2], "Received a list"),
    "chat messages": ({"messages": ["hello"]}, "missing inputs"),
    "nothing": (b"", "valid JSON"),
    "10 MB of garbage": (b"x" * 10_000_000, "valid JSON"),
    "10 MB of numbers": (b'{"inputs": [' + b"1," * 5_000_000 + b"1]}", "missing inputs"),
    "bytes that are no text": (b"\xff\xfe", "valid JSON"),
}
OTHER_TYPES = {
    "html": (b"<p>", "text/html", 415, "content types"),
    "form, as curl sends it": (b"a=1", "application/x-www-form-urlencoded", 415, "content types"),
    "another charset": (b"{}", "application/json; charset=latin1", 415, "UTF-8"),
    "broken CSV": (b"a,b\n1,2,3\n4", CSV, 400, ""),
    "broken parquet": (b"abc", PARQUET, 400, "Parquet"),
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Address of an endpoint for tables."""
    detector = TabularDetector(**TINY, alpha=ALPHA).fit(mixed_table(200, seed=0))
    with serve_here(saved(detector, tmp_path_factory)) as address:
        yield address


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """Address of an endpoint that takes a matrix, and its detector."""
    rows = np.random.default_rng(0).normal(size=(200, 4))
    detector = TabularDetector(**TINY, alpha=ALPHA).fit(pd.DataFrame(rows, columns=list("abcd")))
    with serve_here(saved(detector, tmp_path_factory, signature="tensor")) as address:
        yield address, detector


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Address of an endpoint for panels, and its detector."""
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time").fit(panel(200, seed=0))
    folder = saved(detector, tmp_path_factory, input_example=panel(200, seed=0).head())
    with serve_here(folder) as address:
        yield address, detector


@pytest.fixture(params=["in a thread", pytest.param("as a user does", marks=pytest.mark.slow)])
def endpoint(request, tmp_path_factory):
    """Address of an endpoint for tables, in this process or in one of its own."""
    if request.param == "in a thread":
        yield request.getfixturevalue("tables")
        return
    detector = TabularDetector(**TINY, alpha=ALPHA).fit(mixed_table(200, seed=0))
    with serve_apart(saved(detector, tmp_path_factory)) as address:
        yield address


@pytest.mark.parametrize("way", WAYS)
def test_one_record_per_row_however_rows_are_sent(tables, way):
    answer = send(tables, WAYS[way])

    predictions = answer.json()["predictions"]
    assert [sorted(row) for row in predictions] == [["anomaly_score", "is_anomaly", "p_value"]] * 3
    assert predictions[0]["anomaly_score"] == pytest.approx(
        send(tables, GOOD).json()["predictions"][0]["anomaly_score"], abs=1e-6
    )


def test_parquet_bodies_are_scored_as_json_is(tables):
    rows = mixed_table(3, seed=1).astype({"count": float}).reset_index(drop=True)

    answer = send(tables, as_parquet(rows), PARQUET)

    scores = [row["anomaly_score"] for row in answer.json()["predictions"]]
    wanted = [row["anomaly_score"] for row in send(tables, GOOD).json()["predictions"]]
    assert scores == pytest.approx(wanted)


def test_everything_is_scored_or_refused_and_the_endpoint_goes_on(endpoint):
    for name, request in SCORED.items():
        answer = send(endpoint, request)

        assert answer.status_code == 200, name
        assert len(strict(answer)["predictions"]) == 1, name
    for name, (request, sentence) in REFUSED.items():
        answer = send(endpoint, request)

        assert answer.status_code == 400, name
        assert sentence in answer.json()["message"], name
        assert "stack_trace" not in answer.json(), name
        assert send(endpoint, GOOD).status_code == 200, f"after {name}"
    for name, (body, kind, status, sentence) in OTHER_TYPES.items():
        answer = send(endpoint, body, kind)

        assert answer.status_code == status, name
        assert sentence in answer.text, name
    assert send(endpoint, GOOD).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"[" * 1_000_000, {"Content-Type": JSON}), (b"{}", {})],
    ids=["too deep", "no content type"],
)
def test_what_mlflow_itself_stumbles_over_does_not_stop_the_endpoint(tables, body, headers):
    answer = requests.post(f"{tables}/invocations", data=body, headers=headers, timeout=60)

    assert answer.status_code >= 400
    assert send(tables, GOOD).status_code == 200


def test_many_rows_are_scored_in_one_request(tables):
    rows = mixed_table(1_000, seed=2).astype({"count": float}).reset_index(drop=True)

    answer = send(tables, as_parquet(pd.concat([rows] * 100)), PARQUET)

    assert len(answer.json()["predictions"]) == 100_000


def test_alpha_holds_for_one_request(tables):
    strict_alpha = {**GOOD, "params": {"alpha": 0.999}}

    answers = [send(tables, each).json()["predictions"] for each in (GOOD, strict_alpha, GOOD)]

    assert answers[0] == answers[2]
    assert [row["is_anomaly"] for row in answers[1]] == [r["p_value"] <= 0.999 for r in answers[1]]


def test_reasons_of_flagged_rows_come_on_request(tables):
    params = {"explain": True, "top_columns": 2, "include_expected": True}
    rows = [RECORDS[0], {**RECORDS[1], "price": 1e6, "sold": None, "kind": "zebra"}]

    answer = send(tables, {"dataframe_records": rows, "params": params})

    quiet, loud = (row["reasons"] for row in strict(answer)["predictions"])
    assert quiet == []
    assert len(loud) == 2
    assert list(loud[0]) == ["column", "value", "contribution", "expected", "low", "high"]
    assert {"column": "price", "value": 1e6}.items() <= loud[0].items()


def test_a_matrix_is_scored_as_the_frame_is(numbers):
    address, detector = numbers
    rows = [[0.1, 0.2, -0.3, None], [9.0, 9.0, -9.0, 9.0]]

    answer = send(address, {"inputs": rows, "params": {"explain": True}}).json()["predictions"]

    wanted = detector.score_frame(pd.DataFrame(rows, columns=list("abcd"), dtype=float))
    assert [row["anomaly_score"] for row in answer] == pytest.approx(wanted["anomaly_score"])
    assert {reason["column"] for reason in answer[1]["reasons"]} < set("abcd")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([[1.0, 2.0]], "expected shape (-1, 4)"),
        ([[1.0, 2.0, 3.0, "much"]], "much"),
        ([[1.0, 2.0, 3.0, float("inf")]], "finite numbers in column 'd'"),
        ([], "tensor"),
        ([[1.0], [2.0, 3.0]], "inhomogeneous"),
    ],
    ids=["too few", "text", "infinity", "none", "ragged"],
)
def test_a_bad_matrix_is_refused(numbers, rows, sentence):
    answer = send(numbers[0], {"inputs": rows})

    assert answer.status_code == 400
    assert sentence in answer.json()["message"]


def test_a_panel_is_scored_in_one_request(series):
    address, detector = series
    rows = panel(60, seed=9, labels=("a", "new")).sample(frac=1, random_state=0)

    answer = send(address, {"dataframe_records": as_records(rows)})

    wanted = detector.score_frame(rows.reset_index(drop=True))
    found = pd.DataFrame(answer.json()["predictions"])
    assert list(found) == list(wanted)
    np.testing.assert_allclose(
        found["anomaly_score"], wanted["anomaly_score"], rtol=1e-6, atol=1e-6
    )
    assert found["host"].tolist() == rows["host"].tolist()
    assert found["channel"].tolist() == wanted["channel"].tolist()
    assert (pd.to_datetime(found["time"]).to_numpy() == rows["time"].to_numpy()).all()


def test_steps_that_are_not_judged_are_null(series):
    address, _ = series

    answer = send(address, {"dataframe_records": as_records(panel(2, seed=9, labels=["a"]))})

    for scored in strict(answer)["predictions"]:
        assert [scored[name] for name in ("anomaly_score", "p_value", "channel")] == [None] * 3
        assert scored["is_anomaly"] is False


def test_steps_are_explained_by_the_series_around_them(series):
    address, _ = series
    rows = panel(80, seed=9)
    rows.loc[40, "slow"] += 8
    params = {"explain": True, "top_columns": 1, "include_expected": True}

    answer = send(address, {"dataframe_records": as_records(rows), "params": params})
    answer = strict(answer)["predictions"]

    flagged = [bool(row["reasons"]) for row in answer]
    assert flagged == [row["is_anomaly"] for row in answer]
    assert flagged[40]
    (reason,) = answer[40]["reasons"]
    assert reason["column"] == "slow"
    assert pd.Timestamp(reason["start"]) <= rows["time"][40] <= pd.Timestamp(reason["end"])
    assert reason["low"] <= reason["expected"] <= reason["high"] < reason["value"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda rows: rows.drop(columns="echo"), "missing inputs ['echo']"),
        (lambda rows: rows.drop(columns="time"), "missing inputs ['time']"),
        (lambda rows: rows.assign(echo="much"), "column echo"),
        (lambda rows: rows.assign(time=None), "need a time in column 'time'"),
        (lambda rows: rows.assign(host=None), "need a series in column 'host'"),
        (lambda rows: pd.concat([rows, rows]), "need one row per time"),
        (lambda rows: rows[:0], "missing inputs"),
    ],
    ids=["channel", "time", "text", "no time", "no series", "twice", "empty"],
)
def test_a_bad_panel_is_refused(series, change, sentence):
    answer = send(series[0], {"dataframe_records": as_records(change(panel(20, seed=0)))})

    assert answer.status_code == 400
    assert sentence in answer.json()["message"]


def send(address, request, kind=JSON):
    """Send a request, JSON unless it is bytes already."""
    body = request if isinstance(request, bytes) else json.dumps(request).encode()
    headers = {"Content-Type": kind}
    return requests.post(f"{address}/invocations", data=body, headers=headers, timeout=60)


def strict(answer):
    """Parse an answer as the standard has it, without NaN."""
    return json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def as_records(rows):
    return json.loads(rows.to_json(orient="records", date_format="iso"))


def as_parquet(rows):
    body = io.BytesIO()
    rows.to_parquet(body)
    return body.getvalue()


def saved(detector, tmp_path_factory, **options):
    folder = tmp_path_factory.mktemp("served") / "model"
    flavor.save_model(detector, folder, **options)
    return folder


@contextmanager
def serve_here(folder):
    """Serve a model in a thread, by the very app that `mlflow models serve` starts."""
    app = scoring_server.init(mlflow.pyfunc.load_model(str(folder)))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = "http://{}:{}".format(*listener.getsockname())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        wait_for(address)
        yield address
        server.should_exit = True
        thread.join()


@contextmanager
def serve_apart(folder):
    """Serve a model in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--host", "127.0.0.1", "--port", str(port), "--env-manager", "local"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder), *options],
        env={**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(address, seconds=120)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def wait_for(address, seconds=20):
    """Wait until the endpoint answers."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if requests.get(f"{address}/ping", timeout=5).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    pytest.fail(f"no endpoint after {seconds} s")
