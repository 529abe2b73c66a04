"""Every test: one thread, no telemetry, and no MLflow store but its own."""

import os
import shutil

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("MLFLOW_REGISTRY_URI", None)

import pytest
import torch
from filelock import FileLock
from jaxtyping import install_import_hook

torch.set_num_threads(1)
# The shapes in the signatures of the tensor rooms are enforced while the tests run.
install_import_hook(["anomdiff.diffusion", "anomdiff.scoring"], "beartype.beartype")


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory, worker_id):
    """An empty MLflow store, made once: a fresh one takes seconds."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent  # shared by the workers
    database = folder / "template.db"
    with FileLock(folder / "template.lock"):
        if not database.exists():
            from mlflow import MlflowClient

            MlflowClient(f"sqlite:///{database}").search_experiments(max_results=1)
    return database


@pytest.fixture
def mlflow_store(tmp_path, monkeypatch, migrated_store):
    """A store of this test alone, and a working folder that is empty but for it."""
    import mlflow

    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    yield uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
