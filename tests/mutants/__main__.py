"""Run the mutants: ``python -m tests.mutants``, or only those whose names hold a word."""

import argparse
import queue
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.mutants.copies import FIRST, ROOT, changed, copy_repository, failed_test, killer
from tests.mutants.table import MUTANTS, Mutant

# Mutants that are tested at the same time.
AT_ONCE = 2


def main() -> None:
    """Do what the command line asks for; the exit status says whether a mutant survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="parts of the names of mutants; all by default")
    words = parser.parse_args().words
    mutants = [m for m in MUTANTS if not words or any(word in m.name for word in words)]
    for mutant in mutants:
        changed((ROOT / "anomdiff" / mutant.file).read_text(), mutant)
    with tempfile.TemporaryDirectory() as folder:
        copies = [copy_repository(Path(folder) / str(i)) for i in range(AT_ONCE)]
        if failure := failed_test(copies[0], FIRST):
            sys.exit(f"need tests that pass without a mutation; got {failure}.")
        n_killed = run(mutants, copies)
    print(f"mutants {len(mutants)} killed {n_killed}")
    sys.exit(n_killed < len(mutants))


def run(mutants: list[Mutant], copies: list[Path]) -> int:
    """Test mutants in the copies, a line each; return the number of those that were killed."""
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for copy in copies:
        free.put(copy)

    def test(mutant: Mutant) -> tuple[str | None, float]:
        copy, start = free.get(), time.monotonic()
        try:
            return killer(copy, mutant), time.monotonic() - start
        finally:
            free.put(copy)

    n_killed = 0
    with ThreadPoolExecutor(len(copies)) as pool:
        pending = {pool.submit(test, mutant): mutant for mutant in mutants}
        for done in as_completed(pending):
            test_name, seconds = done.result()
            n_killed += test_name is not None
            verdict = f"killed by {test_name}" if test_name else "SURVIVED"
            print(f"{pending[done].name}: {verdict} ({seconds:.0f} s)", flush=True)
    return n_killed


if __name__ == "__main__":
    main()
