"""Versions of a registered model and their two aliases.

`champion` is the version that scores; `challenger` is the newest one that might replace it.
Registering never moves `champion`: that is a decision, not a side effect. `promote` moves it, and
leaves tags that say why; `rollback` puts back the version that was replaced.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import mlflow
from mlflow import MlflowClient
from mlflow.models.model import ModelInfo

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "Registration",
    "promote",
    "register",
    "rollback",
    "version_of",
    "version_with",
]

CHAMPION, CHALLENGER = "champion", "challenger"
# Tags: what a version replaced, when, why and by which metrics; when and why it was withdrawn.
REPLACED, PROMOTED_AT = "anomdiff.replaced", "anomdiff.promoted_at"
REASONS, METRICS = "anomdiff.promotion_reasons", "anomdiff.promotion_metrics"
WITHDRAWN_AT, WITHDRAWN_FOR = "anomdiff.rolled_back_at", "anomdiff.rolled_back_for"
RESTORED_AT = "anomdiff.restored_at"

logger = logging.getLogger(__name__)


class Registration(NamedTuple):
    """A version of a registered model, its new alias, and the version that had it before."""

    name: str
    version: str
    alias: str
    replaced: str | None

    @property
    def uri(self) -> str:
        """Address of exactly this version, whatever happens to the alias."""
        return f"models:/{self.name}/{self.version}"


def register(
    model: ModelInfo | str,
    name: str,
    tags: Mapping[str, object] | None = None,
    description: str | None = None,
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
    description : str, optional
        Markdown for the page of the version.

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

    if description is not None:
        client.update_model_version(name, found.version, description)
    alias = CHALLENGER if version_of(name, CHAMPION) else CHAMPION
    replaced = version_of(name, alias)
    client.set_registered_model_alias(name, alias, found.version)
    if replaced is not None:
        logger.warning(
            "%s: alias %s moved from version %s to %s.", name, alias, replaced, found.version
        )
    return Registration(name, str(found.version), alias, replaced)


def promote(
    name: str, version: str, reasons: Sequence[str], *, metrics: Mapping[str, object] | None = None
) -> Registration:
    """Make a version the champion, with tags that say why.

    Parameters
    ----------
    name, version : str
        Version of a registered model.
    reasons : sequence of str
        Why, as in `Verdict.reasons` of `anomdiff.selection.comparison`.
    metrics : mapping, optional
        The evidence, as JSON values.

    Returns
    -------
    registration : Registration
        The champion, and which version it replaced. If it was `challenger`, it no longer is.

    Raises
    ------
    ValueError
        If it is the champion already.
    mlflow.exceptions.MlflowException
        If there is no such version.
    """
    client, version = MlflowClient(), str(version)
    replaced = version_of(name, CHAMPION)
    if replaced == version:
        raise ValueError(f"need another version than the champion; got {version} of {name!r}.")
    # Tags first: without REPLACED a champion could not be rolled back.
    tags = {
        REPLACED: replaced or "",
        PROMOTED_AT: _now(),
        REASONS: "; ".join(reasons),
        METRICS: json.dumps(dict(metrics or {})),
    }
    _set_tags(client, name, version, tags)
    client.set_registered_model_alias(name, CHAMPION, version)
    if version_of(name, CHALLENGER) == version:
        client.delete_registered_model_alias(name, CHALLENGER)
    logger.info("%s: champion is version %s, before %s.", name, version, replaced)
    return Registration(name, version, CHAMPION, replaced)


def rollback(name: str, reason: str = "") -> Registration:
    """Put back the champion that the present one replaced.

    Parameters
    ----------
    name : str
        Registered model.
    reason : str, optional
        Why; kept as a tag of the version that is withdrawn.

    Returns
    -------
    registration : Registration
        The champion that is restored, and the one withdrawn, which is no challenger either.

    Raises
    ------
    ValueError
        If there is no champion, or it replaced none.
    """
    client = MlflowClient()
    present = version_of(name, CHAMPION)
    if present is None:
        raise ValueError(f"need a champion of {name!r} to roll back; got none.")
    before = client.get_model_version(name, present).tags.get(REPLACED)
    if not before:
        raise ValueError(
            f"need a version that version {present} of {name!r} has replaced; its tags name none."
        )
    client.get_model_version(name, before)  # it may have been deleted
    _set_tags(client, name, present, {WITHDRAWN_AT: _now(), WITHDRAWN_FOR: reason})
    _set_tags(client, name, before, {RESTORED_AT: _now()})
    client.set_registered_model_alias(name, CHAMPION, before)
    logger.warning("%s: champion is version %s again, not %s.", name, before, present)
    return Registration(name, before, CHAMPION, present)


def version_of(name: str, alias: str) -> str | None:
    """Version that an alias of a registered model stands for; None if it is not set."""
    aliases = MlflowClient().get_registered_model(name).aliases
    return str(aliases[alias]) if alias in aliases else None


def version_with(name: str, tags: Mapping[str, str]) -> Registration | None:
    """Newest version of a registered model that has these tags, with its alias; None without."""
    client = MlflowClient()
    quoted, token, found = name.replace("'", "\\'"), None, []
    while True:
        page = client.search_model_versions(f"name='{quoted}'", page_token=token)
        found += [each for each in page if tags.items() <= each.tags.items()]
        token = page.token
        if not token:
            break
    if not found:
        return None
    version = str(max(int(each.version) for each in found))
    held = client.get_registered_model(name).aliases
    alias = next((alias for alias, of in held.items() if str(of) == version), "")
    return Registration(name, version, alias, None)


def _set_tags(client: MlflowClient, name: str, version: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value[:5000])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
