"""A copy of the repository with one text changed, and the tests that notice."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.mutants.table import Mutant

__all__ = ["ROOT", "changed", "copy_repository", "failed_test", "killer"]

ROOT = Path(__file__).parents[2]
LEFT_OUT = ".*", "__pycache__", "notebooks", "demo-output", "mlruns"
# Seconds after which tests count as failed: a mutant may never end.
PATIENCE = 1800
# The laws of the assembly and the golden answers first, of mutants of the answers these alone;
# the whole quick suite where these pass.
GOLDEN, ANSWERS = "tests/golden/test_golden.py", ("conditional/", "explain/")
FIRST = "tests/models", "tests/scoring", "tests/reference", "tests/thresholds", GOLDEN
WHOLE = "tests", "--ignore=tests/mutants"


def copy_repository(folder: Path) -> Path:
    """Copy what the tests need, but for files whose names begin with a dot."""
    return shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))


def changed(source: str, mutant: Mutant) -> str:
    """The text of a file with the mutation.

    Raises
    ------
    ValueError
        If the old text does not occur exactly once: the table is out of date.
    """
    if (n := source.count(mutant.old)) != 1:
        raise ValueError(f"need {mutant.old!r} once in {mutant.file} ({mutant.name}); got {n}.")
    return source.replace(mutant.old, mutant.new)


def killer(copy: Path, mutant: Mutant) -> str | None:
    """The first test that fails with the mutation; None if it survives."""
    path = copy / "anomdiff" / mutant.file
    source = path.read_text()
    path.write_text(changed(source, mutant))
    first = (GOLDEN,) if mutant.file.startswith(ANSWERS) else FIRST
    try:
        return failed_test(copy, first) or failed_test(copy, WHOLE)
    finally:
        path.write_text(source)


def failed_test(copy: Path, tests: tuple[str, ...]) -> str | None:
    """The first test of some that fails in a copy."""
    options = "-x", "-q", "-p", "no:cacheprovider"
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(copy),
        # Times of files are too coarse to tell two changes of the same length apart.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", *options, *tests]
    try:
        run = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"no end within {PATIENCE} seconds"
    if run.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    if run.returncode not in (1, 2) or not found:
        raise RuntimeError(f"pytest failed: {run.stdout[-2000:]}{run.stderr[-2000:]}")
    return found[1]
