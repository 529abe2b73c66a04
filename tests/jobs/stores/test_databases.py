"""Laws of tables in databases: read as files are, written once by key, and silent on passwords."""

import sqlite3
import traceback
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from anomdiff import TimeSeriesDetector
from anomdiff.jobs.errors import StoreError
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.readers import Table
from anomdiff.jobs.score import main as score_command
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import PromoteSettings, ScoreSettings
from anomdiff.jobs.stores.databases import SqlSource, SqlTarget, connected
from anomdiff.jobs.stores.upsert import upsert
from anomdiff.jobs.tables import sql_table
from anomdiff.jobs.train import train
from tests.series import panel
from tests.servers import free_port, postgres_server
from tests.settings import TINY_SERIES
from tests.tables import mixed_table

PASSWORD = "hush@/: %"
QUOTED = "hush%40%2F%3A%20%25"


@pytest.fixture(scope="module")
def postgres():
    """Address of a server that asks for the password."""
    with postgres_server("me", PASSWORD, "scram-sha-256") as uri:
        yield uri


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """Address of an empty database."""
    if request.param == "sqlite":
        (tmp_path / "rows.db").touch()
        yield f"sqlite:///{tmp_path / 'rows.db'}"
        return
    uri = request.getfixturevalue("postgres")
    with _engine(uri).begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    yield uri


@pytest.fixture(scope="module")
def sales():
    frame = mixed_table(300, seed=3).reset_index(drop=True)
    return frame.assign(id=2**60 + np.arange(300), name=[f"n{i % 9}" for i in range(300)])


def _engine(url):
    return sa.create_engine(SqlSource(url=url, table="t").address(), poolclass=sa.pool.NullPool)


def _fill(url, frame, name="sales"):
    with _engine(url).begin() as connection:
        frame.to_sql(name, connection, index=False)


def _run(url, statement):
    with _engine(url).begin() as connection:
        return connection.execute(sa.text(statement))


def _rows(url, name="scored"):
    with _engine(url).connect() as connection:
        return pd.read_sql_table(name, connection)


def _same(found, expected):
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_index_type=False)


@pytest.mark.parametrize("what", [{"table": "sales"}, {"query": "SELECT * FROM sales;"}])
def test_a_table_is_read_as_it_was_written(url, sales, what):
    _fill(url, sales)

    table = Table(SqlSource(url=url, order=["id"], **what))
    parts = list(table.batches(70))

    assert [len(part) for part in parts] == [70, 70, 70, 70, 20]
    read = table.read()
    if "sqlite" in url and "query" in what:  # has no such types, and a query does not declare them
        read["gift"], read["sold"] = read["gift"] == 1, pd.to_datetime(read["sold"])
        parts = [part.assign(gift=part.gift == 1, sold=pd.to_datetime(part.sold)) for part in parts]
    _same(read, sales)
    _same(pd.concat(parts), sales)
    assert read["id"].dtype == "int64"


def test_no_batch_decides_on_a_type(url):
    frame = pd.DataFrame({"id": range(60), "x": [None] * 30 + [1.5] * 30, "t": ["7"] * 60})
    _fill(url, frame)

    table = Table(SqlSource(url=url, table="sales"))

    assert {str(part["x"].dtype) for part in table.batches(10)} == {"float64"}
    assert {type(cell) for part in table.batches(10) for cell in part["t"]} == {str}


@pytest.mark.parametrize("as_query", [False, True])
def test_times_bound_the_rows_from_the_first_on_and_without_the_last(url, sales, as_query):
    _fill(url, sales)
    times = {"since": sales["sold"].sort_values().iloc[50], "until": pd.Timestamp("2025-03-20")}
    limits = "sold >= :since AND sold < :until"
    what = {"query": f"SELECT * FROM sales WHERE {limits}"} if as_query else {"table": "sales"}
    what |= {} if as_query else {"date": "sold"}

    found = Table(SqlSource(url=url, order=["id"], **times, **what)).read()

    expected = sales[(sales["sold"] >= times["since"]) & (sales["sold"] < times["until"])]
    assert 0 < len(expected) < 300
    assert found["id"].tolist() == expected["id"].tolist()


