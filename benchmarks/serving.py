"""How fast the endpoint answers, beside scikit-learn's IsolationForest in the same run.

Both models are logged with MLflow and served as a user would, `mlflow models serve` with as many
workers and the same style of signature. The two take turns, block by block, so that a busy machine
is as busy for one as for the other; ratios are medians over the blocks. Then the endpoint of ours
gets a steady load of 80 % of what it has just shown it can take.
"""

import argparse
import http.client
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
import psutil
from mlflow.models import infer_signature
from sklearn.ensemble import IsolationForest

from anomdiff import TabularDetector
from anomdiff.integrations.mlflow.flavor import save_model
from benchmarks.tabular import count

OURS, OTHER = "anomdiff", "iforest"
N_CLIENTS, ROWS_PER_REQUEST = 4, 1_000
LOAD_SHARE, LOAD_PERIOD = 0.8, 10.0
START_SECONDS = 180
COLUMNS = ["measure", "model", "block", "value"]


class Endpoint(NamedTuple):
    """A server that runs.

    Attributes
    ----------
    port : int
        On 127.0.0.1.
    process : psutil.Process
        Parent of all its workers.
    """

    port: int
    process: psutil.Process

    def ask(self, connection: http.client.HTTPConnection, body: bytes) -> bool:
        """Send a request and read the answer; tell whether it was a good one."""
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200

    def connect(self) -> http.client.HTTPConnection:
        """Open a connection that stays."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def memory(self) -> float:
        """Resident memory of the server and its workers, in MiB."""
        family = [self.process, *self.process.children(recursive=True)]
        return sum(each.memory_info().rss for each in family) / 2**20


class Load(NamedTuple):
    """What came of a steady load, request by request.

    Attributes
    ----------
    moments : ndarray of shape (request,)
        Seconds from the start at which each was due.
    ms : ndarray of shape (request,)
        From when it was due until it was answered: waiting counts.
    good : bool ndarray of shape (request,)
        Whether it was answered with scores.
    """

    moments: np.ndarray
    ms: np.ndarray
    good: np.ndarray


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for; the last line holds both models' figures."""
    options = _parser().parse_args(argv)
    figures = measure(
        n_rows=options.rows,
        n_columns=options.columns,
        style=options.signature,
        n_workers=options.workers,
        n_blocks=options.blocks,
        block_seconds=options.block_seconds,
        load_seconds=options.load_seconds,
        params=options.params,
    )
    if options.out is not None:
        figures.to_csv(options.out, index=False)
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
    params: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Serve both models and measure them in turns.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the generated training table.
    style : {"columns", "tensor"}
        Signature of both models.
    n_workers : int
        Processes of each server.
    n_blocks : int
        Turns of each model, for latency and for throughput.
    block_seconds : float
        How long a turn takes.
    load_seconds : float
        How long the steady load goes on.
    params : mapping, optional
        Parameters of our detector that differ from its defaults.

    Returns
    -------
    figures : DataFrame
        Columns ``measure`` (with its unit), ``model``, ``block`` and ``value``.
    """
    train, fresh = (
        generate(n_rows, n_columns, seed=0),
        generate(ROWS_PER_REQUEST, n_columns, seed=1),
    )
    one, many = request(fresh[:1], style), request(fresh, style)
    figures: list[tuple] = []
    with tempfile.TemporaryDirectory() as folder, _all_stopped() as running:
        for name, path in save_models(train, style, Path(folder), params).items():
            start = time.perf_counter()
            running[name] = start_server(path, n_workers)
            figures.append(("cold start s", name, 0, time.perf_counter() - start))
        for endpoint in running.values():
            latencies(endpoint, many, 1.0)  # first requests are slower
        for block in range(n_blocks):
            for name, endpoint in running.items():
                ms = latencies(endpoint, one, block_seconds)
                figures.append(("one row p50 ms", name, block, np.median(ms)))
                figures.append(("one row p99 ms", name, block, np.quantile(ms, 0.99)))
        for block in range(n_blocks):
            for name, endpoint in running.items():
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


def save_models(
    train: pd.DataFrame, style: str, folder: Path, params: Mapping[str, Any] | None = None
) -> dict[str, Path]:
    """Fit and save both models, each with MLflow's flavor for it."""
    ours, other = folder / OURS, folder / OTHER
    detector = TabularDetector(**{"random_state": 0, "progress": False, **(params or {})})
    save_model(detector.fit(train), ours, signature=style)
    data = train if style == "columns" else train.to_numpy()
    forest = IsolationForest(n_estimators=100, random_state=0).fit(data)
    mlflow.sklearn.save_model(
        forest,
        other,
        signature=infer_signature(data, forest.predict(data)),
        skops_trusted_types=["sklearn.tree._tree.Tree"],
    )
    return {OURS: ours, OTHER: other}


