"""How fast the endpoint answers, beside scikit-learn's IsolationForest in the same run.

Both models are logged with MLflow and served as a user would, `mlflow models serve` with as many
workers and the same style of signature. The two take turns, block by block, so that a busy machine
is as busy for one as for the other; ratios are medians over the blocks. Then the endpoint of ours
gets a steady load of 80 % of what it has just shown it can take.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.ensemble import IsolationForest

from anomdiff.integrations.mlflow.flavor import save_model
from benchmarks.common.commands import add_params, count
from benchmarks.common.methods import Params
from benchmarks.common.results import write
from benchmarks.systems.endpoint import (
    ROWS_PER_REQUEST,
    Endpoint,
    latencies,
    rows_per_second,
    serve,
    steady_load,
)
from benchmarks.tables.methods import tabular

__all__ = ["main", "measure", "summary", "table"]

OURS, OTHER = "anomdiff", "iforest"
LOAD_SHARE, LOAD_PERIOD = 0.8, 10.0
COLUMNS = ["measure", "model", "block", "value"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for; the last line holds both models' figures."""
    options = vars(_parser().parse_args(argv))
    out = options.pop("out")
    figures = measure(**options)
    write(figures, out)
    print(table(figures))
    print(summary(figures))


def measure(
    *,
    n_rows: int = 10_000,
    n_columns: int = 30,
    style: str = "columns",
    n_workers: int = 1,
    n_blocks: int = 6,
    block_seconds: float = 5.0,
    load_seconds: float = 60.0,
    params: Params = None,
) -> pd.DataFrame:
    """Serve both models and measure them in turns: so many for latency, so many for throughput.

    The parameters are the options of the command. The columns of the figures are ``measure`` (with
    its unit), ``model``, ``block`` and ``value``.
    """
    train = generate(n_rows, n_columns, seed=0)
    fresh = generate(ROWS_PER_REQUEST, n_columns, seed=1)
    one, many = request(fresh[:1], style), request(fresh, style)
    figures: list[tuple] = []
    running: dict[str, Endpoint] = {}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for name, path in save_models(train, style, Path(folder), params).items():
            start = time.perf_counter()
            running[name] = stack.enter_context(serve(path, n_workers))
            figures.append(("cold start s", name, 0, time.perf_counter() - start))
        for endpoint in running.values():
            latencies(endpoint, many, 1.0)  # first requests are slower
        turns = [(block, *pair) for block in range(n_blocks) for pair in running.items()]
        for block, name, endpoint in turns:
            ms = latencies(endpoint, one, block_seconds)
            figures.append(("one row p50 ms", name, block, np.median(ms)))
            figures.append(("one row p99 ms", name, block, np.quantile(ms, 0.99)))
        for block, name, endpoint in turns:
            rate = rows_per_second(endpoint, many, block_seconds)
            figures.append(("rows/s", name, block, rate))
            figures.append(("memory MiB", name, block, endpoint.memory()))
        rates = [value for what, name, _, value in figures if (what, name) == ("rows/s", OURS)]
        rate = LOAD_SHARE * float(np.median(rates)) / ROWS_PER_REQUEST
        figures += under_load(running[OURS], many, rate, load_seconds)
    return pd.DataFrame(figures, columns=COLUMNS)


def generate(n_rows: int, n_columns: int, seed: int) -> pd.DataFrame:
    """Draw correlated columns; tables of all seeds are alike."""
    mixing = np.eye(n_columns) + 0.3 * np.random.default_rng(0).normal(size=(n_columns, n_columns))
    values = np.random.default_rng([1, seed]).normal(size=(n_rows, n_columns)) @ mixing
    return pd.DataFrame(values, columns=[f"column_{i}" for i in range(n_columns)])


def save_models(train: pd.DataFrame, style: str, folder: Path, params: Params) -> dict[str, Path]:
    """Fit and save both models, each with MLflow's flavor for it."""
    paths = {name: folder / name for name in (OURS, OTHER)}
    save_model(tabular(0, params).fit(train), paths[OURS], signature=style)
    data = train if style == "columns" else train.to_numpy()
    forest = IsolationForest(n_estimators=100, random_state=0).fit(data)
    signature = infer_signature(data, forest.predict(data))
    trusted = ["sklearn.tree._tree.Tree"]
    mlflow.sklearn.save_model(
        forest, paths[OTHER], signature=signature, skops_trusted_types=trusted
    )
    return paths


def request(rows: pd.DataFrame, style: str) -> bytes:
    """JSON body of some rows."""
    if style == "tensor":
        return json.dumps({"inputs": rows.to_numpy().tolist()}).encode()
    split = {"columns": list(rows.columns), "data": rows.to_numpy().tolist()}
    return json.dumps({"dataframe_split": split}).encode()


def under_load(endpoint: Endpoint, body: bytes, rate: float, seconds: float) -> list[tuple]:
    """Errors, slowest answers and memory in each period of a steady load."""
    figures, memory = [("load requests/s", OURS, 0, rate)], []
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(steady_load, endpoint, body, rate, seconds)
        while not future.done():
            memory.append(endpoint.memory())
            wait([future], min(LOAD_PERIOD, seconds))
    load = future.result()
    period = (load.due // LOAD_PERIOD).astype(int)
    for block in np.unique(period).tolist():
        chosen = period == block
        figures += [
            ("load errors", OURS, block, int((~load.good[chosen]).sum())),
            ("load p99 ms", OURS, block, float(np.quantile(load.ms[chosen], 0.99))),
            ("load memory MiB", OURS, block, memory[block] if block < len(memory) else math.nan),
        ]
    return figures


def table(figures: pd.DataFrame) -> str:
    """Every measure, block by block."""
    wide = figures.pivot_table("value", ["measure", "model"], "block", sort=False)
    return wide.round(2).to_string(na_rep="")


def summary(figures: pd.DataFrame) -> str:
    """Both models' medians over the blocks and the median of the blocks' ratios, in one line."""
    parts = []
    for measure_, label, digits in (("one row p50 ms", "p50 ms", 1), ("rows/s", "rows/s", 0)):
        chosen = figures[figures["measure"] == measure_]
        blocks = chosen.pivot(index="block", columns="model", values="value")
        middle, ratio = blocks.median(), (blocks[OURS] / blocks[OTHER]).median()
        ours, other = (f"{middle[name]:.{digits}f}" for name in (OURS, OTHER))
        parts.append(f"{label} ours {ours} iforest {other} ratio {ratio:.2f}")
    return " | ".join(parts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.systems.serving", description=__doc__
    )
    add = parser.add_argument
    add("--out", type=Path, help="figures, a CSV")
    add("--rows", dest="n_rows", type=count, default=10_000, help="of the training table")
    add("--columns", dest="n_columns", type=count, default=30)
    add(
        "--signature",
        dest="style",
        choices=("columns", "tensor"),
        default="columns",
        help="of both models",
    )
    add("--workers", dest="n_workers", type=count, default=1, help="of each endpoint")
    add("--blocks", dest="n_blocks", type=count, default=6, help="turns of each model")
    add("--block-seconds", type=float, default=5.0)
    add("--load-seconds", type=float, default=60.0)
    add_params(parser)
    return parser


if __name__ == "__main__":
    main()
