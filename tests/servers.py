"""Servers of our own, on 127.0.0.1 and a free port: PostgreSQL, and an object store like S3."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

__all__ = ["free_port", "postgres_server", "running", "s3_server", "wait_until"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


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
    programs = _programs()
    if programs is None:
        pytest.skip("need PostgreSQL's initdb and postgres; they are not installed")
    psycopg = pytest.importorskip("psycopg")
    # Not below pytest's folders, which other users cannot enter.
    with tempfile.TemporaryDirectory(prefix="anomdiff-pg-") as folder:
        os.chmod(folder, 0o777)
        cluster, port, quiet = f"{folder}/cluster", free_port(), subprocess.DEVNULL
        secret = Path(folder) / "password"
        secret.write_text(password)
        initdb = [programs / "initdb", "-D", cluster, "-U", user, "-A", method, "-N"]
        initdb += ["--pwfile", secret]
        subprocess.run(initdb, check=True, stdout=quiet, cwd=folder, **_user())
        server = [programs / "postgres", "-D", cluster, "-p", str(port), "-k", folder, "-F"]
        with running([*server, "-h", "127.0.0.1"], cwd=folder, **_user()) as process:
            uri = f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{port}/postgres"
            wait_until(lambda: _connects(psycopg, uri), process)
            yield uri


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


def _programs():
    """Folder of initdb and postgres."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def _user():
    """User and group to run the server as: it refuses to be root."""
    return {} if os.getuid() else {"user": "nobody", "group": "nogroup", "extra_groups": []}


def _connects(psycopg, uri):
    try:
        psycopg.connect(uri, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
