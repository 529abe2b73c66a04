"""Laws of tables in an object store, on a server of our own: the same as in a folder."""

import gzip
import io
import zipfile
from pathlib import Path

import boto3
import pandas as pd
import pytest
from click.testing import CliRunner

from anomdiff.jobs.batch.places import output_of, summary_of
from anomdiff.jobs.errors import StoreError
from anomdiff.jobs.readers import Table
from anomdiff.jobs.score import main as score_command
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.stores.locations import as_location
from anomdiff.jobs.writers import atomic_paths
from benchmarks.common.postgres import free_port
from tests.servers import s3_server
from tests.tables import mixed_table

BUCKET = "tables"


@pytest.fixture(scope="module")
def server():
    with s3_server(BUCKET, "AWS_ENDPOINT_URL") as uri:
        yield uri


@pytest.fixture
def bucket(server):
    """Address of a bucket without objects."""
    for each in _objects():
        boto3.client("s3").delete_object(Bucket=BUCKET, Key=each)
    return server


@pytest.fixture(scope="module")
def sales():
    return mixed_table(200, seed=3).reset_index(drop=True).assign(id=range(200))


def _objects():
    found = boto3.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
    return [each["Key"] for each in found]


def _put(key, content):
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=content)


def _content(key):
    return boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()


def _zipped(content):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", content)
    return packed.getvalue()


def _files(frame):
    """Content of files of several kinds, with partitions and what lies beside data."""
    text = frame.to_csv(index=False).encode()
    half = [frame[:90].to_parquet(), frame[90:].to_parquet()]
    return {
        "text/a.csv": text,
        "packed/a.csv.gz": gzip.compress(text),
        "zip/a.zip": _zipped(text),
        "lines/a.jsonl": frame.to_json(orient="records", lines=True).encode(),
        "parts/day=1/part-0.parquet": half[0],
        "parts/day=2/part-0.parquet": half[1],
        "parts/day=2/_SUCCESS": b"",
        "parts/day=2/other.parquet": frame[:7].to_parquet(),
    }


@pytest.mark.parametrize(
    "place",
    [
        "text/a.csv",
        "text",
        "packed/a.csv.gz",
        "zip/a.zip",
        "lines/a.jsonl",
        "parts",
        "parts/day=2",
        "parts/day=*/part-*.parquet",
        "parts/**/part-?.parquet",
        "parts/day=[1]/*",
        "parts/day=*",
    ],
)
def test_a_table_is_read_from_a_store_as_from_a_folder(bucket, sales, tmp_path, place):
    for name, content in _files(sales).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        _put(name, content)

    remote, local = Table(f"{bucket}/{place}"), Table(tmp_path / place)

    assert remote.names == local.names
    pd.testing.assert_frame_equal(remote.read(), local.read())
    pd.testing.assert_frame_equal(
        pd.concat(remote.batches(70)), pd.concat(local.batches(70)), check_dtype=False
    )


@pytest.mark.filterwarnings("ignore:columns")
def test_scores_from_and_to_a_store_are_those_of_local_files(bucket, sales, tiny, tmp_path):
    sales.to_parquet(tmp_path / "sales.parquet")
    _put("in/sales.parquet", (tmp_path / "sales.parquet").read_bytes())
    local = ScoreSettings(data=tmp_path / "sales.parquet", output=tmp_path / "scored.parquet")
    remote = ScoreSettings(data=f"{bucket}/in", output=f"{bucket}/out/scored.parquet")

    summary, expected = score(remote, tiny), score(local, tiny)

    assert _objects() == ["in/sales.parquet", "out/scored.parquet", "out/scored.summary.json"]
    assert _content("out/scored.parquet") == (tmp_path / "scored.parquet").read_bytes()
    assert summary["score_quantiles"] == expected["score_quantiles"]
    assert summary["output"] == f"{bucket}/out/scored.parquet"
    assert not list(Path.cwd().glob("s3*"))


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.parametrize("where", ["local", "store"])
def test_days_lie_side_by_side_in_one_folder_that_is_a_table(bucket, sales, tiny, tmp_path, where):
    sales.to_csv(tmp_path / "sales.csv", index=False)
    output = f"{bucket}/scored" if where == "store" else str(tmp_path / "scored")
    for day in ("2026-01-01", "2026-01-02", "2026-01-01"):
        settings = ScoreSettings(data=tmp_path / "sales.csv", output=output, batch_date=day)
        score(settings, tiny)

    found = Table(output).read()

    assert found["batch_date"].value_counts().to_dict() == {"2026-01-01": 200, "2026-01-02": 200}
    folder = f"{output}/batch_date=2026-01-01"
    assert str(output_of(settings)) == f"{folder}/scored.parquet"
    assert str(summary_of(settings)) == f"{folder}/_summary.json"
    assert summary_of(settings).is_file()


