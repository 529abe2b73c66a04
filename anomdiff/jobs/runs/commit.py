"""Several files that appear together: a run that dies between two renames is completed later.

Complete files lie beside their targets under hidden names. Before the first is renamed, a list of
all renames is written; whoever finds the list renames what is left. Without it, hidden files are
leftovers of a run that died earlier, and are removed.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

__all__ = ["PART", "commit", "complete_or_sweep", "is_pending", "sync"]

PART = ".part"  # last suffix of files that are not complete


def commit(pairs: Sequence[tuple[Path, Path]]) -> None:
    """Rename complete files to their targets: all of them, if need be after a restart.

    Of several, the last is absent until the others are there.

    Parameters
    ----------
    pairs : sequence of (Path, Path)
        Each file, synced to the disk, and its target in the same folder.
    """
    if not pairs:
        return
    renames = _list_of(pairs[0][1])
    _write_synced(renames, json.dumps([[path.name, str(target)] for path, target in pairs]))
    last = pairs[-1][1]
    if len(pairs) > 1:
        last.unlink(missing_ok=True)
    for path, target in pairs:
        path.replace(target)
    for folder in {target.parent for _, target in pairs}:
        with suppress(OSError):  # not every file system can; the files are there already
            sync(folder)
    renames.unlink()


def complete_or_sweep(target: Path, *others: Path) -> None:
    """Complete the renames of a run that died among them, and remove what others left behind.

    Only who holds the lock of the files may call it.

    Parameters
    ----------
    target : Path
        First target of ``commit``.
    others : Path
        Its further targets.
    """
    renames = _list_of(target)
    if renames.exists():
        for name, place in json.loads(renames.read_text(encoding="utf-8")):
            with suppress(FileNotFoundError):  # renamed before
                Path(place).with_name(name).replace(place)
        renames.unlink()
    for path in _leftovers((target, *others)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def is_pending(target: Path) -> bool:
    """Whether renames have begun and not ended, with `target` as the first."""
    return _list_of(target).exists()


def sync(path: Path) -> None:
    """Force a file, or the entries of a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _list_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.renames")


def _write_synced(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    part = path.with_name(f"{path.name}{PART}")
    part.write_text(text, encoding="utf-8")
    sync(part)
    part.replace(path)
    with suppress(OSError):
        sync(path.parent)


def _leftovers(targets: Sequence[Path]) -> Iterator[Path]:
    for target in targets:
        if target.parent.is_dir():
            start = f".{target.name}."
            for path in target.parent.iterdir():
                if path.name.startswith(start) and path.name.endswith(PART):
                    yield path
