"""A Spark session for tests, shared by all of them."""

import os
import shutil
import sys

import pytest

__all__ = ["spark"]

SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "UTC",
    # A short life: compiling well costs more than it brings.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A Spark session with one worker, because every further one imports torch again."""
    sql = pytest.importorskip("pyspark.sql", reason="needs pyspark")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("needs Java")
    workers = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in workers.items():
            patch.setenv(name, value)
        builder = sql.SparkSession.builder.master("local[1]")
        for name, value in SETTINGS.items():
            builder = builder.config(name, value)
        warehouse = tmp_path_factory.mktemp("warehouse")
        session = builder.config("spark.sql.warehouse.dir", str(warehouse)).getOrCreate()
        session.sparkContext.setLogLevel("OFF")  # the tests provoke errors
        yield session
        session.stop()
