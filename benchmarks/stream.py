"""Score a large file through the job: `python -m benchmarks.stream --rows 10_000_000`.

Writes a parquet file of generated payments, trains on 20,000 of them, and runs
`anomdiff.jobs.score` on the file in a process of its own, whose peak memory is reported.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from anomdiff.datasets import payments

CHUNK = 250_000


def main() -> None:
    """Write, train, score, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
        payments(20_000, seed=0)[0].to_parquet(folder / "history.parquet", index=False)
        write(folder / "large.parquet", options.rows)
        settings = folder / "train.toml"
        settings.write_text("[detector]\nrandom_state = 0\nalpha = 0.01\n")
        run("train", str(settings), "--data", str(folder / "history.parquet"))
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        scored = folder / "scored.parquet"
        run("score", "--data", str(folder / "large.parquet"), "--output", str(scored))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        summary = json.loads((folder / "scored.summary.json").read_text())
        n_scored = pq.read_metadata(scored).num_rows
    bound = "" if peak > before else " (at most: training needed as much)"
    print(
        f"rows {n_scored} of {options.rows} | rows/s {summary['rows_per_second']:.0f} | "
        f"alarm rate {summary['alarm_rate']:.4f} | peak memory GiB {peak / 2**20:.2f}{bound}"
    )


def write(path: Path, n_rows: int) -> None:
    """Write generated payments, 1 % of them fraud, chunk by chunk."""
    writer = None
    for seed, start in enumerate(tqdm(range(0, n_rows, CHUNK), desc="writing")):
        frame, _ = payments(min(CHUNK, n_rows - start), fraud_rate=0.01, seed=seed + 1)
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table.cast(writer.schema))
    writer.close()


def run(name: str, *words: str) -> None:
    """Run a job; its output goes to the terminal."""
    subprocess.run([sys.executable, "-m", f"pipelines.{name}", *words], check=True)


if __name__ == "__main__":
    main()
