"""What a user is told of a database that is away or refuses: one sentence, no password."""

import pytest
from click.testing import CliRunner

from anomdiff.jobs.errors import StoreError
from anomdiff.jobs.exit_codes import ExitCode
from anomdiff.jobs.readers import Table
from anomdiff.jobs.score import main as score_command
from anomdiff.jobs.settings import TrainSettings
from anomdiff.jobs.stores.databases import SqlSource, connected
from anomdiff.jobs.train import train
from benchmarks.common.postgres import free_port
from tests.jobs.stores.sql import PASSWORD, QUOTED, fill, hang_up, run, traceback_of
from tests.settings import TINY


def test_a_server_that_hangs_up_while_it_is_read_is_away(postgres):
    source = SqlSource(url=postgres, query="SELECT i FROM generate_series(1, 3000) AS s(i)")
    batches = Table(source).batches(100)
    next(batches)

    hang_up(postgres)

    with pytest.raises(StoreError, match="need a database that answers"):
        list(batches)


def test_a_wrong_password_is_one_sentence_without_it(postgres):
    wrong = postgres.replace(QUOTED, "not%2Fhush")

    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Table(SqlSource(url=wrong, table="sales"))

    assert "hush" not in traceback_of(caught.value)
    assert "me:***@127.0.0.1" in str(caught.value)


def test_training_from_a_database_logs_no_password(postgres, sales, mlflow_store, tmp_path):
    import mlflow

    run(postgres, "DROP TABLE IF EXISTS training")
    fill(postgres, sales, "training")
    data = {"url": postgres, "table": "training", "order": ["id"]}

    report = train(TrainSettings(data=data, drop=["id", "name"], detector=TINY))

    assert report.n_rows == 300
    logged = mlflow.get_run(report.run_id)
    assert "training" in logged.data.params["job.data"]
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (QUOTED, PASSWORD):
        assert secret not in str(logged.to_dictionary())
        assert not any(secret.encode() in content for content in stored)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"table": "nowhere"}, "table .*nowhere"),
        ({"query": "SELECT * FRM sales"}, "syntax"),
        ({"table": "sales", "order": ["nothing"]}, "need the column 'nothing'"),
    ],
)
def test_what_a_database_refuses_is_one_sentence(url, sales, given, sentence):
    fill(url, sales)

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


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (None, "the environment variable WAREHOUSE; it is not set"),
        ("no address", "this one cannot be read"),
        ("nothing://host/db", "need a driver for nothing://"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_mistake_of_settings(
    address, sentence, tmp_path, monkeypatch
):
    monkeypatch.setenv("WAREHOUSE", address or "")
    settings = tmp_path / "score.toml"
    settings.write_text('data = {url_env = "WAREHOUSE", table = "t"}\noutput = "o.parquet"\n')

    result = CliRunner().invoke(score_command, [str(settings)])

    assert result.exit_code == ExitCode.SETTINGS, result.output
    assert sentence in result.output


@pytest.mark.parametrize("end", ["data", "output"])
def test_the_command_says_what_is_away_without_a_password(end, tiny, sales, tmp_path, monkeypatch):
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
    monkeypatch.setattr("anomdiff.jobs.score.resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr("anomdiff.jobs.score.load_registered", lambda uri: tiny)

    result = CliRunner().invoke(score_command, [str(settings)])

    assert result.exit_code in (ExitCode.STORE, ExitCode.DATA, ExitCode.SETTINGS)
    assert "need a database that answers at postgresql://me:***@127.0.0.1" in result.output
    assert "refused" in result.output
    assert "hush" not in result.output + traceback_of(result.exception)
    assert not (tmp_path / "scored.parquet").exists()
