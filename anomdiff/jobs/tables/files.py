"""The files of a table: one, those of a folder, or those of a glob, perhaps compressed."""

import glob
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import pyarrow as pa
import pyarrow.dataset as ds

from anomdiff.jobs.stores.locations import (
    FilePath,
    RemotePath,
    as_location,
    glob_root,
    place_within,
)
from anomdiff.jobs.stores.patterns import WILDCARDS

__all__ = [
    "EmptyFileError",
    "Part",
    "TableFiles",
    "are_whole_numbers",
    "damaged",
    "find_files",
    "first_line",
    "open_bytes",
    "require_text",
    "suffix_of",
]

SUFFIXES = {
    ".csv": "text",
    ".tsv": "text",
    ".txt": "text",
    ".data": "text",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "excel",
}
PARTITION = re.compile(r"([^=/]+)=[^/]*/")
# Files beside the data that tell about it.
DOCUMENT = re.compile(r"(?:read[ _.-]?me|licen[cs]e|citation|changelog)\b.*\.txt", re.IGNORECASE)
HIDDEN = (".", "_", "~$")  # the last of Excel, while a workbook is open
UNREADABLE = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile)
# What a file begins with whose name promises text.
SIGNATURES = {
    b"PAR1": ".parquet",
    b"\x1f\x8b": ".gz",
    b"PK\x03\x04": ".zip or .xlsx",
    b"\xd0\xcf\x11\xe0": ".xlsx, after saving this older Excel format anew",
}


class EmptyFileError(ValueError):
    """A file without rows; a table of several files may have some."""


class Part(NamedTuple):
    """One file, and the values that the names of its folders give (`region=north/`)."""

    path: FilePath
    keys: dict[str, str | None]


class TableFiles(NamedTuple):
    """All files of a table, in the order of their names; they are of one kind."""

    path: FilePath
    kind: str
    parts: list[Part]


def find_files(path: FilePath | str) -> TableFiles:
    """Find the files of a table.

    Parameters
    ----------
    path : path
        A file, a folder that is searched with all folders below it, or a glob such as
        `2025-*.csv`; also in an object store (`s3://bucket/day=*/part-*.parquet`). Names that
        begin with `_`, `.` or `~$` are not data, nor are a README.txt, and .json beside tables of
        another kind.

    Returns
    -------
    files : TableFiles
        The files, and the kind that they have in common.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or none with a known suffix.
    StoreError
        If the store does not answer.
    ValueError
        If the suffix is unknown, the files are of several kinds, or a file is there twice
        (a.csv and a.csv.gz).
    """
    path = as_location(path)
    if path.is_file():
        return TableFiles(path, _kind(path), [Part(path, {})])
    root, found = _candidates(path)
    found = _without_descriptions(found)
    suffixes = sorted({suffix_of(each) for each in found})
    if not found:
        raise FileNotFoundError(
            f"need files named {_known()} in {path}; there are none."
            if path.is_dir()
            else f"need a table at {path}; there is no such file."
        )
    example = (path if path.is_dir() else root) / "**" / f"*{suffixes[0]}"
    if len({SUFFIXES[suffix] for suffix in suffixes}) > 1:
        raise ValueError(
            f"need files of one kind in {path}; got {', '.join(suffixes)}: give a pattern "
            f"such as {example}."
        )
    if twice := _twice(found):
        raise ValueError(
            f"need each file of {path} once; {twice[0]} and {twice[1].name} have the same name: "
            f"remove one, or give a pattern such as {example}."
        )
    return TableFiles(path, _kind(found[0]), _with_keys(root, found))


@contextmanager
def open_bytes(path: FilePath) -> Iterator[BinaryIO]:
    """Open a file, without its compression."""
    name = path.name.lower()
    if name.endswith(".gz"):
        with path.open("rb") as packed, gzip.open(packed, "rb") as handle:
            yield cast(BinaryIO, handle)
    elif name.endswith(".zip"):
        with _open_zip(path) as archive, archive.open(_member(archive, path)) as member:
            yield cast(BinaryIO, member)
    else:
        with path.open("rb") as plain:
            yield plain


@contextmanager
def damaged(path: FilePath) -> Iterator[None]:
    """Report a damaged archive in one sentence."""
    try:
        yield
    except UNREADABLE as error:
        raise ValueError(f"{path} is damaged: {first_line(error)}.") from None


def require_text(sample: bytes, path: FilePath) -> None:
    """Refuse what begins like another kind of file."""
    for signature, suffix in SIGNATURES.items():
        if sample.startswith(signature):
            raise ValueError(f"need a text file; {path} is none: name it {suffix}.")


def suffix_of(path: FilePath) -> str:
    """Suffix of a table without that of its compression; empty if it is unknown."""
    name = path.name.lower()
    if name.endswith(".zip"):
        with damaged(path), _open_zip(path) as archive:
            if suffix := _plain_suffix(_member(archive, path)):
                return suffix
    return _plain_suffix(name.removesuffix(".gz").removesuffix(".zip"))


