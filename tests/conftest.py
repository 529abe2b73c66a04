"""Every test: one thread, no telemetry, and no MLflow store but its own."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)
os.environ.pop("MLFLOW_REGISTRY_URI", None)

import pytest
import torch
from filelock import FileLock
from jaxtyping import install_import_hook

from tests.series import panel, waves
from tests.settings import SMALL, TINY, TINY_LONG
from tests.spark_session import spark
from tests.tables import mixed_table

__all__ = ["spark"]  # a fixture

torch.set_num_threads(1)
# The shapes in the signatures of the tensor rooms are enforced while the tests run.
install_import_hook(
    ["anomdiff.diffusion", "anomdiff.reference", "anomdiff.scoring"], "beartype.beartype"
)


@pytest.hookimpl(tryfirst=True)  # before the groups are read
def pytest_collection_modifyitems(items):
    """Let one worker run all modules that need Spark: every further one would start a JVM."""
    modules = {item.module for item in items if "spark" in getattr(item, "fixturenames", ())}
    for item in items:
        if getattr(item, "module", None) in modules:
            item.add_marker(pytest.mark.xdist_group("spark"))


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory):
    """An empty MLflow store, made once: a fresh one takes seconds."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # shared by the workers
    database = folder / "template.db"
    with FileLock(folder / "template.lock"):
        if not database.exists():
            from mlflow import MlflowClient

            MlflowClient(f"sqlite:///{database}").search_experiments(max_results=1)
    return database


@pytest.fixture
def mlflow_store(tmp_path, tmp_path_factory, monkeypatch, migrated_store):
    """A store of this test alone, and a working folder that is empty but for it."""
    import mlflow

    shutil.copy(migrated_store, tmp_path / "mlflow.db")
    _keep_files_in(tmp_path / "mlruns", tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    # Every store has a lock in the folder for temporary files, and it cannot be removed safely.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    yield uri
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)


def _keep_files_in(folder, database):
    """Move the default experiment, whose files belong where the template was made."""
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE experiments SET artifact_location = ?", [str(folder / "0")])


@pytest.fixture(autouse=True)
def _seeded():
    """Let a test draw the same numbers wherever and in whatever order it runs."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def table():
    """A table with every kind of column, dependencies and missing cells."""
    return mixed_table(800, seed=0)


@pytest.fixture(scope="session")
def fitted(table):
    """A detector trained long enough to have learned something; do not change it."""
    from anomdiff import TabularDetector

    return TabularDetector(**SMALL).fit(table)


@pytest.fixture(scope="session")
def tiny(table):
    """A detector of the table that has learned next to nothing; do not change it."""
    from anomdiff import TabularDetector

    return TabularDetector(**TINY).fit(table)


@pytest.fixture(scope="session")
def wide():
    """A detector of one series; do not change it."""
    from anomdiff import TimeSeriesDetector

    return TimeSeriesDetector(**TINY_LONG).fit(waves(800, seed=0))


@pytest.fixture(scope="session")
def long():
    """A detector of a panel of two series; do not change it."""
    from anomdiff import TimeSeriesDetector

    return TimeSeriesDetector(series="host", time="time", **TINY_LONG).fit(panel(400, seed=0))
