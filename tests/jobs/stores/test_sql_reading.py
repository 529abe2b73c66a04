"""Laws of tables in databases: they are read as files are."""

import sqlite3
from contextlib import closing

import pandas as pd
import pytest

from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.readers import Table
from anomdiff.jobs.settings import PromoteSettings
from anomdiff.jobs.stores.databases import SqlSource
from anomdiff.jobs.tables import sql_table
from tests.jobs.stores.sql import assert_same, fill, run


@pytest.mark.parametrize("what", [{"table": "sales"}, {"query": "SELECT * FROM sales;"}])
def test_a_table_is_read_as_it_was_written(url, sales, what):
    fill(url, sales)

    table = Table(SqlSource(url=url, order=["id"], **what))
    parts = list(table.batches(70))

    assert [len(part) for part in parts] == [70, 70, 70, 70, 20]
    read = table.read()
    if "sqlite" in url and "query" in what:  # has no such types, and a query does not declare them
        read["gift"], read["sold"] = read["gift"] == 1, pd.to_datetime(read["sold"])
        parts = [part.assign(gift=part.gift == 1, sold=pd.to_datetime(part.sold)) for part in parts]
    assert_same(read, sales)
    assert_same(pd.concat(parts), sales)
    assert read["id"].dtype == "int64"


def test_no_batch_decides_on_a_type(url):
    frame = pd.DataFrame({"id": range(60), "x": [None] * 30 + [1.5] * 30, "t": ["7"] * 60})
    fill(url, frame)

    table = Table(SqlSource(url=url, table="sales"))

    assert {str(part["x"].dtype) for part in table.batches(10)} == {"float64"}
    assert {type(cell) for part in table.batches(10) for cell in part["t"]} == {str}


@pytest.mark.parametrize("as_query", [False, True])
def test_times_bound_the_rows_from_the_first_on_and_without_the_last(url, sales, as_query):
    fill(url, sales)
    times = {"since": sales["sold"].sort_values().iloc[50], "until": pd.Timestamp("2025-03-20")}
    limits = "sold >= :since AND sold < :until"
    what = {"query": f"SELECT * FROM sales WHERE {limits}"} if as_query else {"table": "sales"}
    what |= {} if as_query else {"date": "sold"}

    found = Table(SqlSource(url=url, order="id", **times, **what)).read()

    expected = sales[(sales["sold"] >= times["since"]) & (sales["sold"] < times["until"])]
    assert 0 < len(expected) < 300
    assert found["id"].tolist() == expected["id"].tolist()


def test_only_the_columns_of_the_model_are_read(url, sales, tiny):
    if "duckdb" in url:
        pytest.skip("its types are those of the first rows, which are read whole")
    fill(url, sales)
    broken = "json('{' || id)" if "sqlite" in url else "CAST('x' || id AS INTEGER)"
    run(url, f"CREATE VIEW wide AS SELECT *, {broken} AS broken FROM sales")
    source = SqlSource(url=url, table="wide")
    with pytest.raises(ValueError, match="malformed|invalid input|Could not convert"):
        Table(source).read()

    rows, labels = read_model_rows(source, PromoteSettings(data=source), tiny)

    assert labels is None
    assert len(rows) == 300


def test_postgres_is_read_through_a_cursor(postgres):
    source = SqlSource(url=postgres, query="SELECT i FROM generate_series(1, 3000) AS s(i)")
    batches = Table(source).batches(100)

    next(batches)

    running = run(postgres, "SELECT query FROM pg_stat_activity").scalars().all()
    assert any(query.startswith("FETCH FORWARD") for query in running)
    assert sum(map(len, batches)) == 2900


def test_cells_of_another_type_than_their_column_are_told(tmp_path):
    with closing(sqlite3.connect(tmp_path / "rows.db")) as store, store:
        store.execute("CREATE TABLE sales (id INTEGER, x REAL)")
        store.executemany("INSERT INTO sales VALUES (?, ?)", [(1, 0.5), (2, "much")])
    source = SqlSource(url=f"sqlite:///{tmp_path / 'rows.db'}", table="sales")

    with pytest.raises(ValueError, match="need cells of type double in column 'x'.*got 'much'"):
        Table(source).read()


def test_the_first_rows_of_a_query_say_of_which_type_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(sql_table, "SAMPLE_ROWS", 2)
    with closing(sqlite3.connect(tmp_path / "rows.db")) as store, store:
        store.execute("CREATE TABLE sales (a, b, c)")
        store.executemany(
            "INSERT INTO sales VALUES (?, ?, ?)", [(1, 1, 1), (2, 2.5, "x"), (3, 3, 4)]
        )
    source = SqlSource(url=f"sqlite:///{tmp_path / 'rows.db'}", query="SELECT * FROM sales")

    frame = Table(source).read()

    assert frame.to_dict("list") == {"a": [1, 2, 3], "b": [1.0, 2.5, 3.0], "c": ["1", "x", "4"]}
