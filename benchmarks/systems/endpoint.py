"""A served model: the process that serves it, and clients that measure how it answers."""

import http.client
import math
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

__all__ = ["Endpoint", "latencies", "rows_per_second", "serve", "steady_load"]

N_CLIENTS, ROWS_PER_REQUEST = 4, 1_000
START_SECONDS = 180


class Endpoint(NamedTuple):
    """A server on a port of 127.0.0.1, and the process that is the parent of its workers."""

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

    def family(self) -> list[psutil.Process]:
        """The server's workers, and itself."""
        return [*self.process.children(recursive=True), self.process]

    def memory(self) -> float:
        """Resident memory of the server and its workers, in MiB."""
        return sum(each.memory_info().rss for each in self.family()) / 2**20


class Load(NamedTuple):
    """What came of a steady load: one entry a request in each array.

    ``due`` is in seconds from the start, ``ms`` from then until it was answered (waiting counts),
    ``good`` tells whether it was answered with scores.
    """

    due: np.ndarray
    ms: np.ndarray
    good: np.ndarray


@contextmanager
def serve(model: Path, n_workers: int) -> Iterator[Endpoint]:
    """Run `mlflow models serve` as soon as it answers, and end it with all its workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(n_workers)]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "OMP_WAIT_POLICY": "PASSIVE"}
    process = psutil.Popen(
        [*command, "--env-manager", "local"],
        env={**quiet, **os.environ, "PATH": path},  # MLflow looks for uvicorn on the path
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    endpoint = Endpoint(port, process)
    try:
        _wait_for(endpoint)
        yield endpoint
    finally:
        family = endpoint.family()
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


def _side_by_side(client: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(N_CLIENTS) as pool:
        list(pool.map(client, range(N_CLIENTS)))


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
