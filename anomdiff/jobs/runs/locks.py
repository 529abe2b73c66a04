"""One run at a time writes an output: locks that the operating system frees when a run dies."""

import getpass
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import lock_descriptor

from anomdiff.jobs.errors import BusyError
from anomdiff.jobs.stores.databases import SqlTarget
from anomdiff.jobs.stores.locations import FilePath

__all__ = ["locked"]


@contextmanager
def locked(*targets: FilePath | SqlTarget | None) -> Iterator[None]:
    """Let no other run write to `targets` while the block runs.

    The lock of a local file lies beside it, hidden, and holds for all machines that share the
    folder; that of an object store or a database lies in the folder of temporary files and holds
    on this machine. Nothing is left of a lock after the block, and a dead run holds none.

    Raises
    ------
    BusyError
        If another run holds one of them.
    """
    wanted = {_lock_path(target): str(target) for target in targets if target is not None}
    with ExitStack() as stack:
        for path in sorted(wanted):  # in one order: two runs never hold one each
            stack.enter_context(_held(path, wanted[path]))
        yield


def _lock_path(target: FilePath | SqlTarget) -> Path:
    if isinstance(target, Path):
        return target.resolve().with_name(f".{target.name}.lock")
    own = hashlib.sha256(f"{getpass.getuser()} {target}".encode()).hexdigest()[:20]
    return Path(tempfile.gettempdir()) / f"anomdiff-{own}.lock"


@contextmanager
def _held(path: Path, name: str) -> Iterator[None]:
    """Hold a lock file, which is taken away before the lock is."""
    descriptor = _descriptor(path)
    while descriptor is not None and not _is_at(descriptor, path):
        os.close(descriptor)  # its last holder took the file away
        descriptor = _descriptor(path)
    if descriptor is None:
        raise BusyError(
            f"need to be the only run that writes {name}; another one does right now: wait until "
            "it has ended, or set another output."
        )
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _descriptor(path: Path) -> int | None:
    """Open a lock file and lock it; None if another process has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if lock_descriptor(descriptor, blocking=False):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that a path names now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
