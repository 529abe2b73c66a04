"""Databases for tests: SQLite, a server of PostgreSQL, and DuckDB where it is installed."""

import numpy as np
import pytest
import sqlalchemy as sa

from tests.jobs.stores.sql import PASSWORD, engine
from tests.servers import postgres_server
from tests.tables import mixed_table


@pytest.fixture(scope="session")
def postgres():
    """Address of a server that asks for the password."""
    with postgres_server("me", PASSWORD, "scram-sha-256") as uri:
        yield uri


@pytest.fixture(params=["sqlite", "postgres", "duckdb"])
def url(request, tmp_path):
    """Address of an empty database."""
    if request.param == "sqlite":
        (tmp_path / "rows.db").touch()
        yield f"sqlite:///{tmp_path / 'rows.db'}"
        return
    if request.param == "duckdb":
        pytest.importorskip("duckdb_engine", reason="need duckdb-engine; it is not installed")
        yield f"duckdb:///{tmp_path / 'rows.duckdb'}"
        return
    uri = request.getfixturevalue("postgres")
    with engine(uri).begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    yield uri


@pytest.fixture(scope="session")
def sales():
    frame = mixed_table(300, seed=3).reset_index(drop=True)
    return frame.assign(id=2**60 + np.arange(300), name=[f"n{i % 9}" for i in range(300)])
