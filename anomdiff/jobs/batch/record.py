"""What was scored for a batch date already: once is enough, and other rows are not mixed in."""

import hashlib
import json
from pathlib import Path
from typing import Any

from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.stores.databases import SqlSource
from anomdiff.jobs.stores.locations import FilePath, RemotePath
from anomdiff.jobs.tables.files import find_files
from anomdiff.jobs.writers import read_json

__all__ = ["batch_record", "earlier_summary"]

# Settings that say how a run goes, not what comes out of it.
OF_THE_RUN = {"overwrite", "batch_size", "log", "heartbeat", "retries", "dry_run", "alert"}
OF_THE_RUN |= {"engine", "spark"}
NAMES = {"input": "other rows", "model": "another model", "settings": "other settings"}


def batch_record(
    settings: ScoreSettings, model: dict[str, Any], version: str | None = None
) -> dict[str, Any]:
    """What decides what is scored: the batch date, and digests of input, model and settings.

    Parameters
    ----------
    settings : ScoreSettings
        A file is told by its content, in an object store by its size and time; a database by its
        table or query and its times.
    model : dict
        ``uri`` and ``run_id`` of the model.
    version : str, optional
        Of the table, where it is one that has versions.
    """
    date = settings.batch_date
    told = settings.model_dump(mode="json", exclude=OF_THE_RUN | {"data", "model"})
    return {
        "batch_date": None if date is None else date.isoformat(),
        "input": _digest(_stamp(settings, version)) if date is not None else None,
        "model": _digest(model),
        "settings": _digest(told),
    }


def earlier_summary(
    path: FilePath | None, record: dict[str, Any], overwrite: bool
) -> dict[str, Any] | None:
    """Summary of the run that has done the same before; None if there is none.

    Parameters
    ----------
    path : path, optional
        Where the summary is, or is to be.
    record : dict
        As ``batch_record`` returns it; without a date nothing was done before.
    overwrite : bool
        Whether to do it again.

    Raises
    ------
    SettingsError
        If the same batch date was scored from other rows, by another model or with other settings.
    """
    if path is None or overwrite or record["batch_date"] is None:
        return None
    summary = read_json(path)
    earlier = summary.get("record", {})
    if earlier.get("batch_date") != record["batch_date"]:
        return None
    others = [said for key, said in NAMES.items() if earlier.get(key) != record[key]]
    if others:
        raise SettingsError(
            f"need `overwrite` (--overwrite) to score {record['batch_date']} again; {path} tells "
            f"of a run with {' and '.join(others)}."
        )
    return summary


def _stamp(settings: ScoreSettings, version: str | None) -> list[Any]:
    source = settings.source
    if version is not None:
        return [str(source), version]
    if isinstance(source, SqlSource):
        return [str(source), str(source.since), str(source.until)]
    return [_file_stamp(part.path) for part in find_files(source).parts]


def _file_stamp(path: FilePath) -> list[Any]:
    if isinstance(path, RemotePath):
        return [str(path), path.stat().st_size, None if path.info is None else path.info.mtime_ns]
    with Path(path).open("rb") as file:
        return [hashlib.file_digest(file, "sha256").hexdigest()]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, default=str).encode()).hexdigest()
