import subprocess
import sys

import pytest

from anomdiff.jobs.errors import BusyError
from anomdiff.jobs.runs.locks import locked
from anomdiff.jobs.stores.databases import SqlTarget
from anomdiff.jobs.stores.locations import as_location

HOLDING = """
import sys
from pathlib import Path
from anomdiff.jobs.runs.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a file."""
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "a.csv")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_run_is_told_and_another_file_is_free(tmp_path, holder):
    with (
        pytest.raises(BusyError, match=r"only run that writes .*a\.csv; another one does"),
        locked(tmp_path / "b.csv", tmp_path / "a.csv"),
    ):
        pass
    with locked(tmp_path / "b.csv"):
        pass


def test_a_killed_run_holds_nothing(tmp_path, holder):
    holder.kill()
    holder.wait()

    with locked(tmp_path / "a.csv"):
        pass

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_lock_even_after_an_error(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path / "new" / "a.csv"):
        raise KeyError

    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize(
    "target",
    [
        as_location("s3://bucket/scored.parquet"),
        SqlTarget(url="sqlite:///scores.db", table="scores", key="id"),
    ],
)
def test_stores_and_databases_are_locked_too(target):
    with locked(target), pytest.raises(BusyError), locked(target):
        pass


def test_a_lock_file_that_was_taken_away_meanwhile_is_no_lock(tmp_path, monkeypatch):
    """A run that opens the lock file just before its holder takes it away makes a new one."""
    from anomdiff.jobs.runs import locks

    path = tmp_path / "a.csv"
    before = locks._descriptor

    def late(lock):
        descriptor = before(lock)
        monkeypatch.setattr(locks, "_descriptor", before)
        lock.unlink()
        return descriptor

    monkeypatch.setattr(locks, "_descriptor", late)
    with locked(path), pytest.raises(BusyError), locked(path):
        pass
