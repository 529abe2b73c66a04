"""What tests of databases share: reading and writing them without the jobs, and passwords."""

import traceback

import pandas as pd
import sqlalchemy as sa

from anomdiff.jobs.stores.databases import SqlSource
from anomdiff.jobs.stores.upsert import upsert

PASSWORD = "hush@/: %"
QUOTED = "hush%40%2F%3A%20%25"


def engine(url):
    return sa.create_engine(SqlSource(url=url, table="t").address(), poolclass=sa.pool.NullPool)


def fill(url, frame, name="sales"):
    with engine(url).begin() as connection:
        frame.to_sql(name, connection, index=False)


def run(url, statement):
    with engine(url).begin() as connection:
        return connection.execute(sa.text(statement))


def rows_of(url, name="scored"):
    with engine(url).connect() as connection:
        if "duckdb" in url:  # whose tables SQLAlchemy cannot describe
            return pd.read_sql_query(sa.text(f"SELECT * FROM {name}"), connection)
        return pd.read_sql_table(name, connection)


def assert_same(found, expected):
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_index_type=False)


def hang_up(url):
    """End all other connections, as a server does that is shut down."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    run(url, f"{others} AND usename = 'me'")


def write(frame, tmp_path, target):
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    return upsert(tmp_path / "rows.parquet", target)


def traceback_of(error):
    return "".join(traceback.format_exception(error))
