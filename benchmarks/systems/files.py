"""A large file of generated payments, and jobs that run in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from anomdiff.datasets import payments

__all__ = ["FIRST_KEY", "run_job", "write_payments"]

FIRST_KEY = 2**53  # from here on a float cannot tell neighbours apart


def write_payments(path: Path, n_rows: int, chunk: int, key: str | None = None) -> None:
    """Write generated payments, 1 % of them fraud, chunk by chunk; with a key if it has a name."""
    writer = None
    for seed, start in enumerate(tqdm(range(0, n_rows, chunk), desc="writing", disable=None)):
        frame, _ = payments(min(chunk, n_rows - start), fraud_rate=0.01, seed=seed + 1)
        if key is not None:
            frame[key] = FIRST_KEY + np.arange(start, start + len(frame))
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table.cast(writer.schema))
    writer.close()


def run_job(
    name: str, *words: object, folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run a job as a user would, its MLflow store in a folder; raise what it says if it fails."""
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    command = [sys.executable, "-m", f"pipelines.{name}", *map(str, words)]
    everything = {**os.environ, **store, **(environment or {})}
    done = subprocess.run(command, env=everything, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()}")