def request(rows: pd.DataFrame, style: str) -> bytes:
    """JSON body of some rows."""
    if style == "tensor":
        return json.dumps({"inputs": rows.to_numpy().tolist()}).encode()
    split = {"columns": list(rows.columns), "data": rows.to_numpy().tolist()}
    return json.dumps({"dataframe_split": split}).encode()


def start_server(model: Path, n_workers: int) -> Endpoint:
    """Start `mlflow models serve` and wait until it answers."""
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model)]
    options = {"--host": "127.0.0.1", "--port": port, "--workers": n_workers}
    command += [str(part) for pair in options.items() for part in pair]
    scripts = Path(sys.executable).parent  # MLflow looks for uvicorn on the path
    environment = {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    process = psutil.Popen(
        [*command, "--env-manager", "local"],
        env={**environment, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = Endpoint(port, process)
    try:
        _wait_for(endpoint)
    except TimeoutError:
        stop_server(endpoint)
        raise
    return endpoint


def stop_server(endpoint: Endpoint) -> None:
    """End a server with all its workers."""
    family = [*endpoint.process.children(recursive=True), endpoint.process]
    for each in family:
        each.terminate()
    for left in psutil.wait_procs(family, timeout=10)[1]:
        left.kill()


def latencies(endpoint: Endpoint, body: bytes, seconds: float) -> np.ndarray:
    """Milliseconds of requests sent one after the other over one connection."""
    connection, ms, end = endpoint.connect(), [], time.perf_counter() + seconds
    while not ms or time.perf_counter() < end:
        start = time.perf_counter()
        if not endpoint.ask(connection, body):
            raise RuntimeError("need answers to measure; the endpoint refused a good request.")
        ms.append(1_000 * (time.perf_counter() - start))
    connection.close()
    return np.array(ms)


def rows_per_second(endpoint: Endpoint, body: bytes, seconds: float) -> float:
    """Rows answered per second with several clients that never pause."""
    start, counts = time.perf_counter(), [0] * N_CLIENTS

    def client(number: int) -> None:
        counts[number] = len(latencies(endpoint, body, seconds))

    _side_by_side(client)
    return ROWS_PER_REQUEST * sum(counts) / (time.perf_counter() - start)


def steady_load(endpoint: Endpoint, body: bytes, rate: float, seconds: float) -> Load:
    """Send requests at a rate, whether or not earlier ones are answered, up to one per client."""
    n_requests = max(N_CLIENTS, math.ceil(rate * seconds))
    due, done = np.arange(n_requests) / rate, np.zeros(n_requests)
    good, start = np.zeros(n_requests, dtype=bool), time.perf_counter()

    def client(number: int) -> None:
        connection = endpoint.connect()
        for i in range(number, n_requests, N_CLIENTS):
            time.sleep(max(0.0, start + due[i] - time.perf_counter()))
            try:
                good[i] = endpoint.ask(connection, body)
            except (OSError, http.client.HTTPException):
                connection = endpoint.connect()
            done[i] = time.perf_counter() - start
        connection.close()

    _side_by_side(client)
    return Load(due, 1_000 * (done - due), good)


def under_load(endpoint: Endpoint, body: bytes, rate: float, seconds: float) -> list[tuple]:
    """Errors, slowest answers and memory in each period of a steady load."""
    figures, load, memory = [("load requests/s", OURS, 0, rate)], [], {}
    worker = threading.Thread(
        target=lambda: load.append(steady_load(endpoint, body, rate, seconds))
    )
    worker.start()
    while worker.is_alive():
        memory[len(memory)] = endpoint.memory()
        worker.join(min(LOAD_PERIOD, seconds))
    period = (load[0].moments // LOAD_PERIOD).astype(int)
    for block in np.unique(period).tolist():
        chosen = period == block
        figures += [
            ("load errors", OURS, block, int((~load[0].good[chosen]).sum())),
            ("load p99 ms", OURS, block, float(np.quantile(load[0].ms[chosen], 0.99))),
            ("load memory MiB", OURS, block, memory.get(block, math.nan)),
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


@contextmanager
def _all_stopped() -> Iterator[dict[str, Endpoint]]:
    """Collect servers that are stopped at the end, whatever happens."""
    running: dict[str, Endpoint] = {}
    try:
        yield running
    finally:
        for endpoint in running.values():
            stop_server(endpoint)


def _side_by_side(client: Any) -> None:
    threads = [threading.Thread(target=client, args=(i,)) for i in range(N_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _wait_for(endpoint: Endpoint) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and endpoint.process.is_running():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=5)
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"need an endpoint within {START_SECONDS} s; there is none.")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, help="figures, a CSV")
    add("--rows", type=count, default=10_000, help="of the training table")
    add("--columns", type=count, default=30)
    add("--signature", choices=("columns", "tensor"), default="columns", help="of both models")
    add("--workers", type=count, default=1, help="of each endpoint")
    add("--blocks", type=count, default=6, help="turns of each model")
    add("--block-seconds", type=float, default=5.0)
    add("--load-seconds", type=float, default=60.0)
    add("--params", type=json.loads, default={}, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    main()
