import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from benchmarks.systems import spark
from benchmarks.systems.files import FIRST_KEY, write_payments


@pytest.fixture
def files(tmp_path):
    """A table of ten rows, what the batch job made of it, and what Spark did, in two files."""
    write_payments(tmp_path / "data.parquet", 10, spark.CHUNK, spark.KEY)
    keys = pd.read_parquet(tmp_path / "data.parquet")[spark.KEY]
    scored = pd.DataFrame({spark.KEY: keys, "anomaly_score": np.arange(10.0)})
    scored.to_parquet(tmp_path / "batch.parquet")
    (tmp_path / "spark").mkdir()
    scored[5:].to_parquet(tmp_path / "spark" / "part-0.parquet")
    scored[:5].to_parquet(tmp_path / "spark" / "part-1.parquet")
    return [tmp_path / name for name in ("data.parquet", "batch.parquet", "spark")]


def rewrite(path, change):
    change(pd.read_parquet(path)).to_parquet(path)


def test_the_same_rows_in_other_files_are_the_same(files):
    assert spark.compare(*files) == spark.Comparison(10, 0, 0, True, 0.0)


def test_a_lost_a_doubled_and_a_moved_row_are_noticed(files):
    rewrite(files[2] / "part-0.parquet", lambda part: part.iloc[[0, 1, 1, 3, 2]])

    assert spark.compare(*files) == spark.Comparison(10, 1, 1, False, 0.0)


def test_a_key_that_went_through_a_float_is_lost(files):
    rewrite(files[2] / "part-0.parquet", lambda part: part.astype({spark.KEY: float}))

    assert spark.compare(*files).lost > 0


def test_another_score_is_noticed(files):
    rewrite(files[1], lambda scored: scored.assign(anomaly_score=scored["anomaly_score"] + 0.25))

    assert spark.compare(*files).difference == 0.25


def test_keys_are_numbered_across_chunks(tmp_path):
    write_payments(tmp_path / "data.parquet", 10, chunk=4, key=spark.KEY)

    keys = pq.read_table(tmp_path / "data.parquet")[spark.KEY].to_pylist()
    assert keys == list(range(FIRST_KEY, FIRST_KEY + 10))


def test_the_summary_is_one_line():
    line = spark.summary(200.0, 100.0, spark.Comparison(10, 0, 0, True, 0.0))

    assert line == "spark rows/s 200 batch rows/s 100 ratio 2.00 | rows 10 lost 0"


@pytest.mark.slow
def test_the_benchmark_runs_and_loses_no_row():
    pytest.importorskip("pyspark", reason="needs pyspark")
    if shutil.which("java") is None:
        pytest.skip("needs Java")
    words = ["--rows", "3000", "--cores", "2", "--max-iter", "20"]

    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.systems.spark", *words],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip

    last = answer.stdout.strip().splitlines()[-1]
    number = r"\d+(\.\d+)?"
    shape = rf"spark rows/s {number} batch rows/s {number} ratio {number} \| rows 3000 lost 0"
    assert re.fullmatch(shape, last)
    assert "rows of every file in order True" in answer.stdout
