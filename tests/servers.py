"""Servers of our own, on 127.0.0.1 and a free port: PostgreSQL, and an object store like S3."""

import signal
import subprocess
import time
from contextlib import contextmanager

import pytest

from benchmarks.common.postgres import PostgresServer, free_port, postgres_programs

__all__ = ["postgres_server", "running", "s3_server", "wait_until"]


@contextmanager
def running(command, **options):
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would let PostgreSQL wait for its clients
        process.wait(timeout=60)


def wait_until(answers, process):
    for _ in range(600):
        if process.poll() is not None or answers():
            break
        time.sleep(0.1)
    assert process.poll() is None, "the server has stopped"


@contextmanager
def postgres_server(user="mlflow", password="secret", method="trust"):
    """Yield the URI of an empty database; skip the test where the server is not installed."""
    if postgres_programs() is None:
        pytest.skip("need PostgreSQL's initdb and postgres; they are not installed")
    with PostgresServer.running(user, password, method) as server:
        yield server.uri


@contextmanager
def s3_server(bucket, endpoint_variable):
    """Yield the address of an empty bucket; the environment says where its server is."""
    server = pytest.importorskip("moto.server")
    import boto3

    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    variables = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        endpoint_variable: endpoint,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        threaded = server.ThreadedMotoServer("127.0.0.1", port, verbose=False)
        threaded.start()
        boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=bucket)
        yield f"s3://{bucket}"
        threaded.stop()
