"""Settings as text: commented TOML files to begin with, and a page that lists every key."""

import inspect
import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_origin

from pydantic.fields import FieldInfo

from anomdiff.jobs.alerts.alert_settings import AlertSettings
from anomdiff.jobs.base_settings import Settings
from anomdiff.jobs.exit_codes import MEANINGS
from anomdiff.jobs.feedback_settings import FeedbackSettings
from anomdiff.jobs.retrain_settings import RetrainSettings
from anomdiff.jobs.settings import (
    Limits,
    MonitorSettings,
    PromoteSettings,
    Rule,
    ScoreSettings,
    TrainSettings,
)
from anomdiff.jobs.spark_settings import SparkSettings

__all__ = ["JOBS", "commented", "reference_page", "toml_value"]

JOBS: dict[str, type[Settings]] = {
    "train": TrainSettings,
    "score": ScoreSettings,
    "feedback": FeedbackSettings,
    "monitor": MonitorSettings,
    "retrain": RetrainSettings,
    "promote": PromoteSettings,
}
HEAD = """# Settings of the jobs

Written by `python -m anomdiff.jobs.settings_files`. Each key is one of the TOML file of its job,
and an option: `--batch-size 1000`, or for keys in tables `--set detector.alpha=0.05`.
`anomdiff init` writes such files."""
# Types of keys that are tables of further keys.
TABLES = (Rule, Limits, AlertSettings | None, SparkSettings | None)
# Columns of a line of comments.
WIDTH = 98


def toml_value(value: Any) -> str:
    """A value as TOML writes it: texts, numbers, booleans, lists and tables of these.

    Raises
    ------
    ValueError
        If there is no such value in TOML, as None.
    """
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        pairs = (f"{toml_key(str(key))} = {toml_value(each)}" for key, each in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise ValueError(f"need a text, number, boolean, list or table for TOML; got {value!r}.")


def toml_key(name: str) -> str:
    """A key as TOML writes it: in quotes unless it is plain."""
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else json.dumps(name, ensure_ascii=False)


def commented(
    settings: type[Settings], given: Mapping[str, Any], head: str, notes: Mapping[str, str]
) -> str:
    """A settings file that explains itself.

    Parameters
    ----------
    settings : type of Settings
        Whose keys are written, all of them, each below what it means.
    given : mapping
        Values by key; keys without one are commented out, with their default.
    head : str
        First lines, such as the command that reads the file.
    notes : mapping
        Further lines below what a key means.

    Raises
    ------
    ValueError
        If a key without a default has no value, or there is no such key.
    """
    if unknown := [key for key in given if key not in settings.model_fields]:
        raise ValueError(f"need keys of {settings.__name__}; got {unknown}.")
    plain, tables = [], []
    for key, field in _own_first(settings).items():
        told = _comment("\n".join([field.description or "", *notes.get(key, "").splitlines()]))
        if _is_table(field):
            tables.append(_table(key, told, given.get(key, {})))
            continue
        if key in given:
            line = f"{key} = {toml_value(given[key])}"
        elif field.is_required():
            raise ValueError(f"need a value for {key!r}; got none.")
        else:
            line = f"# {key} = {_default(field)}".rstrip()
        plain.append(f"{told}\n{line}")
    return "\n\n".join([_comment(head), *plain, *tables]) + "\n"


def reference_page() -> str:
    """All keys of all jobs as Markdown, by job, and what the exit codes tell."""
    parts = [HEAD]
    for job, settings in JOBS.items():
        rows = [
            f"| `{key}` | {_shown_default(field)} | {_cell(field.description or '')} |"
            for key, field in settings.model_fields.items()
        ]
        parts.append(
            "\n".join([f"## anomdiff {job}\n", "| key | default | |", "|---|---|---|", *rows])
        )
    codes = [f"| {code:d} | {told} |" for code, told in MEANINGS.items()]
    parts.append("\n".join(["## Exit codes\n", "| code | |", "|---|---|", *codes]))
    return "\n\n".join(parts) + "\n"


def _own_first(settings: type[Settings]) -> dict[str, FieldInfo]:
    """Keys of a job, those that all jobs have last."""
    fields = settings.model_fields
    return {
        key: fields[key] for key in sorted(fields, key=lambda key: key in Settings.model_fields)
    }


def _is_table(field: FieldInfo) -> bool:
    """Whether the value of a key is a table of further keys."""
    return get_origin(field.annotation) is dict or field.annotation in TABLES


def _table(key: str, told: str, values: Mapping[str, Any]) -> str:
    lines = [f"{toml_key(str(name))} = {toml_value(value)}" for name, value in values.items()]
    header = f"[{key}]" if lines else f"# [{key}]"
    return "\n".join([told, header, *lines])


def _default(field: FieldInfo) -> str:
    """Default of a key as TOML; empty where it has none."""
    return "" if field.default is None else toml_value(field.default)


def _shown_default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    if field.default is None or _is_table(field):
        return ""
    return f"`{toml_value(field.default)}`"


def _comment(text: str) -> str:
    lines = [
        wrapped
        for line in text.splitlines()
        for wrapped in textwrap.wrap(inspect.cleandoc(line), WIDTH, break_long_words=False) or [""]
    ]
    return "\n".join(f"# {line}".rstrip() for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(reference_page(), end="")
