"""Outputs that appear only when they are complete, tables written in batches, and JSON."""

import errno
import hashlib
import json
import math
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from anomdiff.jobs.runs.commit import PART, commit, complete_or_sweep, is_pending, sync
from anomdiff.jobs.runs.retries import retried
from anomdiff.jobs.stores.databases import SqlTarget, connected
from anomdiff.jobs.stores.locations import FilePath, RemotePath, as_location
from anomdiff.jobs.stores.upsert import upsert

__all__ = [
    "TableWriter",
    "as_arrow",
    "atomic_paths",
    "json_values",
    "read_json",
    "require_writable",
    "stand_in",
    "sweep",
    "write_json",
]


@contextmanager
def atomic_paths(*paths: FilePath | SqlTarget | str, retries: int = 0) -> Iterator[list[Path]]:
    """Yield temporary paths; the files are renamed to `paths` when the block ends without error.

    If it ends with one, they are removed. All files are on the disk before the first is renamed,
    and a process that dies between two renames leaves a list of them, from which the next one that
    writes the same files completes them; what others left behind is removed. The last file is
    absent while the others are renamed: where it is there, all belong together. Folders are created
    as needed. A full disk is an `OSError` with one clear sentence.

    What goes to an object store is uploaded at the end, and appears there when all of it has
    arrived; a parquet file that goes to a database is written into its table in one transaction.
    Both come before the local files: a store that is away, also after `retries`, leaves no file
    behind that says otherwise. Whether they are there is asked when the block begins.
    """
    targets = [path if isinstance(path, SqlTarget) else as_location(path) for path in paths]
    temporary = [_temporary(target) for target in targets]
    sweep(*targets)
    try:
        for target in targets:
            retried(retries, _prepare, target)
        yield temporary
        for path in temporary:
            sync(path)
        pairs = list(zip(temporary, targets, strict=True))
        for path, target in pairs:
            if not isinstance(target, Path):
                retried(retries, _publish, path, target)
        commit([(path, target) for path, target in pairs if isinstance(target, Path)])
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        names = " and ".join(map(str, targets))
        message = f"the disk is full: {names} could not be written; nothing was left behind"
        raise OSError(errno.ENOSPC, message) from None
    finally:
        if not any(is_pending(target) for target in targets if isinstance(target, Path)):
            for path in temporary:
                path.unlink(missing_ok=True)


def sweep(*targets: FilePath | SqlTarget) -> None:
    """Complete or remove what a process has left behind that died while it wrote these files."""
    if targets:
        local = [target for target in targets if isinstance(target, Path)]
        others = [stand_in(target) for target in targets if not isinstance(target, Path)]
        complete_or_sweep(*local, *others)


class TableWriter:
    """Write frames into one parquet file, cast to its schema: no batch decides on a type."""

    def __init__(self, path: Path | str, schema: pa.Schema):
        self.schema = schema
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")

    def __enter__(self) -> "TableWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self._writer.close()

    def write(self, frame: pd.DataFrame) -> None:
        """Append the rows of `frame`, which has at least the columns of the schema."""
        arrays = [as_arrow(frame[field.name], field.type) for field in self.schema]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self.schema))


def as_arrow(values: pd.Series, kind: pa.DataType) -> pa.Array:
    """Cells in an Arrow type; what is no number in a column of numbers is missing."""
    if pa.types.is_floating(kind) and not pd.api.types.is_numeric_dtype(values):
        values = pd.to_numeric(values, errors="coerce")  # '?' in a column of numbers
    if pa.types.is_string(kind):
        values = values.astype("string")
    elif isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    return pa.array(values, type=kind, from_pandas=True)


def json_values(value: Any) -> Any:
    """Values as JSON has them: keys are text, infinity and NaN are null."""
    if isinstance(value, dict):
        return {str(key): json_values(each) for key, each in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write values of `json_values` to a file."""
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: FilePath) -> dict[str, Any]:
    """Read an object of JSON; empty if there is no file that can be read as one."""
    try:
        with path.open("rb") as file:
            return dict(json.load(file))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _temporary(target: FilePath | SqlTarget) -> Path:
    """Path of a file until it is complete: beside its target, if that is local."""
    base = stand_in(target)
    return base.with_name(f".{base.name}.{uuid.uuid4().hex}{PART}")


def require_writable(target: FilePath | SqlTarget) -> None:
    """Ask whether a target can be written, and change nothing.

    Raises
    ------
    IsADirectoryError, PermissionError
        If a local folder is in its place, or its folder may not be written to.
    StoreError
        If its store does not answer.
    """
    if not isinstance(target, Path):
        _prepare(target)
        return
    if target.is_dir():
        raise IsADirectoryError(f"need a file to write; {target} is a folder.")
    folder = next(each for each in target.resolve().parents if each.exists())
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"need a folder to write {target} to; {folder} may not be written.")


def stand_in(target: FilePath | SqlTarget) -> Path:
    """The target, if it is local; else a name of its own in the folder of temporary files."""
    if isinstance(target, Path):
        return target
    own = hashlib.sha256(str(target).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"{target.name}.{own}"


def _publish(path: Path, target: RemotePath | SqlTarget) -> None:
    """Bring a complete file to its store."""
    if isinstance(target, SqlTarget):
        upsert(path, target)
    else:
        target.upload(path)


def _prepare(target: FilePath | SqlTarget) -> None:
    """Make a local folder, or ask a store whether it is there: not hours later."""
    if isinstance(target, SqlTarget):
        with connected(target):
            return
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise IsADirectoryError(f"need a file to write; {target} is a folder.")
