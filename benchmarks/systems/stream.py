"""Score a large file through the job: `python -m benchmarks.systems.stream --rows 10_000_000`.

Writes a parquet file of generated payments, trains on 20,000 of them, and runs
`anomdiff.jobs.score` on the file in a process of its own, whose peak memory is reported.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from anomdiff.datasets import payments
from benchmarks.systems.files import run_job, write_payments

__all__ = ["main"]

CHUNK = 250_000


def main() -> None:
    """Write, train, score, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history, data, scored = (
            folder / f"{part}.parquet" for part in ("history", "large", "scored")
        )
        payments(20_000, seed=0)[0].to_parquet(history, index=False)
        write_payments(data, options.rows, CHUNK)
        settings = folder / "train.toml"
        settings.write_text("[detector]\nrandom_state = 0\nalpha = 0.01\n")
        run_job("train", settings, "--data", history, folder=folder)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        run_job("score", "--data", data, "--output", scored, folder=folder)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        summary = json.loads((folder / "scored.summary.json").read_text())
        n_scored = pq.read_metadata(scored).num_rows
    bound = "" if peak > before else " (at most: training needed as much)"
    print(
        f"rows {n_scored} of {options.rows} | rows/s {summary['rows_per_second']:.0f} | "
        f"alarm rate {summary['alarm_rate']:.4f} | peak memory GiB {peak / 2**20:.2f}{bound}"
    )


if __name__ == "__main__":
    main()
