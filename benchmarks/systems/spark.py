"""Score a large file on Spark and by the batch job: `python -m benchmarks.systems.spark --rows N`.

Writes a parquet file of generated payments with a key, trains on 20,000 others, scores the file by
`anomdiff.jobs.score` in one process with as many threads as Spark gets cores, then on Spark in
local mode, from file to file; and compares the two results row by row. Spark's time includes the
start of its Python workers, which import torch.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from anomdiff import TabularDetector
from anomdiff.datasets import payments
from benchmarks.systems.files import run_job, write_payments

__all__ = ["Comparison", "compare", "main", "score_in_one_process", "score_on_spark", "summary"]

KEY = "payment_id"
CHUNK = 25_000  # rows of a row group, and of a Spark partition
SPARK = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.files.maxPartitionBytes": "1m",
}


class Comparison(NamedTuple):
    """Rows of the input, those without a result, and results too many; what came of the others.

    ``in_order`` tells whether the rows of every file that Spark wrote are in the order of the
    input, and ``difference`` is the largest one of two anomaly scores of one row.
    """

    rows: int
    lost: int
    doubled: int
    in_order: bool
    difference: float


def main() -> None:
    """Write, train, score twice, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--cores", type=int, default=4)
    parser.add_argument("--max-iter", type=int, default=3000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, model = folder / "payments.parquet", folder / "model"
        write_payments(data, options.rows, CHUNK, KEY)
        train(model, options.max_iter)
        batch = score_in_one_process(data, model, folder / "batch.parquet", options.cores)
        spark = score_on_spark(data, model, folder / "spark.parquet", options.cores)
        found = compare(data, folder / "batch.parquet", folder / "spark.parquet")
    print(
        f"cores {options.cores} | rows of every file in order {found.in_order} | "
        f"doubled {found.doubled} | largest difference of scores {found.difference:.1e}"
    )
    print(summary(options.rows / spark, options.rows / batch, found))


def train(path: Path, max_iter: int) -> None:
    """Train a detector on other payments and save it as an MLflow model."""
    from anomdiff.integrations.mlflow import flavor

    history, _ = payments(20_000, seed=0)
    detector = TabularDetector(alpha=0.01, max_iter=max_iter, random_state=0)
    flavor.save_model(detector.fit(history), path)


def score_in_one_process(data: Path, model: Path, output: Path, n_threads: int) -> float:
    """Score by the batch job, and return the seconds from its first row to its last file."""
    words = ["--data", data, "--model", model, "--output", output, "--keep", KEY]
    threads = {"OMP_NUM_THREADS": str(n_threads)}
    run_job("score", *words, folder=output.parent, environment=threads)
    return pd.read_json(output.with_suffix(".summary.json"), typ="series")["seconds"]


def score_on_spark(data: Path, model: Path, output: Path, n_cores: int) -> float:
    """Score on Spark in local mode, and return the seconds from file to file."""
    from pyspark.sql import SparkSession

    from anomdiff.integrations.spark import score_table

    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    builder = SparkSession.builder.master(f"local[{n_cores}]")
    for key, value in SPARK.items():
        builder = builder.config(key, value)
    session = builder.config("spark.sql.warehouse.dir", str(output.parent)).getOrCreate()
    try:
        started = time.perf_counter()
        score_table(session.read.parquet(str(data)), str(model)).write.parquet(str(output))
        return time.perf_counter() - started
    finally:
        session.stop()


def compare(data: Path, batch: Path, spark: Path) -> Comparison:
    """Compare the results row by row, by their keys."""
    keys = pq.read_table(data, columns=[KEY])[KEY].to_numpy()
    one = _scores(batch)
    parts = [_scores(part) for part in sorted(spark.glob("*.parquet"))]
    many = pd.concat(parts)
    lost = ~np.isin(keys, many.index)
    return Comparison(
        rows=len(keys),
        lost=int(lost.sum()),
        doubled=len(many) - int((~lost).sum()),
        in_order=all(part.index.is_monotonic_increasing for part in parts),
        difference=float((many - one.reindex(many.index)).abs().max(skipna=False)),
    )


def summary(spark: float, batch: float, found: Comparison) -> str:
    """Say it in one line."""
    return (
        f"spark rows/s {spark:.0f} batch rows/s {batch:.0f} ratio {spark / batch:.2f} | "
        f"rows {found.rows} lost {found.lost}"
    )


def _scores(path: Path) -> pd.Series:
    """Anomaly scores by key; a key that was a float for a while is another one now."""
    scored = pd.read_parquet(path, columns=[KEY, "anomaly_score"]).astype({KEY: np.int64})
    return scored.set_index(KEY)["anomaly_score"]


if __name__ == "__main__":
    main()
