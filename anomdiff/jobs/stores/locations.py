"""Places of files: local paths, and addresses in object stores with what a job needs of a path."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from textwrap import shorten
from typing import Any, BinaryIO, NamedTuple, cast
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow as pa
import pyarrow.fs as fs

from anomdiff.jobs.errors import StoreError
from anomdiff.jobs.stores.filesystems import SCHEMES, client, hint
from anomdiff.jobs.stores.patterns import WILDCARDS, pattern_of
from anomdiff.jobs.stores.secrets import masked

__all__ = [
    "FilePath",
    "RemotePath",
    "as_location",
    "glob_root",
    "place_within",
    "require_reachable",
]

STREAM_BUFFER = 4 << 20  # bytes that are fetched from a store together
MAX_REASON = 200  # characters of what a store has said
ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(/{1,3})(.*)", re.DOTALL)


class Stat(NamedTuple):
    """Size of a file in bytes, by the name that `os.stat` gives it."""

    st_size: int


@dataclass(frozen=True, order=True)
class RemotePath:
    """A place in an object store, with the methods of `pathlib.Path` that jobs use.

    Attributes
    ----------
    scheme : str
        Such as `s3`.
    authority : str
        The bucket; on Azure, `container@account.dfs.core.windows.net`.
    place : str
        Path within the bucket, without a slash at either end.
    info : FileInfo, optional
        What a listing said about it, so that the store is not asked again.
    """

    scheme: str
    authority: str
    place: str
    info: fs.FileInfo | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}/{self.place}"

    @property
    def name(self) -> str:
        """Last part of the path."""
        return PurePosixPath(self.place).name or self.authority

    @property
    def stem(self) -> str:
        """Name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Last suffix of the name."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "RemotePath":
        """Folder in which it lies."""
        return self._at(self.place.rpartition("/")[0])

    @property
    def parents(self) -> list["RemotePath"]:
        """All folders in which it lies, the nearest first."""
        places = [str(each) for each in PurePosixPath(self.place).parents]
        return [self._at("" if place == "." else place) for place in places]

    def __truediv__(self, name: str) -> "RemotePath":
        return self._at(f"{self.place}/{name}".strip("/"))

    def with_name(self, name: str) -> "RemotePath":
        """Place of another name in the same folder."""
        return self.parent / name

    def resolve(self) -> "RemotePath":
        """Return the place itself: an address has no links."""
        return self

    def is_file(self) -> bool:
        """Whether there is an object of this name."""
        return self._information().type == fs.FileType.File

    def is_dir(self) -> bool:
        """Whether there are objects below this name."""
        return self._information().type == fs.FileType.Directory

    def stat(self) -> Stat:
        """Size of the object."""
        return Stat(self._information().size or 0)

    def below(self) -> list["RemotePath"]:
        """All objects and folders below, in the order of their names; none if there are none."""
        store, path = self._client()
        with _asked(self):
            found = store.get_file_info(fs.FileSelector(path, True, True))
        start = len(path) - len(self.place)
        return sorted(replace(self._at(each.path[start:]), info=each) for each in found)

    def matches(self) -> list["RemotePath"]:
        """Objects and folders that the address means as a glob."""
        pattern, root = pattern_of(self.place), glob_root(self)
        found = root.below() if isinstance(root, RemotePath) else []
        return [each for each in found if pattern.fullmatch(each.place)]

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the object for reading; bytes are fetched as they are needed."""
        if mode != "rb":
            raise ValueError(f"need mode 'rb' to open {self}; got {mode!r}.")
        return cast(BinaryIO, io.BufferedReader(_Remote(self), STREAM_BUFFER))

    def open_arrow(self) -> pa.NativeFile:
        """Open the object for pyarrow's own readers."""
        store, path = self._client()
        with _asked(self):
            return store.open_input_file(path)

    def upload(self, local: Path) -> None:
        """Copy a local file here: the object appears when all of it is there."""
        store, path = self._client()
        with _asked(self):
            fs.copy_files(
                str(local),
                path,
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=store,
            )

    def _at(self, place: str) -> "RemotePath":
        return RemotePath(self.scheme, self.authority, place)

    def _client(self) -> tuple[fs.FileSystem, str]:
        """Client of the store, and the path as it takes it."""
        with _asked(self):
            store, bucket = client(self.scheme, self.authority)
        return store, f"{bucket}/{self.place}".rstrip("/")

    def _information(self) -> fs.FileInfo:
        if self.info is not None:
            return self.info
        store, path = self._client()
        with _asked(self):
            return store.get_file_info(path)


