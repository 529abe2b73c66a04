"""What the nightly jobs promise, measured: `python -m benchmarks.systems jobs --data DIR`.

Nights that are killed and go on (`kills`), into files and into PostgreSQL; the rows per second of
`anomdiff score` beside those of the detector in memory; drift and retraining (`drift`); verdicts
and the next batch (`feedback`). Each of these runs alone as well.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from benchmarks.common.commands import count
from benchmarks.common.results import write
from benchmarks.systems import drift, feedback, kills
from benchmarks.systems.files import first_night, run_job

__all__ = ["end_to_end", "main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure all, write a CSV for each part, and print the figures as the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.systems jobs", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder that has `mixed`")
    add("--rows", type=count, default=5_000_000, help="that are scored by runs that are killed")
    add("--database-rows", type=count, default=1_000_000, help="that go to PostgreSQL")
    add("--speed-rows", type=count, default=200_000, help="whose rows per second are compared")
    add("--kills", type=count, default=20)
    add("--seeds", type=count, default=5, help="of the verdicts")
    add("--drift-seeds", type=count, default=3)
    add("--weeks", type=count, default=200, help="without drift, for each seed")
    add("--processes", type=count, default=1, help="of the verdicts")
    add("--out", type=Path, required=True, help="folder of the CSV files")
    options = parser.parse_args(argv)
    parts = [_kills(options), _speed(options), _drift(options), _feedback(options)]
    print(" | ".join(parts))


def _kills(options: argparse.Namespace) -> str:
    told = []
    for database, n_rows in ((False, options.rows), (True, options.database_rows)):
        figures = kills.measure(n_rows, options.kills, seed=0, database=database)
        name = "kills_database.csv" if database else "kills.csv"
        write(pd.DataFrame([figures]), options.out / name)
        told.append(("into PostgreSQL: " if database else "") + kills.line(figures))
    return " | ".join(told)


def _speed(options: argparse.Namespace) -> str:
    job, detector = end_to_end(options.speed_rows)
    rates = {"rows": options.speed_rows, "job": job, "in_memory": detector}
    write(pd.DataFrame([rates]), options.out / "end_to_end.csv")
    return f"end-to-end {job / detector:.2f} of in-memory"


def _drift(options: argparse.Namespace) -> str:
    sizes = options.drift_seeds, options.weeks
    table = drift.measure_all(options.data, *sizes, {}, options.out / "drift.csv")
    return drift.line(table).replace("drift | ", "drift ")


def _feedback(options: argparse.Namespace) -> str:
    table = feedback.measure(options.data, n_seeds=options.seeds, processes=options.processes)
    write(table, options.out / "feedback.csv")
    return feedback.summary(table).replace("feedback | ", "feedback ")


def end_to_end(n_rows: int, batch: int = 20_000) -> tuple[float, float]:
    """Rows per second of the job, and of its detector in memory, each in a process of its own.

    The detector has its default parameters but for a seed; the job reads parquet and writes the
    scored file, its summary and the alarm table.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, output = first_night(folder, n_rows), folder / "scored.parquet"
        files = ["--data", data, "--output", output, "--alarms", folder / "alarms.csv"]
        run_job("score", *files, "--batch-size", batch, folder=folder)
        summary = json.loads((folder / "scored.summary.json").read_text())
        return summary["rows_per_second"], _in_memory(folder, data, batch)


def _in_memory(folder: Path, data: Path, batch: int) -> float:
    """Rows per second of the registered detector."""
    code = (
        "import sys, time, pandas as pd, mlflow\n"
        "from anomdiff.jobs.registered import load_registered\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "detector = load_registered('models:/anomdiff@champion')\n"
        "rows, size = pd.read_parquet(sys.argv[2]), int(sys.argv[3])\n"
        "detector.score_frame(rows.head(size))\n"
        "started = time.perf_counter()\n"
        "for first in range(0, len(rows), size):\n"
        "    detector.score_frame(rows[first:first + size])\n"
        "print(len(rows) / (time.perf_counter() - started))\n"
    )
    command = [sys.executable, "-c", code, f"sqlite:///{folder / 'mlflow.db'}", data, batch]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
