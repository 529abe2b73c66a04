"""Outputs that appear only when they are complete, tables written in batches, and JSON."""

import errno
import json
import math
import os
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from anomdiff.jobs.stores.databases import SqlTarget, connected
from anomdiff.jobs.stores.locations import FilePath, RemotePath, as_location
from anomdiff.jobs.stores.upsert import upsert

__all__ = ["TableWriter", "as_arrow", "atomic_paths", "json_values", "write_json"]


@contextmanager
def atomic_paths(*paths: FilePath | SqlTarget | str) -> Iterator[list[Path]]:
    """Yield temporary paths; the files are renamed to `paths` when the block ends without error.

    If it ends with one, they are removed. All files are on the disk before the first is renamed.
    Folders are created as needed. A full disk is an `OSError` with one clear sentence.

    What goes to an object store is uploaded at the end, and appears there when all of it has
    arrived; a parquet file that goes to a database is written into its table in one transaction.
    Both come before the local files: a store that is away leaves no file behind that says
    otherwise. Whether they are there is asked when the block begins.
    """
    targets = [path if isinstance(path, SqlTarget) else as_location(path) for path in paths]
    local = [target for target in targets if isinstance(target, Path)]
    temporary = [_temporary(target) for target in targets]
    try:
        _prepare(targets)
        yield temporary
        for path in temporary:
            _sync(path)
        pairs = list(zip(temporary, targets, strict=True))
        for path, target in sorted(pairs, key=lambda pair: isinstance(pair[1], Path)):
            _publish(path, target)
        for folder in {target.parent for target in local}:
            with suppress(OSError):  # not every file system can; the files are there already
                _sync(folder)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        names = " and ".join(map(str, targets))
        message = f"the disk is full: {names} could not be written; nothing was left behind"
        raise OSError(errno.ENOSPC, message) from None
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)


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


def _temporary(target: FilePath | SqlTarget) -> Path:
    """Path of a file until it is complete: beside its target, if that is local."""
    name = f".{target.name}.{uuid.uuid4().hex}.part"
    if isinstance(target, Path):
        return target.with_name(name)
    return Path(tempfile.gettempdir()) / name


def _publish(path: Path, target: FilePath | SqlTarget) -> None:
    """Bring a complete file to where it belongs."""
    if isinstance(target, SqlTarget):
        upsert(path, target)
    elif isinstance(target, RemotePath):
        target.upload(path)
    else:
        path.replace(target)


def _prepare(targets: Sequence[FilePath | SqlTarget]) -> None:
    """Make local folders, and ask stores whether they are there: not hours later."""
    for target in targets:
        if isinstance(target, SqlTarget):
            with connected(target):
                continue
        if isinstance(target, Path):
            target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(f"need a file to write; {target} is a folder.")


def _sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
