"""Where runs and models are kept: the MLflow store the user named, or a local file."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import sqlalchemy
from filelock import FileLock
from mlflow import MlflowClient

__all__ = ["ensure_experiment", "ensure_store", "without_password"]

# MLflow retries for minutes, which suits a run that has hours to lose, but not the first contact.
FIRST_CONTACT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
CONNECT_ARGUMENTS = {"postgresql": {"connect_timeout": 10}, "mysql": {"connect_timeout": 10}}


def ensure_store(default_folder: Path | str = ".") -> str:
    """Choose the tracking store, check that it answers and use it from now on.

    Parameters
    ----------
    default_folder : Path or str, default="."
        Folder of `mlflow.db` if neither `MLFLOW_TRACKING_URI` nor `mlflow.set_tracking_uri`
        names a store.

    Returns
    -------
    uri : str
        The tracking URI.

    Raises
    ------
    ConnectionError
        If the store does not answer within seconds.
    """
    default = f"sqlite:///{Path(default_folder).resolve() / 'mlflow.db'}"
    uri = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else default
    try:
        if not uri.startswith("http"):
            _connect_once(uri)
        with _few_retries(), _locked(uri):
            MlflowClient(uri).search_experiments(max_results=1)
    except Exception as error:  # each kind of store has its own errors
        raise ConnectionError(
            f"need an MLflow store that answers; got {_reason(error)} from "
            f"{without_password(uri)}: set MLFLOW_TRACKING_URI to one that does."
        ) from None
    mlflow.set_tracking_uri(uri)
    return uri


def ensure_experiment(name: str) -> str:
    """Return the id of an experiment, made if need be.

    Artifacts of a local store lie beside its file in `mlruns/`, whatever the working folder is.
    """
    experiment = mlflow.get_experiment_by_name(name)
    if experiment is not None:
        return experiment.experiment_id
    return mlflow.create_experiment(name, artifact_location=_artifact_folder(name))


def without_password(uri: str) -> str:
    """Return a store's address as it may be printed."""
    try:
        return sqlalchemy.make_url(uri).render_as_string(hide_password=True)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        return uri


def _connect_once(uri: str) -> None:
    """Try a database for seconds: MLflow itself would try for two minutes."""
    try:
        url = sqlalchemy.make_url(uri)
    except sqlalchemy.exc.ArgumentError:
        return  # not a database: MLflow checks it
    if url.get_backend_name() not in ("sqlite", "postgresql", "mysql", "mssql"):
        return
    arguments = CONNECT_ARGUMENTS.get(url.get_backend_name(), {})
    pool = sqlalchemy.pool.NullPool
    engine = sqlalchemy.create_engine(url, connect_args=arguments, poolclass=pool)
    sqlalchemy.inspect(engine).get_table_names()


@contextmanager
def _few_retries() -> Iterator[None]:
    """Let HTTP fail fast inside the block, unless the user set these variables."""
    added = [name for name in FIRST_CONTACT if name not in os.environ]
    os.environ.update({name: FIRST_CONTACT[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _locked(uri: str) -> Iterator[None]:
    """Let one process at a time make a local store: several would break it."""
    digest = hashlib.sha256(f"{Path.home()} {uri}".encode()).hexdigest()[:16]
    with FileLock(Path(tempfile.gettempdir()) / f"anomdiff-{digest}.lock"):
        yield


def _artifact_folder(name: str) -> str | None:
    """Artifact folder of an experiment in a SQLite store; other stores choose their own."""
    uri = mlflow.get_tracking_uri()
    database = sqlalchemy.make_url(uri).database if uri.startswith("sqlite:") else None
    if database is None:
        return None
    return str(Path(database).resolve().parent / "mlruns" / re.sub(r"[^\w.-]", "_", name))


def _reason(error: Exception) -> str:
    """Say why in a few words: those of the operating system, else the first sentence."""
    cause: BaseException = error
    while earlier := cause.__cause__ or cause.__context__:
        cause = earlier
    if isinstance(cause, OSError) and cause.strerror:
        return f"{cause.strerror.lower()!r}"
    return repr(str(error).strip().splitlines()[0][:200].rstrip("."))
