"""Score a large file through the job: `python -m benchmarks.systems.stream --rows 10_000_000`.

Writes a parquet file of generated payments, trains on 20,000 of them, and runs
`anomdiff.jobs.score` on the file in a process of its own, whose peak memory is reported. With
``--narrow`` the table has three columns of numbers and the detector is a light one, so that many
millions of rows take minutes.
"""

import argparse
import json
import resource
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.systems.files import LIGHT, first_night, run_job

__all__ = ["main"]

NARROW = ["amount", "distance_from_home_km", "hours_since_last"]


def main() -> None:
    """Write, train, score, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--narrow", action="store_true", help="three columns, a light detector")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = {"detector": LIGHT, "columns": NARROW} if options.narrow else {}
        data = first_night(folder, options.rows, **table)
        scored = folder / "scored.parquet"
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
