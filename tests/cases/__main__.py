"""Run the cases, two at a time, and count those that are OK: ``python -m tests.cases [FILE...]``.

The last line that a case prints decides. None is expected to fail: the count is a measure of
the work that remains, and the exit status is 0 whatever it is.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["main"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
AT_ONCE = 2
TIMEOUT = 600  # seconds for one case


def main(arguments):
    """Run the files named, or all, and print one line for each."""
    cases = [Path(name).resolve() for name in arguments] or sorted(HERE.glob("*/*.py"))
    n_ok = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for case, verdict in zip(cases, pool.map(last_line, cases), strict=True):
            n_ok += verdict.startswith("OK")
            name = os.path.relpath(case, HERE)
            print(f"{name:<60} {verdict[:140]}", flush=True)
    print(f"cases {len(cases)} ok {n_ok} fault {len(cases) - n_ok}")


def last_line(case):
    """The verdict of a case: the last line that it prints, or how it ended without one."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [sys.executable, case],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"FAULT no verdict after {TIMEOUT} s"
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    if lines and lines[-1].startswith(("OK", "FAULT")):
        return lines[-1]
    return " ".join(["FAULT no verdict:", *done.stderr.strip().splitlines()[-1:]])


if __name__ == "__main__":
    main(sys.argv[1:])
