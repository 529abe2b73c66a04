"""The Spark session of a job: the one that is there, or a new one; and its errors as sentences."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["session", "told"]

# What stands at the end of a Python worker's stack trace.
OF_A_WORKER = re.compile(r"^\s*(?:ValueError|TypeError): (.+)$", re.MULTILINE)
NOT_THERE = "PATH_NOT_FOUND", "TABLE_OR_VIEW_NOT_FOUND", "FileNotFoundException"
NO_SOURCE = "DATA_SOURCE_NOT_FOUND", "Failed to find the data source"
UNREADABLE = (
    *("FAILED_READ_FILE", "MALFORMED_RECORD", "CANNOT_MERGE_SCHEMA", "CANNOT_READ_FILE_FOOTER"),
    *("PARQUET_", "is not a Parquet file", "Illegal Parquet type", "Malformed", "CSV header does"),
)
MAX_REASON = 200  # characters of what Spark has said


@contextmanager
def session(
    master: str | None,
    packages: Sequence[str],
    config: Mapping[str, str],
    of_the_job: Mapping[str, str],
) -> "Iterator[SparkSession]":
    """Yield a session: the active one or that of spark-submit if there is one, else a new one.

    Parameters
    ----------
    master : str, optional
        Where Spark runs, such as `local[4]`; as Spark is set up if not given.
    packages : sequence of str
        Maven coordinates of what Spark is to load; an active session has its own.
    config : mapping
        Further configuration.
    of_the_job : mapping
        Configuration of SQL that holds while the block runs; a session that was there before has
        its own again afterwards.

    Raises
    ------
    ImportError
        If pyspark or Java is not installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise ImportError("need pyspark; pip install 'anomdiff[spark]'.") from None

    began = int(time.time() * 1000)
    active = SparkSession.getActiveSession()
    builder = SparkSession.builder.appName("anomdiff")
    given = {"spark.ui.showConsoleProgress": str(sys.stderr.isatty()).lower()}
    given |= {"spark.jars.packages": ",".join(packages)} if packages else {}
    for name, value in {**given, **config}.items():
        builder = builder.config(name, value)
    found = active or _started(builder if master is None else builder.master(master))
    is_new = found.sparkContext.startTime >= began
    before: dict[str, str | None] = {name: found.conf.get(name, None) for name in of_the_job}
    try:
        for name, value in of_the_job.items():
            found.conf.set(name, value)
        yield found
    finally:
        for name, earlier in before.items():
            found.conf.unset(name) if earlier is None else found.conf.set(name, earlier)
        if is_new:
            found.stop()


@contextmanager
def told() -> Iterator[None]:
    """Say in one sentence what Spark says in many lines.

    Raises
    ------
    FileNotFoundError
        If there is no such file or table.
    ImportError
        If the session lacks what a format needs.
    ValueError
        If the data cannot be read or scored. Any other error stays as it is.
    """
    try:
        yield
    except Exception as error:
        is_of_spark = type(error).__module__.startswith(("pyspark.", "py4j."))
        found = _sentence(str(error)) if is_of_spark else None
        if found is None:
            raise
        raise found from None


def _started(builder: "SparkSession.Builder") -> "SparkSession":
    """Start a session whose local workers run this interpreter."""
    from pyspark.errors import PySparkException

    submitted = "PYSPARK_GATEWAY_PORT" in os.environ  # spark-submit has a JVM already
    if not submitted and shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise ImportError("need Java 17 or 21 for Spark; got none: install it, or set JAVA_HOME.")
    if not submitted:
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    try:
        found = builder.getOrCreate()
    except PySparkException as error:
        if "JAVA_GATEWAY_EXITED" not in str(error):
            raise
        raise ImportError(
            "need Java 17 or 21 that starts Spark; got a JVM that ended at once: look at what it "
            "says above, at JAVA_HOME, and at `packages` and `config` of [spark]."
        ) from None
    found.sparkContext.setLogLevel("FATAL")  # what fails is told in one sentence
    return found


def _sentence(said: str) -> Exception | None:
    """Return the error that Spark's words stand for; None if they are not known."""
    if found := OF_A_WORKER.findall(said):
        return ValueError(found[-1].strip())
    reason = " ".join(said.split())[:MAX_REASON]
    if any(mark in said for mark in NOT_THERE):
        return FileNotFoundError(f"need a table that Spark finds; got {reason!r}.")
    if any(mark in said for mark in NO_SOURCE):
        return ImportError(f"need a Spark session with the format's package; got {reason!r}.")
    if any(mark in said for mark in UNREADABLE):
        return ValueError(f"need files that Spark can read; got {reason!r}.")
    return None
