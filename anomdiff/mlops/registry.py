"""Versions of a registered model and the two aliases that say what they are for.

`champion` is the version that scores; `challenger` is the newest one that might replace it.
Registering never moves `champion`: that is a decision, not a side effect.
"""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import mlflow
from mlflow import MlflowClient
from mlflow.models.model import ModelInfo

CHAMPION, CHALLENGER = "champion", "challenger"

logger = logging.getLogger(__name__)


class Registration(NamedTuple):
    """A new version of a registered model.

    Attributes
    ----------
    name, version : str
        Which version of which model.
    alias : str
        `champion` for the first version, else `challenger`.
    replaced : str or None
        Version that had this alias before.
    """

    name: str
    version: str
    alias: str
    replaced: str | None

    @property
    def uri(self) -> str:
        """Address of exactly this version, whatever happens to the alias."""
        return f"models:/{self.name}/{self.version}"


def register(
    model: ModelInfo | str, name: str, tags: Mapping[str, object] | None = None
) -> Registration:
    """Make a version of a logged model, with tags and an alias.

    Parameters
    ----------
    model : ModelInfo or str
        What `log_model` returned, or a model URI.
    name : str
        Name of the registered model; made if there is none.
    tags : mapping, optional
        What to remember with the version, such as the data digest and `alpha`. The run's id
        is added where it is known.

    Returns
    -------
    registration : Registration
        The version and its alias. If no version is `champion`, this one becomes it.
    """
    uri = model if isinstance(model, str) else model.model_uri
    found = mlflow.register_model(uri, name, tags={k: str(v) for k, v in (tags or {}).items()})
    client = MlflowClient()
    if found.run_id:
        client.set_model_version_tag(name, found.version, "run_id", found.run_id)

    aliases = client.get_registered_model(name).aliases
    alias = CHALLENGER if CHAMPION in aliases else CHAMPION
    replaced = str(aliases[alias]) if alias in aliases else None
    client.set_registered_model_alias(name, alias, found.version)
    if replaced is not None:
        logger.warning(
            "%s: alias %s moved from version %s to %s.", name, alias, replaced, found.version
        )
    return Registration(name, str(found.version), alias, replaced)