def test_only_the_columns_of_the_model_are_read(url, sales, tiny):
    _fill(url, sales)
    broken = "json('{' || id)" if "sqlite" in url else "1 / (id - id)"
    _run(url, f"CREATE VIEW wide AS SELECT *, {broken} AS broken FROM sales")
    source = SqlSource(url=url, table="wide")
    with pytest.raises(ValueError, match="malformed|division"):
        Table(source).read()

    rows, labels = read_model_rows(source, PromoteSettings(data=source), tiny)

    assert labels is None
    assert len(rows) == 300


def test_postgres_is_read_through_a_cursor(postgres):
    source = SqlSource(url=postgres, query="SELECT i FROM generate_series(1, 3000) AS s(i)")
    batches = Table(source).batches(100)

    next(batches)

    running = _run(postgres, "SELECT query FROM pg_stat_activity").scalars().all()
    assert any(query.startswith("FETCH FORWARD") for query in running)
    assert sum(map(len, batches)) == 2900


def _hang_up(url):
    """End all other connections, as a server does that is shut down."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    _run(url, f"{others} AND usename = 'me'")


def test_a_server_that_hangs_up_while_it_is_read_is_away(postgres):
    source = SqlSource(url=postgres, query="SELECT i FROM generate_series(1, 3000) AS s(i)")
    batches = Table(source).batches(100)
    next(batches)

    _hang_up(postgres)

    with pytest.raises(StoreError, match="need a database that answers"):
        list(batches)


def test_a_server_that_hangs_up_while_it_is_written_keeps_the_table(
    postgres, tmp_path, monkeypatch
):
    _run(postgres, "DROP TABLE IF EXISTS scored")
    target = SqlTarget(url=postgres, table="scored", key="id")
    _write(pd.DataFrame({"id": [1, 2], "score": [0.5, 0.9]}), tmp_path, target)
    before = _rows(postgres)
    insert = sa.insert
    monkeypatch.setattr(sa, "insert", lambda table: (_hang_up(postgres), insert(table))[1])

    with pytest.raises(StoreError, match="need a database that answers"):
        _write(pd.DataFrame({"id": [2, 3], "score": [1.5, 1.9]}), tmp_path, target)

    _same(_rows(postgres), before)


@pytest.mark.filterwarnings("ignore:columns")
def test_rows_score_the_same_in_a_database_as_in_a_file(url, sales, tiny, tmp_path):
    _fill(url, sales)
    sales.to_parquet(tmp_path / "sales.parquet")
    given = {"keep": ["id", "name"], "batch_size": 90}
    score(
        ScoreSettings(data=tmp_path / "sales.parquet", output=tmp_path / "a.parquet", **given), tiny
    )
    data = {"url": url, "table": "sales", "order": ["id"]}
    output = {"url": url, "table": "scored", "key": "id"}

    summary = score(ScoreSettings(data=data, output=output, **given), tiny)

    expected = pd.read_parquet(tmp_path / "a.parquet")
    found = _rows(url).sort_values("id", ignore_index=True)[list(expected)]
    _same(found, expected)
    assert summary["rows"] == 300
    assert QUOTED not in str(summary)


@pytest.mark.filterwarnings("ignore:columns")
def test_mixed_series_of_a_database_are_scored_whole(url, tmp_path):
    steps = panel(60, seed=5).sample(frac=1.0, random_state=0, ignore_index=True)
    _fill(url, steps)
    steps.to_parquet(tmp_path / "steps.parquet")
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    detector.fit(panel(120, seed=0))
    files = {"data": tmp_path / "steps.parquet", "output": tmp_path / "a.parquet"}
    output = {"url": url, "table": "scored", "key": ["host", "time"]}

    score(ScoreSettings(**files, batch_size=70), detector)
    data = {"url": url, "table": "sales"}
    score(ScoreSettings(data=data, output=output, batch_size=70), detector)

    expected = pd.read_parquet(tmp_path / "a.parquet").sort_values(["host", "time"])
    found = _rows(url).sort_values(["host", "time"])[list(expected)]
    _same(found.drop(columns="row"), expected.drop(columns="row"))


def _write(frame, tmp_path, target):
    frame.to_parquet(tmp_path / "rows.parquet", index=False)
    return upsert(tmp_path / "rows.parquet", target)


def test_rows_replace_those_of_their_key_as_in_a_dictionary(url, tmp_path):
    rng = np.random.default_rng(0)
    target = SqlTarget(url=url, table="scored", key=["day", "id"])
    expected = {}
    for _ in range(5):
        keys = rng.choice(60, 25, replace=False)
        frame = pd.DataFrame({"day": keys // 20, "id": keys % 20, "score": rng.normal(size=25)})

        assert _write(frame, tmp_path, target) == 25

        expected |= {(day, i): value for day, i, value in frame.itertuples(index=False)}
        found = {(day, i): value for day, i, value in _rows(url).itertuples(index=False)}
        assert found == expected
        assert len(_rows(url)) == len(expected)


def test_a_table_without_a_primary_key_and_with_more_columns_keeps_them(url, tmp_path):
    _run(url, "CREATE TABLE scored (verdict TEXT, id BIGINT, score DOUBLE PRECISION)")
    _run(url, "INSERT INTO scored VALUES ('false alarm', 1, 0.5), ('right', 7, 0.9)")
    target = SqlTarget(url=url, table="scored", key="id")

    _write(pd.DataFrame({"id": [1, 2], "score": [1.5, 2.5]}), tmp_path, target)

    found = _rows(url).sort_values("id").to_dict("list")
    assert found["id"] == [1, 2, 7]
    assert found["score"] == [1.5, 2.5, 0.9]
    assert found["verdict"][::2] == ["false alarm", "right"]
    assert pd.isna(found["verdict"][1])


def test_missing_cells_and_texts_arrive_as_they_are(url, tmp_path):
    text = ["\\N", "", None, "a\tb\n'\";--", "é\U0001f600"]
    frame = pd.DataFrame({"id": range(5), "text": text, "x": [1.0, np.nan, -0.5, 1e300, 0.1]})
    frame["at"] = pd.to_datetime(["2025-01-01 10:00:00.123456", None, None, None, None])
    frame["flag"] = pd.array([True, False, None, None, True], "boolean")

    _write(frame, tmp_path, SqlTarget(url=url, table="scored", key="id"))

    found = _rows(url).sort_values("id", ignore_index=True)
    assert [None if pd.isna(cell) else cell for cell in found["text"]] == text
    assert found["x"].tolist()[2:] == frame["x"].tolist()[2:]
    assert found["x"].isna().tolist() == frame["x"].isna().tolist()
    assert found["at"].tolist()[0] == frame["at"].tolist()[0]
    assert [None if pd.isna(cell) else bool(cell) for cell in found["flag"]] == [
        True,
        False,
        None,
        None,
        True,
    ]


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (pd.DataFrame({"id": [1, 2, 1], "score": 1.0}), r"\(1,\) is there more than once"),
        (pd.DataFrame({"id": [1, None], "score": 1.0}), "1 rows have none"),
        (pd.DataFrame({"key": [1], "score": 1.0}), r"need the key columns \['id'\]"),
        (pd.DataFrame({"id": [1], "other": 1.0}), r"need columns \['other'\]"),
    ],
)
def test_rows_that_cannot_be_written_leave_the_table_as_it_was(url, tmp_path, frame, sentence):
    target = SqlTarget(url=url, table="scored", key="id")
    _write(pd.DataFrame({"id": [1, 5], "score": [0.5, 0.9]}), tmp_path, target)
    before = _rows(url)

    with pytest.raises(ValueError, match=sentence):
        _write(frame, tmp_path, target)

    _same(_rows(url), before)


def test_a_table_that_was_not_there_is_not_left_behind_by_a_failure(url, tmp_path):
    target = SqlTarget(url=url, table="scored", key="id")

    with pytest.raises(ValueError, match="more than once"):
        _write(pd.DataFrame({"id": [1, 1]}), tmp_path, target)

    assert sa.inspect(_engine(url)).get_table_names() == []


@pytest.mark.filterwarnings("ignore:columns")
def test_a_night_that_is_scored_again_replaces_its_rows_only(url, sales, tiny):
    _fill(url, sales)
    output = {"url": url, "table": "scored", "key": ["batch_date", "id"]}
    data = {"url": url, "table": "sales"}
    for day in ("2026-01-01", "2026-01-02", "2026-01-01"):
        score(ScoreSettings(data=data, output=output, batch_date=day), tiny)

    found = _rows(url)

    counts = pd.to_datetime(found["batch_date"]).dt.strftime("%Y-%m-%d").value_counts()
    assert counts.to_dict() == {"2026-01-01": 300, "2026-01-02": 300}


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


def _shown(error):
    return "".join(traceback.format_exception(error))


def test_a_wrong_password_is_one_sentence_without_it(postgres):
    wrong = postgres.replace(QUOTED, "not%2Fhush")

    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Table(SqlSource(url=wrong, table="sales"))

    assert "hush" not in _shown(caught.value)
    assert "me:***@127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("end", ["data", "output"])
def test_the_command_says_what_is_away_and_hides_the_password(
    end, tiny, sales, tmp_path, monkeypatch
):
    sales.to_parquet(tmp_path / "sales.parquet")
    url = f"postgresql://me:hush@127.0.0.1:{free_port()}/db"
    key = ', key = "id"' if end == "output" else ""
    given = {
        "data": f'"{tmp_path}/sales.parquet"',
        "output": f'"{tmp_path}/scored.parquet"',
        end: f'{{url = "{url}", table = "t"{key}}}',
    }
    settings = tmp_path / "score.toml"
    settings.write_text("".join(f"{key} = {value}\n" for key, value in given.items()))
    monkeypatch.setattr("anomdiff.jobs.score._load", lambda uri: (tiny, {"uri": uri}))

    result = CliRunner().invoke(score_command, [str(settings)])

    assert result.exit_code == 1
    assert "need a database that answers at postgresql://me:***@127.0.0.1" in result.output
    assert "refused" in result.output
    assert "hush" not in result.output + _shown(result.exception)
    assert not (tmp_path / "scored.parquet").exists()


def test_training_from_a_database_logs_no_password(postgres, sales, mlflow_store, tmp_path):
    import mlflow

    from anomdiff.jobs.settings import TrainSettings

    _run(postgres, "DROP TABLE IF EXISTS training")
    _fill(postgres, sales, "training")
    detector = {"max_iter": 20, "width": 16, "n_blocks": 1, "random_state": 0, "progress": False}
    data = {"url": postgres, "table": "training", "order": ["id"]}

    report = train(TrainSettings(data=data, drop=["id", "name"], detector=detector))

    assert report.n_rows == 300
    run = mlflow.get_run(report.run_id)
    assert "training" in run.data.params["job.data"]
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (QUOTED, PASSWORD):
        assert secret not in str(run.to_dictionary())
        assert not any(secret.encode() in content for content in stored)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"table": "nowhere"}, "there is no such table nowhere"),
        ({"query": "SELECT * FRM sales"}, "syntax"),
        ({"table": "sales", "order": ["nothing"]}, "need the column 'nothing'"),
    ],
)
def test_what_a_database_refuses_is_one_sentence(url, sales, given, sentence):
    _fill(url, sales)

    with pytest.raises(ValueError, match=sentence) as caught:
        Table(SqlSource(url=url, **given)).read()

    assert not isinstance(caught.value, StoreError)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_not_made(tmp_path):
    source = SqlSource(url=f"sqlite:///{tmp_path / 'rows.db'}", table="sales")

    with pytest.raises(FileNotFoundError, match="there is no file"):
        Table(source)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nothing://host/db", "need a driver for nothing://"),
        ("mysql+nothing://me:hush@host/db", r"need a driver for mysql\+nothing://"),
    ],
)
def test_a_driver_that_is_missing_is_named(url, sentence):
    with pytest.raises(ValueError, match=sentence), connected(SqlSource(url=url, table="t")):
        pass
