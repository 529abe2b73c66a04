import os
import subprocess
import sys

import pytest

from anomdiff.jobs.writers import atomic_paths, sweep

NAMES = ("scored.txt", "series.txt", "summary.txt")
# A process that dies after so many renames.
DYING = """
import os, sys
from pathlib import Path
from anomdiff.jobs.writers import atomic_paths
folder, most = Path(sys.argv[1]), int(sys.argv[2])
replace, done = Path.replace, []
def dying(self, target):
    if Path(target).suffix == ".txt":
        if len(done) == most:
            os._exit(9)
        done.append(target)
    return replace(self, target)
Path.replace = dying
with atomic_paths(*(folder / name for name in sys.argv[3:])) as paths:
    for path in paths:
        path.write_text("new", encoding="utf-8")
"""


def _content(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_a_run_that_dies_among_its_renames_is_completed(tmp_path, renames):
    for name in NAMES:
        (tmp_path / name).write_text("old", encoding="utf-8")

    command = [sys.executable, "-c", DYING, str(tmp_path), str(renames), *NAMES]
    assert subprocess.run(command, check=False).returncode == 9
    torn = _content(tmp_path)
    sweep(*(tmp_path / name for name in NAMES))

    assert "summary.txt" not in torn
    assert [torn[name] for name in NAMES[:2]] == ["new"] * renames + ["old"] * (2 - renames)
    assert _content(tmp_path) == dict.fromkeys(NAMES, "new")


def test_what_a_dead_run_left_is_removed_and_nothing_else(tmp_path):
    others = [".a.txt.x", "a.txt.x.part", ".b.txt.x.part", "a.txt"]
    for name in (*others, ".a.txt.x.part", ".a.txt.y.part"):
        (tmp_path / name).write_text("half", encoding="utf-8")
    (tmp_path / ".a.txt.rows-1.part").mkdir()
    (tmp_path / ".a.txt.rows-1.part" / "rows").write_text("half", encoding="utf-8")

    sweep(tmp_path / "a.txt")

    assert set(_content(tmp_path)) == set(others)


def test_an_error_among_the_renames_is_completed_by_the_next_run(tmp_path, monkeypatch):
    paths = [tmp_path / name for name in NAMES]
    (tmp_path / "series.txt").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(IsADirectoryError), atomic_paths(*paths):
        pass
    (tmp_path / "series.txt").rmdir()

    with pytest.raises(OSError, match="directory"), atomic_paths(*paths) as temporary:
        for path in temporary:
            path.write_text("new", encoding="utf-8")
        (tmp_path / "series.txt").mkdir()
    (tmp_path / "series.txt").rmdir()
    sweep(*paths)

    assert _content(tmp_path) == dict.fromkeys(NAMES, "new")


def test_leftovers_of_what_goes_to_a_store_are_removed_too(tmp_path, monkeypatch):
    from anomdiff.jobs.stores.locations import as_location
    from anomdiff.jobs.writers import stand_in

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    target = as_location("s3://bucket/scored.parquet")
    other = as_location("s3://other/scored.parquet")
    left = [stand_in(each).with_name(f".{stand_in(each).name}.1.part") for each in (target, other)]
    for path in left:
        path.write_text("half", encoding="utf-8")

    sweep(target)

    assert os.listdir(tmp_path) == [left[1].name]
