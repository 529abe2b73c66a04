"""Nights that are killed: `python -m benchmarks.systems.kills --rows 5_000_000 --kills 20`.

Writes a parquet file of generated payments with a key, trains on 20,000 of them, and runs
`anomdiff score` on the file in processes of its own: once to the end, and once killed with SIGKILL
at random moments and started again each time. The scored files have to be the same, row by row,
and nothing may lie beside them. Two runs at once have to end with one that scores and one that says
so. The rows per second of the unbroken run are compared with those of the detector in memory.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from tqdm import tqdm

from anomdiff.datasets import payments
from anomdiff.jobs.exit_codes import ExitCode
from benchmarks.common.results import write
from benchmarks.systems.files import run_job, write_payments

__all__ = ["main", "measure"]

CHUNK = 250_000  # rows of the file that are written together
BATCH = 20_000  # rows that are scored together
IN_MEMORY = 100_000  # rows that the detector itself scores
KEY = "payment_id"
FIRST_KEYS = [KEY, "row"]
NAMES = ("whole", "night")  # of the scored files


class Night(NamedTuple):
    """A folder with a store, a table and a model, and how long an unbroken run took."""

    folder: Path
    data: Path
    output: Path
    seconds: float


def main(argv: list[str] | None = None) -> None:
    """Run, kill, run on, compare, and print the figures as the last line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, help="a CSV")
    options = parser.parse_args(argv)
    figures = measure(options.rows, options.kills, options.seed)
    write(pd.DataFrame([figures]), options.out)
    print(
        f"killed {figures['killed']} resumed {figures['resumed']} rows lost {figures['lost']} "
        f"doubled {figures['doubled']} changed {figures['changed']} left over "
        f"{figures['left_over']} | two at once: {figures['at_once']} | batches taken over "
        f"{figures['restored']} of {figures['batches']} | end-to-end {figures['end_to_end']:.2f} x "
        "of in-memory"
    )


def measure(n_rows: int, n_kills: int, seed: int) -> dict[str, object]:
    """Figures of an unbroken run, a killed one, and two at once."""
    with tempfile.TemporaryDirectory() as name:
        night = _unbroken(Path(name), n_rows)
        summary = json.loads((night.folder / "whole.summary.json").read_text())
        killed, at_once = _killed(night, n_kills, np.random.default_rng(seed)), _at_once(night)
        whole, found = (pd.read_parquet(night.folder / f"{each}.parquet") for each in NAMES)
        resumed = json.loads((night.folder / "night.summary.json").read_text())
        left = [path.name for path in night.folder.iterdir() if path.name.startswith(".")]
        return {
            "rows": n_rows,
            "killed": killed,
            "resumed": killed,
            **_compared(whole, found),
            "left_over": len(left),
            "at_once": at_once,
            "restored": resumed["batches_restored"],
            "batches": -(-n_rows // BATCH),
            "end_to_end": summary["rows_per_second"] / _rows_per_second(night),
        }


def _unbroken(folder: Path, n_rows: int) -> Night:
    """Train, write the table and score it once to the end."""
    history, data = folder / "history.parquet", folder / "large.parquet"
    payments(20_000, seed=0)[0].to_parquet(history, index=False)
    write_payments(data, n_rows, CHUNK, KEY)
    settings = folder / "train.toml"
    settings.write_text("[detector]\nrandom_state = 0\nalpha = 0.01\n")
    run_job("train", settings, "--data", history, folder=folder)
    started = time.perf_counter()
    run_job("score", *_words(data, folder / "whole.parquet"), folder=folder)
    return Night(folder, data, folder / "night.parquet", time.perf_counter() - started)


def _words(data: Path, output: Path) -> list[object]:
    return ["--data", data, "--output", output, "--key", KEY, "--batch-size", BATCH]


def _started(night: Night, output: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipelines.score", *map(str, _words(night.data, output))]
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{night.folder / 'mlflow.db'}"}
    quiet = subprocess.DEVNULL
    told = (night.folder / f"{output.stem}.log").open("a")
    return subprocess.Popen(command, env={**os.environ, **store}, stdout=quiet, stderr=told)


def _killed(night: Night, n_kills: int, rng: np.random.Generator) -> int:
    """Kill a run at random moments, go on until it is done; return how often it was killed."""
    killed = 0
    for _ in tqdm(range(n_kills), desc="killing", disable=None):
        process = _started(night, night.output)
        try:
            process.wait(timeout=rng.uniform(0, night.seconds))
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            killed += 1
        else:
            if process.returncode:
                raise RuntimeError((night.folder / "night.log").read_text())
            night.output.unlink()  # it was faster: the next one begins anew
    run_job("score", *_words(night.data, night.output), folder=night.folder)
    return killed


def _at_once(night: Night) -> str:
    """Exit codes of two runs that write the same output at the same time."""
    output = night.folder / "both.parquet"
    several = [_started(night, output) for _ in range(2)]
    codes = sorted(process.wait() for process in several)
    assert pq.read_metadata(output).num_rows == pq.read_metadata(night.output).num_rows
    if codes == [ExitCode.DONE, ExitCode.STORE]:
        return "one scored, one was told"
    return f"exit codes {codes}"


def _compared(whole: pd.DataFrame, found: pd.DataFrame) -> dict[str, int]:
    """Rows that are missing, that are there twice, and whose cells differ."""
    once = found.drop_duplicates(FIRST_KEYS)
    both = whole.merge(once, on=FIRST_KEYS, suffixes=("", "_found"))
    names = [name for name in whole if name not in FIRST_KEYS]
    same = np.ones(len(both), dtype=bool)
    for name in names:
        same &= (both[name] == both[f"{name}_found"]).to_numpy(bool)
    return {
        "lost": len(whole) - len(both),
        "doubled": len(found) - len(once),
        "changed": int((~same).sum()),
    }


def _rows_per_second(night: Night) -> float:
    """Rows a second of the detector itself, in a process like those of the job."""
    code = (
        "import sys, time, pandas as pd, mlflow\n"
        "from anomdiff.integrations.mlflow import flavor\n"
        "from anomdiff.jobs.registered import load_registered\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "detector = load_registered('models:/anomdiff@champion')\n"
        "rows = pd.read_parquet(sys.argv[2]).head(int(sys.argv[3]))\n"
        "size = int(sys.argv[4])\n"
        "detector.score_frame(rows.head(size))\n"
        "started = time.perf_counter()\n"
        "for first in range(0, len(rows), size):\n"
        "    detector.score_frame(rows[first:first + size])\n"
        "print(len(rows) / (time.perf_counter() - started))\n"
    )
    store = f"sqlite:///{night.folder / 'mlflow.db'}"
    words = [sys.executable, "-c", code, store, night.data, IN_MEMORY, BATCH]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
