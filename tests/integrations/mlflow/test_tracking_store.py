import socket
import time
from pathlib import Path

import mlflow
import pytest

from anomdiff.integrations.mlflow.tracking_store import (
    ensure_experiment,
    ensure_store,
    without_password,
)


@pytest.fixture
def no_uri(monkeypatch):
    mlflow.set_tracking_uri(None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    mlflow.set_tracking_uri(None)


def test_the_default_store_is_a_file_in_the_working_folder(mlflow_store, no_uri):
    assert ensure_store() == mlflow_store == mlflow.get_tracking_uri()


def test_the_user_s_store_is_obeyed(mlflow_store, no_uri, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)

    assert ensure_store(tmp_path / "elsewhere") == mlflow_store
    assert not (tmp_path / "elsewhere").exists()


def test_artifacts_lie_beside_a_local_store(mlflow_store, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    place = mlflow.get_experiment(ensure_experiment("a/b")).artifact_location

    assert Path(place).parent == tmp_path / "mlruns"


def test_an_experiment_is_made_once(mlflow_store):
    assert ensure_experiment("one") == ensure_experiment("one")


def test_a_server_that_is_not_there_fails_fast_and_hides_the_password(no_uri):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow.set_tracking_uri(f"http://ann:secret@127.0.0.1:{port}")
    start = time.monotonic()

    with pytest.raises(ConnectionError, match="need an MLflow store that answers") as error:
        ensure_store()

    assert time.monotonic() - start < 10
    assert "connection refused" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_database_that_cannot_be_opened_fails_fast(no_uri, tmp_path):
    (tmp_path / "text.db").write_text("this is no database, but a text of some length" * 20)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'text.db'}")

    with pytest.raises(ConnectionError, match="file is not a database"):
        ensure_store()


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://ann:secret@host/runs", "postgresql://ann:***@host/runs"),
        ("https://host:5000", "https://host:5000"),
        ("databricks", "databricks"),
    ],
)
def test_passwords_are_not_printed(uri, shown):
    assert without_password(uri) == shown
