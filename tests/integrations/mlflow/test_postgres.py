"""A shared store: PostgreSQL for the records, an object store for the files."""

import sys
import urllib.request

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from anomdiff.integrations.mlflow import flavor, registry, runs, tracking_store
from anomdiff.integrations.mlflow.runs import log_training
from benchmarks.common.postgres import free_port
from tests.servers import postgres_server, running, s3_server, wait_until

BUCKET = "models"


@pytest.fixture(scope="module")
def postgres():
    """URI of an empty database of a server of our own."""
    with postgres_server() as uri:
        yield uri


@pytest.fixture(scope="module")
def bucket():
    """URI of an empty bucket of an object store of our own."""
    with s3_server(BUCKET, "MLFLOW_S3_ENDPOINT_URL") as uri:
        yield uri


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
    port = free_port()
    server = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    server += ["--workers", "1", "--backend-store-uri", postgres]
    server += ["--artifacts-destination", f"{bucket}/served"]
    uri = f"http://127.0.0.1:{port}"
    with running(server, cwd=tmp_path) as process:
        wait_until(lambda: _is_up(f"{uri}/health"), process)
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
