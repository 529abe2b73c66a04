"""A shared store: PostgreSQL for the records, an object store for the files."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from anomdiff.integrations.mlflow import flavor, registry, runs, tracking_store
from anomdiff.integrations.mlflow.runs import log_training

BUCKET = "models"


def _programs():
    """Folder of initdb and postgres."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _user():
    """User and group to run the server as: it refuses to be root."""
    return {} if os.getuid() else {"user": "nobody", "group": "nogroup", "extra_groups": []}


@contextmanager
def _running(command, **options):
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would let PostgreSQL wait for its clients
        process.wait(timeout=60)


def _wait(answers, process):
    for _ in range(600):
        if process.poll() is not None or answers():
            break
        time.sleep(0.1)
    assert process.poll() is None, "the server has stopped"


@pytest.fixture(scope="module")
def postgres():
    """URI of an empty database of a server of our own."""
    programs = _programs()
    if programs is None:
        pytest.skip("need PostgreSQL's initdb and postgres; they are not installed")
    psycopg = pytest.importorskip("psycopg")
    # Not below pytest's folders, which other users cannot enter.
    with tempfile.TemporaryDirectory(prefix="anomdiff-pg-") as folder:
        os.chmod(folder, 0o777)
        cluster, port, quiet = f"{folder}/cluster", _free_port(), subprocess.DEVNULL
        initdb = [programs / "initdb", "-D", cluster, "-U", "mlflow", "-A", "trust", "-N"]
        subprocess.run(initdb, check=True, stdout=quiet, cwd=folder, **_user())
        server = [programs / "postgres", "-D", cluster, "-p", str(port), "-k", folder, "-F"]
        with _running([*server, "-h", "127.0.0.1"], cwd=folder, **_user()) as process:
            uri = f"postgresql://mlflow:secret@127.0.0.1:{port}/postgres"
            _wait(lambda: _connects(psycopg, uri), process)
            yield uri


def _connects(psycopg, uri):
    try:
        psycopg.connect(uri, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def bucket():
    """URI of an empty bucket of an object store of our own."""
    server = pytest.importorskip("moto.server")
    import boto3

    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        threaded = server.ThreadedMotoServer("127.0.0.1", port, verbose=False)
        threaded.start()
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
        threaded.stop()


@pytest.fixture
def shared_store(postgres, bucket, monkeypatch):
    """The two, used directly."""
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)
    mlflow.set_tracking_uri(postgres)
    yield tracking_store.ensure_store()
    mlflow.set_tracking_uri(None)


def test_a_run_and_its_model_survive_in_the_database_and_the_bucket(
    shared_store, bucket, small, table
):
    mlflow.create_experiment("direct", artifact_location=f"{bucket}/direct")

    model = log_training(small, table, experiment="direct")
    registry.register(model, "sales")
    registry.register(model, "sales")
    registry.promote("sales", "2", ["better"])

    loaded = flavor.load_model("models:/sales@champion")
    pd.testing.assert_frame_equal(loaded.score_frame(table), small.score_frame(table))
    run = mlflow.get_run(model.run_id)
    assert run.info.artifact_uri.startswith("s3://")
    assert len(MlflowClient().get_metric_history(model.run_id, "loss")) == 2
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/schema.json")["columns"]
    assert registry.rollback("sales").version == "1"


def test_a_password_is_never_printed(postgres):
    assert "secret" not in tracking_store.without_password(postgres)


@pytest.mark.slow
def test_a_server_before_both_is_all_that_a_client_needs(
    postgres, bucket, small, table, monkeypatch, tmp_path
):
    monkeypatch.setattr(runs, "_log_picture", lambda name, draw: None)
    port = _free_port()
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    server += ["--workers", "1", "--backend-store-uri", postgres]
    server += ["--artifacts-destination", f"{bucket}/served"]
    uri = f"http://127.0.0.1:{port}"
    with _running(server, cwd=tmp_path) as process:
        _wait(lambda: _is_up(f"{uri}/health"), process)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_S3_ENDPOINT_URL"):
            monkeypatch.delenv(name)
        mlflow.set_tracking_uri(uri)
        tracking_store.ensure_store()

        model = log_training(small, table, experiment="served")
        registry.register(model, "served")

        loaded = flavor.load_model("models:/served@champion")
    mlflow.set_tracking_uri(None)
    pd.testing.assert_frame_equal(loaded.score_frame(table), small.score_frame(table))


def _is_up(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except OSError:
        return False
