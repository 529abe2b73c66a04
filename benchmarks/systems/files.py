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

__all__ = ["FIRST_KEY", "LIGHT", "first_night", "run_job", "write_payments"]

FIRST_KEY = 2**53  # from here on a float cannot tell neighbours apart
CHUNK = 250_000  # rows of the file that are written together
TRAINING_ROWS = 20_000
PLAIN = "random_state = 0\nalpha = 0.01\n"
# A detector that costs little: of what a job itself does, more is seen.
LIGHT = f"{PLAIN}max_iter = 300\nmax_reference = 50\nn_levels = 2\nn_draws = 2\nwidth = 32\n"


def first_night(
    folder: Path,
    n_rows: int,
    key: str | None = None,
    detector: str = PLAIN,
    columns: list[str] | None = None,
) -> Path:
    """Train on payments, promote the model, and return a file with as many later ones.

    Of both the ``columns`` are kept, all by default.
    """
    history, data, settings = (
        folder / name for name in ("history.parquet", "large.parquet", "train.toml")
    )
    training = payments(TRAINING_ROWS, seed=0)[0]
    training[columns or list(training)].to_parquet(history, index=False)
    write_payments(data, n_rows, CHUNK, key, columns)
    settings.write_text(f"[detector]\n{detector}")
    run_job("train", settings, "--data", history, folder=folder)
    return data


def write_payments(
    path: Path, n_rows: int, chunk: int, key: str | None = None, columns: list[str] | None = None
) -> None:
    """Write generated payments, 1 % of them fraud, chunk by chunk; with a key if it has a name."""
    writer = None
    for seed, start in enumerate(tqdm(range(0, n_rows, chunk), desc="writing", disable=None)):
        frame, _ = payments(min(chunk, n_rows - start), fraud_rate=0.01, seed=seed + 1)
        frame = frame[columns or list(frame)]
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
