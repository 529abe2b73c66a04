"""A PostgreSQL server of our own on 127.0.0.1, which can be killed and started again."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg

__all__ = ["PostgresServer", "free_port", "postgres_programs"]

SECONDS_TO_ANSWER = 60


class PostgresServer:
    """An empty database in a folder, with one user.

    Parameters
    ----------
    folder : Path
        Where the database lies, and its log.
    user, password, method : str
        Who may connect, and how PostgreSQL asks (``trust``, ``scram-sha-256``).

    Attributes
    ----------
    uri : str
        Address of the database.

    Raises
    ------
    FileNotFoundError
        If PostgreSQL is not installed.
    """

    def __init__(self, folder: Path, user: str, password: str, method: str = "trust"):
        programs = postgres_programs()
        if programs is None:
            raise FileNotFoundError("need initdb and postgres of PostgreSQL; there are none.")
        cluster, port = folder / "cluster", free_port()
        secret = folder / "password"
        secret.write_text(password)
        initdb: list[Any] = [programs / "initdb", "-D", cluster, "-U", user, "-A", method, "-N"]
        quiet = subprocess.DEVNULL
        subprocess.run(
            [*initdb, "--pwfile", secret], check=True, stdout=quiet, cwd=folder, **_user()
        )
        command: list[Any] = [programs / "postgres", "-D", cluster, "-p", str(port), "-k", folder]
        self._command, self._folder = [*command, "-F", "-h", "127.0.0.1"], folder
        self.uri = f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{port}/postgres"
        self.start()

    @classmethod
    @contextmanager
    def running(
        cls, user: str = "mlflow", password: str = "secret", method: str = "trust"
    ) -> Iterator["PostgresServer"]:
        """Yield a server in a temporary folder, and stop it in the end."""
        with tempfile.TemporaryDirectory(prefix="anomdiff-pg-") as folder:
            os.chmod(folder, 0o777)  # the server runs as another user
            server = cls(Path(folder), user, password, method)
            try:
                yield server
            finally:
                server.stop()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        quiet = subprocess.DEVNULL
        options: dict[str, Any] = {"cwd": self._folder, "stdout": quiet, "stderr": quiet}
        self._process = subprocess.Popen(self._command, **options, **_user())
        stop = time.monotonic() + SECONDS_TO_ANSWER
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > stop:
                raise RuntimeError("need a server that answers; PostgreSQL does not.")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, and the connections of its clients."""
        self._process.send_signal(signal.SIGINT)  # SIGTERM would wait for the clients
        self._process.wait(timeout=SECONDS_TO_ANSWER)

    def kill(self) -> None:
        """End all of its processes as a power cut does."""
        several = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for each in several:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self._process.wait()
        psutil.wait_procs(several, timeout=SECONDS_TO_ANSWER)

    def answers(self) -> bool:
        """Tell whether it lets a client in."""
        try:
            psycopg.connect(self.uri, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def postgres_programs() -> Path | None:
    """Folder of initdb and postgres; None where they are not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _user() -> dict[str, Any]:
    """User and group to run the server as: it refuses to be root."""
    return {} if os.getuid() else {"user": "nobody", "group": "nogroup", "extra_groups": []}