FilePath = Path | RemotePath


class _Remote(io.RawIOBase):
    """An object as a stream, whose errors are those of the store."""

    def __init__(self, path: RemotePath):
        self._path, self._file = path, path.open_arrow()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        with _asked(self._path):
            content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def as_location(value: object) -> FilePath:
    """Local path, or address in an object store, that a text means.

    Raises
    ------
    ValueError
        If it is neither a text nor a path, or an address of no known kind or with a password.
    """
    if isinstance(value, RemotePath):
        return value
    if not isinstance(value, str | Path):
        raise ValueError(f"need a path or an address; got {type(value).__name__}")
    found = ADDRESS.fullmatch(str(value))
    scheme = found[1].lower() if found else ""
    if found and scheme == "file":
        return Path(url2pathname(urlsplit(str(value)).path))
    if found and scheme in SCHEMES:
        return _remote(scheme, found[3])
    if found and len(found[2]) > 1:
        raise ValueError(
            f"need a local path or an address that begins with {', '.join(SCHEMES)} or file and "
            f"'://'; got {masked(value)!r}: give a database as a table with `url` and `table`"
        )
    return Path(value)


def glob_root(path: FilePath) -> FilePath:
    """Return the lowest folder in which all files lie that a glob can mean."""
    pattern = str(path)
    wild = WILDCARDS.search(pattern)
    return path if wild is None else as_location(f"{pattern[: wild.start()]}x").parent


def place_within(path: FilePath, root: FilePath) -> PurePosixPath:
    """Path of a file as seen from a folder above it."""
    if isinstance(path, RemotePath) and isinstance(root, RemotePath):
        return PurePosixPath(path.place).relative_to(root.place)
    return PurePosixPath(Path(str(path)).relative_to(str(root)).as_posix())


def require_reachable(path: FilePath) -> None:
    """Ask the store of a file whether it is there, to tell a damaged file from a dead store.

    Raises
    ------
    StoreError
        If the store does not answer.
    """
    if isinstance(path, RemotePath):
        replace(path, info=None).is_file()


def _remote(scheme: str, rest: str) -> RemotePath:
    authority, _, place = rest.partition("/")
    if ":" in authority or ("@" in authority and not scheme.startswith("abfs")):
        raise ValueError(
            f"need no password in an address of {scheme}://; got one: set {hint(scheme)} instead"
        )
    if not authority:
        raise ValueError(f"need an address such as {scheme}://bucket/path; got no bucket")
    return RemotePath(scheme, authority, re.sub("/+", "/", place).strip("/"))


@contextmanager
def _asked(path: RemotePath) -> Iterator[None]:
    """Say in one sentence that a store has not done what it was asked for."""
    try:
        yield
    except StoreError:
        raise
    except FileNotFoundError:
        raise FileNotFoundError(f"need a file at {path}; there is none.") from None
    except (OSError, pa.ArrowException) as error:  # Azure's are of the second kind
        raise StoreError(
            f"need an object store that answers for {path}; got {_reason(error)!r}: check "
            f"the address, the network and {hint(path.scheme)}."
        ) from None


def _reason(error: Exception) -> str:
    """Return what the store has said, without the numbers of the request."""
    said = masked(error).strip().splitlines()[0]
    said = re.sub(r"^When .*?bucket '[^']*': ", "", said)
    said = re.sub(r" \(Request ID: .*|; Details: .*", "", said).rstrip(".")
    return shorten(said, MAX_REASON, placeholder=" ...")
