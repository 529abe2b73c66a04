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

from benchmarks.systems.files import first_night, run_job

__all__ = ["main"]


def main() -> None:
    """Write, train, score, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, scored = first_night(folder, options.rows), folder / "scored.parquet"
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