def are_whole_numbers(values: Iterable[str | None]) -> bool:
    """Whether the values of a partition are whole numbers, written plainly ('08' is text)."""
    present = [value for value in values if value is not None]
    digits = all(value.removeprefix("-").isdecimal() and len(value) < 19 for value in present)
    return bool(present) and digits and all(str(int(value)) == value for value in present)


def first_line(error: Exception) -> str:
    """First line of a message, without its full stop."""
    return str(error).strip().split("\n")[0].rstrip(".")


@contextmanager
def _open_zip(path: FilePath) -> Iterator[zipfile.ZipFile]:
    with path.open("rb") as packed, zipfile.ZipFile(packed) as archive:
        yield archive


def _kind(path: FilePath) -> str:
    suffix = suffix_of(path)
    if not suffix and path.suffix.lower() == ".zip":
        with _open_zip(path) as archive:
            held = _member(archive, path)
        raise ValueError(
            f"need a table in {path}; got {held!r}: unpack it, and name it {_known()}."
        )
    if not suffix:
        raise ValueError(f"need a file named {_known()}, or a folder of such files; got {path}.")
    return SUFFIXES[suffix]


def _known() -> str:
    return f"{', '.join(SUFFIXES)} (each also with .gz, or .zip for text)"


def _plain_suffix(name: str) -> str:
    name = name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix)), "")


def _member(archive: zipfile.ZipFile, path: FilePath) -> str:
    """The only file of an archive that may be a table."""
    names = [
        name
        for name in archive.namelist()
        if not name.endswith("/") and not any(part.startswith(HIDDEN) for part in name.split("/"))
    ]
    data = [name for name in names if not DOCUMENT.fullmatch(Path(name).name)] or names
    tables = [name for name in data if _plain_suffix(name)] or data
    if not tables:
        raise ValueError(f"need a table in {path}; it holds no file.")
    if len(tables) != 1:
        raise ValueError(f"need one table in {path}; got {tables}: unpack it into a folder.")
    return tables[0]


def _without_descriptions(found: list[FilePath]) -> list[FilePath]:
    """Files without .json beside tables of another kind, which describes them."""
    kinds = {SUFFIXES[suffix_of(each)] for each in found}
    alone = kinds <= {"json"}
    return [each for each in found if alone or suffix_of(each) != ".json"]


def _twice(found: list[FilePath]) -> tuple[FilePath, FilePath] | None:
    """Two files of one folder that differ in their suffixes only."""
    seen: dict[FilePath, FilePath] = {}
    for path in found:
        name = path.name.lower().removesuffix(".gz").removesuffix(".zip")
        stem = path.with_name(name.removesuffix(_plain_suffix(name)))
        if stem in seen and seen[stem].name.lower() != path.name.lower():
            return seen[stem], path
        seen[stem] = path
    return None


def _candidates(path: FilePath) -> tuple[FilePath, list[FilePath]]:
    """Folder from which names count, and the files below it that may be parts."""
    if path.is_dir():
        return path, _below(path, path)
    if WILDCARDS.search(str(path)) is None:
        return path, []
    root = glob_root(path)
    found: list[FilePath] = []
    for each in _matches(path):
        found += _below(each, root) if each.is_dir() else [each] if _is_part(each, root) else []
    return root, list(dict.fromkeys(found))


def _matches(path: FilePath) -> Sequence[FilePath]:
    """Files and folders of a glob, in the order of their names."""
    if isinstance(path, RemotePath):
        return path.matches()
    return sorted(map(Path, glob.glob(str(path), recursive=True)))


def _below(folder: FilePath, root: FilePath) -> list[FilePath]:
    found: Sequence[FilePath]
    found = folder.below() if isinstance(folder, RemotePath) else sorted(folder.rglob("*"))
    return [each for each in found if _is_part(each, root)]


def _is_part(path: FilePath, root: FilePath) -> bool:
    """Whether a file is data, and not what Spark or a file system leaves beside it."""
    names = place_within(path, root).parts
    hidden = any(name.startswith(HIDDEN) and "=" not in name for name in names)
    hidden = hidden or bool(DOCUMENT.fullmatch(path.name))
    is_data = not hidden and path.is_file() and path.stat().st_size > 0
    return is_data and bool(suffix_of(path))


def _with_keys(root: FilePath, found: list[FilePath]) -> list[Part]:
    """Read the partitions (Hive's `key=value` folders) between the root and the files."""
    places = [str(place_within(each, root)) for each in found]
    keys = dict.fromkeys(key for place in places for key in PARTITION.findall(place))
    schema = pa.schema([(key, pa.string()) for key in keys])
    partitioning = ds.partitioning(schema, flavor="hive")
    read = (ds.get_partition_keys(partitioning.parse(place)) for place in places)
    return [
        Part(each, {key: values.get(key) for key in keys})
        for each, values in zip(found, read, strict=True)
    ]