def test_a_run_that_fails_leaves_what_was_there(bucket, tmp_path):
    _put("out.parquet", b"yesterday's")

    with (
        pytest.raises(ValueError, match="broken"),
        atomic_paths(f"{bucket}/out.parquet") as (path,),
    ):
        path.write_bytes(b"half of it")
        raise ValueError("broken")

    assert _objects() == ["out.parquet"]
    assert _content("out.parquet") == b"yesterday's"
    assert not path.exists()


def test_a_store_that_is_away_is_told_before_anything_is_written(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    with (
        pytest.raises(StoreError, match="need an object store that answers for s3://b/out"),
        atomic_paths("s3://b/out.parquet"),
    ):
        raise AssertionError


def test_a_store_that_goes_away_leaves_no_local_file_that_says_otherwise(
    bucket, tmp_path, monkeypatch
):
    with (
        pytest.raises(StoreError, match="need an object store that answers for s3://tables/out"),
        atomic_paths(tmp_path / "a.json", f"{bucket}/out.parquet") as paths,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        for path in paths:
            path.write_bytes(b"all of it")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_a_store_that_goes_away_is_not_taken_for_a_damaged_file(bucket, sales, name, monkeypatch):
    content = {
        "a.csv": sales.to_csv(index=False).encode(),
        "a.csv.gz": gzip.compress(sales.to_csv(index=False).encode()),
        "a.parquet": sales.to_parquet(),
    }
    _put(name, content[name])
    table = Table(f"{bucket}/{name}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(StoreError, match=f"answers for s3://{BUCKET}/{name}.*check the address"):
        table.read()


def test_a_store_that_stops_between_two_batches_is_away(sales, monkeypatch):
    large = pd.concat([sales] * 20)
    with s3_server("passing", "AWS_ENDPOINT_URL") as uri:
        boto3.client("s3").put_object(
            Bucket="passing", Key="a.parquet", Body=large.to_parquet(row_group_size=100)
        )
        batches = Table(f"{uri}/a.parquet").batches(50)
        next(batches)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(StoreError, match="answers for s3://passing/a.parquet"):
        list(batches)


def test_a_damaged_file_in_a_store_is_not_taken_for_a_dead_store(bucket, sales):
    content = bytearray(sales.to_parquet())
    content[4:200] = bytes(196)
    _put("a.parquet", bytes(content))

    with pytest.raises(ValueError, match=r"s3://tables/a.parquet is damaged"):
        Table(f"{bucket}/a.parquet").read()


@pytest.mark.parametrize("place", ["none.csv", "none", "no*.csv"])
def test_what_is_not_there_is_said(bucket, place):
    with pytest.raises(FileNotFoundError, match="need a table at s3://tables/no"):
        Table(f"{bucket}/{place}")


def test_a_bucket_that_is_not_there_is_said(bucket):
    with pytest.raises(StoreError, match="need an object store that answers for s3://nowhere/a"):
        as_location("s3://nowhere/a").upload(Path(__file__))


@pytest.mark.filterwarnings("ignore:columns")
def test_the_command_takes_addresses_as_options(bucket, sales, tiny, monkeypatch, tmp_path):
    _put("in/sales.csv", sales.to_csv(index=False).encode())
    monkeypatch.setattr("anomdiff.jobs.score.resolve_model", lambda uri: {"uri": uri})
    monkeypatch.setattr("anomdiff.jobs.score.load_registered", lambda uri: tiny)
    monkeypatch.chdir(tmp_path)
    options = ["--data", f"{bucket}/in/*.csv", "--output", f"{bucket}/out.parquet", "--keep", "id"]

    result = CliRunner().invoke(score_command, options)

    assert result.exit_code == 0, result.output
    assert f"rows/s: {bucket}/out.parquet" in result.output
    assert Table(f"{bucket}/out.parquet").read()["id"].tolist() == list(map(str, range(200)))
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:columns")
def test_the_date_of_a_batch_is_a_column_of_a_file(sales, tiny, tmp_path):
    sales.to_parquet(tmp_path / "sales.parquet")
    files = {"data": tmp_path / "sales.parquet", "output": tmp_path / "scored.parquet"}

    score(ScoreSettings(**files, batch_date="2026-01-01"), tiny)

    dates = pd.read_parquet(tmp_path / "scored.parquet")["batch_date"].astype(str)
    assert dates.unique().tolist() == ["2026-01-01"]
