"""Laws of addresses, patterns and secrets: nothing here needs a server."""

import glob
import itertools
import re
from pathlib import Path

import pytest

from anomdiff.jobs.settings import ScoreSettings, TrainSettings
from anomdiff.jobs.stores.filesystems import client
from anomdiff.jobs.stores.locations import RemotePath, as_location, glob_root, place_within
from anomdiff.jobs.stores.patterns import pattern_of
from anomdiff.jobs.stores.secrets import masked

PATTERNS = [
    "in/*.csv",
    "in/**/*.csv",
    "**/*.csv",
    "in/?.csv",
    "in/[ab].csv",
    "in/[!ab].csv",
    "in/day=*/part-*.csv",
    "*/*",
    "in/**",
    "in/a+.csv",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_what_glob_finds(tmp_path, monkeypatch, pattern):
    names = ["a.csv", "b.csv", "c.csv", "a+.csv", "ab.csv", "day=1/part-0.csv", "x/y/z.csv"]
    for name in names:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    everything = [each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*")]

    matched = {each for each in everything if pattern_of(pattern).fullmatch(each)}

    found = set(glob.glob(pattern, recursive=True)) - {"in/"}
    assert matched == {each.rstrip("/") for each in found}


@pytest.mark.parametrize("text", ["s3://bucket/in/day=1/a.csv", "gs://bucket/a", "s3://bucket/"])
def test_an_address_is_read_as_it_is_written(text):
    assert str(as_location(text)) == text
    assert as_location(str(as_location(text))) == as_location(text)


def test_a_path_that_has_swallowed_a_slash_is_the_same_address():
    assert as_location(Path("s3://bucket/a.csv")) == as_location("s3://bucket/a.csv")


@pytest.mark.parametrize("place", ["a.csv", "in/a.tar.gz", "in/day=1/part-0.parquet", "in/x/y"])
def test_parts_of_an_address_are_those_of_a_path(place):
    remote, local = as_location(f"s3://bucket/{place}"), Path("/bucket") / place

    assert (remote.name, remote.stem, remote.suffix) == (local.name, local.stem, local.suffix)
    assert str(remote.parent).rstrip("/") == f"s3:/{local.parent}"
    assert str(remote.with_name("b") / "c") == f"s3:/{local.with_name('b') / 'c'}"
    assert remote in as_location(f"s3://bucket/{place}/below/it").parents
    assert str(place_within(remote, as_location("s3://bucket"))) == place


def test_local_paths_and_file_addresses_stay_local():
    assert as_location("in/a b.csv") == Path("in/a b.csv")
    assert as_location("file:///tmp/a%20b.csv") == Path("/tmp/a b.csv")


@pytest.mark.parametrize(
    ("pattern", "root"),
    [
        ("s3://b/in/day=*/a", "s3://b/in"),
        ("in/*.csv", "in"),
        ("*.csv", "."),
        ("s3://b/*", "s3://b/"),
    ],
)
def test_the_root_of_a_pattern_is_its_last_folder_without_wildcards(pattern, root):
    assert str(glob_root(as_location(pattern))) == root


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("ftp://me:pass@host/a.csv", "need a local path or an address that begins with s3"),
        ("s3://key:pass@bucket/a.csv", "set AWS_ACCESS_KEY_ID"),
        ("postgresql://me:pass@host/db", "give a database as a table"),
        ("s3://", "got no bucket"),
        ("abfss://container/a.csv", "container@account"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(address, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        found = as_location(address)
        assert isinstance(found, RemotePath)
        client(found.scheme, found.authority)

    assert "pass@" not in str(caught.value)


def test_azure_counts_paths_in_the_container_of_an_account(monkeypatch):
    monkeypatch.setenv("AZURE_STORAGE_KEY", "a2V5")
    found = as_location("abfss://container@account.dfs.core.windows.net/a.csv")

    store, container = client(found.scheme, found.authority)

    assert (store.type_name, container, found.place) == ("abfs", "container", "a.csv")


def test_a_password_is_masked_whatever_it_holds():
    for parts in itertools.product("aZ9@:/%?#&= .'", repeat=3):
        password = f"q{''.join(parts)}w"

        shown = masked(f"need postgresql+psycopg://me:{password}@host:5432/db?sslmode=require")

        assert shown == "need postgresql+psycopg://me:***@host:5432/db?sslmode=require"


@pytest.mark.parametrize("name", ["password", "sslpassword", "access_token", "api_key", "pwd"])
def test_secret_parameters_are_masked(name):
    assert masked(f"x://host/db?a=1&{name}=hush&b=2") == f"x://host/db?a=1&{name}=***&b=2"


@pytest.mark.parametrize("text", ["s3://bucket/a@b.csv", "http://host:8080/x", "a: b@c"])
def test_what_holds_no_password_is_left_as_it_is(text):
    assert masked(text) == text


URL = "postgresql://me:hush@host/db"


@pytest.mark.parametrize(
    ("data", "given", "sentence"),
    [
        ({"url": URL}, {}, "need either `table` or `query`"),
        ({"table": "t"}, {}, "need either `url` or `url_env`"),
        (
            {"url": URL, "tabel": "t"},
            {},
            "unknown key 'data.tabel'; known keys are date, order",
        ),
        ({"url": URL, "table": 5}, {}, "'data.table'"),
        ({"url": "hush", "table": "t"}, {}, "need an address of a database like"),
        ({"url": "postgresql://me:hush@host:port/db", "table": "t"}, {}, "write @, / and other"),
        ({"url": URL, "table": "t"}, {"since": "2026-01-01"}, "need `date`"),
        ({"url": URL, "query": "q"}, {"until": "2026-01-01"}, "need :until in the query"),
        ({"url": URL, "query": "q :since"}, {}, "need `since` (--since)"),
        ({"url": URL, "query": "q", "date": "d"}, {}, "need `date` beside `table` only"),
        ("in.csv", {"since": "2026-01-01"}, "need a database as `data`"),
        (5, {}, "need a path or an address"),
    ],
)
def test_settings_that_make_no_sense_are_one_sentence_without_a_password(data, given, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        TrainSettings.load(None, {"data": data, **given})

    assert "hush" not in str(caught.value)


def test_settings_are_shown_and_logged_without_a_password():
    data, output = {"url": URL, "table": "t"}, {"url": URL, "table": "s", "key": "id"}
    settings = ScoreSettings.load(None, {"data": data, "output": output})

    for shown in (repr(settings), str(settings.source), str(settings.model_dump(mode="json"))):
        assert "hush" not in shown
    assert settings.source.address().password == "hush"


def test_an_address_may_stand_in_the_environment(monkeypatch):
    monkeypatch.setenv("WAREHOUSE", URL)
    settings = TrainSettings.load(None, {"data": {"url_env": "WAREHOUSE", "table": "t"}})

    assert settings.source.address().password == "hush"
    assert str(settings.source) == "table t of $WAREHOUSE"
    monkeypatch.delenv("WAREHOUSE")
    with pytest.raises(ValueError, match="environment variable WAREHOUSE; it is not set"):
        settings.source.address()


def test_the_settings_in_the_readme_are_settings(tmp_path):
    readme = Path(__file__).parents[3] / "README.md"
    blocks = re.findall(r"```toml\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)

    for block in blocks:
        (tmp_path / "score.toml").write_text(block, encoding="utf-8")
        assert ScoreSettings.load(tmp_path / "score.toml").batch_date.year == 2026

    assert len(blocks) == 2
