"""Registered models, by name and version or alias: looked up and loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from anomdiff.jobs.exit_codes import ModelError
from anomdiff.storage import MODEL, load

__all__ = ["NO_MODEL", "load_model", "load_registered", "resolve_model", "told_if_missing"]

# What MLflow calls a model, and an alias or a version of one, that is not there.
MISSING = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"
NO_MODEL: dict[str, Any] = {"uri": None, "version": None, "run_id": None}


def resolve_model(uri: str) -> dict[str, Any]:
    """Look an alias up once, so that what is written names the version that was loaded.

    Returns
    -------
    model : dict
        ``uri`` of the version, ``version`` and ``run_id``, both None of what is not registered.

    Raises
    ------
    ModelError
        If the registry has no such model.
    ConnectionError
        If the store does not answer.
    """
    from mlflow import MlflowClient  # takes seconds

    from anomdiff.integrations.mlflow import tracking_store

    tracking_store.ensure_store()
    name, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    if not uri.startswith("models:/") or not (alias or number):
        return {**NO_MODEL, "uri": uri}
    with _told_how_to_train(uri):
        client = MlflowClient()
        by_alias, by_number = client.get_model_version_by_alias, client.get_model_version
        found = by_alias(name, alias) if alias else by_number(name, number)
    version = str(found.version)
    return {"uri": f"models:/{name}/{version}", "version": version, "run_id": found.run_id}


def load_registered(uri: str) -> Any:
    """Load a detector from an address of MLflow.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    from anomdiff.integrations.mlflow import flavor

    with _told_how_to_train(uri):
        return flavor.load_model(uri)


def load_model(place: str) -> Any:
    """Load a detector from an address of MLflow, or from a folder that `anomdiff.save` wrote.

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    """
    if (Path(place) / MODEL).is_file():
        with _told_how_to_train(place):
            return load(place)
    return load_registered(resolve_model(place)["uri"])


@contextmanager
def told_if_missing(model: str, setting: str) -> Iterator[None]:
    """Say in one sentence that the registry has no such model, and how to get one.

    Parameters
    ----------
    model : str
        What is missing, such as `a model at models:/sales@champion`.
    setting : str
        Key of the settings that names it.

    Raises
    ------
    ModelError
        If there is none; any other error stays as it is.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in MISSING:
            raise
        told = " ".join(str(error.message).split()).removesuffix(".")
        raise ModelError(
            f"need {model}; got: {told}. Train one with `anomdiff train`, whose first version "
            f"becomes the champion, or name another in {setting}."
        ) from None


@contextmanager
def _told_how_to_train(uri: str) -> Iterator[None]:
    """Say in one sentence that there is no such model, and how to get one."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError, ValueError) as error:
        told = " ".join(str(error).split()).removesuffix(".")
        raise ModelError(
            f"need a model at {uri}; got: {told}. Train one with `anomdiff train`, whose first "
            "version becomes the champion, or name another in `model`."
        ) from None
