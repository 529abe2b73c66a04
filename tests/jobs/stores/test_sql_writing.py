"""Laws of scores in databases: written once by key, all of them or none."""

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from anomdiff import TimeSeriesDetector
from anomdiff.jobs.errors import StoreError
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.stores.databases import SqlTarget
from tests.jobs.stores.sql import QUOTED, assert_same, engine, fill, hang_up, rows_of, run, write
from tests.series import panel
from tests.settings import TINY_SERIES


def test_a_server_that_hangs_up_while_it_is_written_keeps_the_table(
    postgres, tmp_path, monkeypatch
):
    run(postgres, "DROP TABLE IF EXISTS scored")
    target = SqlTarget(url=postgres, table="scored", key="id")
    write(pd.DataFrame({"id": [1, 2], "score": [0.5, 0.9]}), tmp_path, target)
    before = rows_of(postgres)
    insert = sa.insert
    monkeypatch.setattr(sa, "insert", lambda table: (hang_up(postgres), insert(table))[1])

    with pytest.raises(StoreError, match="need a database that answers"):
        write(pd.DataFrame({"id": [2, 3], "score": [1.5, 1.9]}), tmp_path, target)

    assert_same(rows_of(postgres), before)


@pytest.mark.filterwarnings("ignore:columns")
def test_rows_score_the_same_in_a_database_as_in_a_file(url, sales, tiny, tmp_path):
    fill(url, sales)
    sales.to_parquet(tmp_path / "sales.parquet")
    given = {"keep": ["id", "name"], "batch_size": 90}
    score(
        ScoreSettings(data=tmp_path / "sales.parquet", output=tmp_path / "a.parquet", **given), tiny
    )
    data = {"url": url, "table": "sales", "order": ["id"]}
    output = {"url": url, "table": "scored", "key": "id"}

    summary = score(ScoreSettings(data=data, output=output, **given), tiny)

    expected = pd.read_parquet(tmp_path / "a.parquet")
    found = rows_of(url).sort_values("id", ignore_index=True)[list(expected)]
    assert_same(found, expected)
    assert summary["rows"] == 300
    assert QUOTED not in str(summary)


@pytest.mark.filterwarnings("ignore:columns")
def test_series_of_a_database_are_scored_whole_though_no_order_lasts(url, tmp_path):
    steps = panel(60, seed=5).sample(frac=1.0, random_state=0, ignore_index=True)
    fill(url, steps)
    steps.to_parquet(tmp_path / "steps.parquet")
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    detector.fit(panel(120, seed=0))
    files = {"data": tmp_path / "steps.parquet", "output": tmp_path / "a.parquet"}
    output = {"url": url, "table": "scored", "key": ["host", "time"]}

    score(ScoreSettings(**files, batch_size=70), detector)
    data = {"url": url, "query": "SELECT * FROM sales ORDER BY random()"}
    score(ScoreSettings(data=data, output=output, batch_size=70), detector)

    expected = pd.read_parquet(tmp_path / "a.parquet").sort_values(["host", "time"])
    found = rows_of(url).sort_values(["host", "time"])[list(expected)]
    found["time"] = pd.to_datetime(found["time"])
    assert_same(*(each.drop(columns="row").reset_index(drop=True) for each in (found, expected)))


def test_rows_replace_those_of_their_key_as_in_a_dictionary(url, tmp_path):
    rng = np.random.default_rng(0)
    target = SqlTarget(url=url, table="scored", key=["day", "id"])
    expected = {}
    for _ in range(5):
        keys = rng.choice(60, 25, replace=False)
        frame = pd.DataFrame({"day": keys // 20, "id": keys % 20, "score": rng.normal(size=25)})

        assert write(frame, tmp_path, target) == 25

        expected |= {(day, i): value for day, i, value in frame.itertuples(index=False)}
        found = {(day, i): value for day, i, value in rows_of(url).itertuples(index=False)}
        assert found == expected
        assert len(rows_of(url)) == len(expected)


def test_a_table_without_a_primary_key_and_with_more_columns_keeps_them(url, tmp_path):
    run(url, "CREATE TABLE scored (verdict TEXT, id BIGINT, score DOUBLE PRECISION)")
    run(url, "INSERT INTO scored VALUES ('false alarm', 1, 0.5), ('right', 7, 0.9)")
    target = SqlTarget(url=url, table="scored", key="id")

    write(pd.DataFrame({"id": [1, 2], "score": [1.5, 2.5]}), tmp_path, target)

    found = rows_of(url).sort_values("id").to_dict("list")
    assert found["id"] == [1, 2, 7]
    assert found["score"] == [1.5, 2.5, 0.9]
    assert found["verdict"][::2] == ["false alarm", "right"]
    assert pd.isna(found["verdict"][1])


def test_missing_cells_and_texts_arrive_as_they_are(url, tmp_path):
    text = ["\\N", "", None, "a\tb\n'\";--", "é\U0001f600"]
    frame = pd.DataFrame({"id": range(5), "text": text, "x": [1.0, np.nan, -0.5, 1e300, 0.1]})
    frame["noted"] = pd.to_datetime(["2025-01-01 10:00:00.123456", None, None, None, None])
    frame["flag"] = pd.array([True, False, None, None, True], "boolean")

    write(frame, tmp_path, SqlTarget(url=url, table="scored", key="id"))

    found = rows_of(url).sort_values("id", ignore_index=True)
    assert [None if pd.isna(cell) else cell for cell in found["text"]] == text
    assert found["x"].tolist()[2:] == frame["x"].tolist()[2:]
    assert found["x"].isna().tolist() == frame["x"].isna().tolist()
    assert found["noted"].tolist()[0] == frame["noted"].tolist()[0]
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
    write(pd.DataFrame({"id": [1, 5], "score": [0.5, 0.9]}), tmp_path, target)
    before = rows_of(url)

    with pytest.raises(ValueError, match=sentence):
        write(frame, tmp_path, target)

    assert_same(rows_of(url), before)


def test_a_table_that_was_not_there_is_not_left_behind_by_a_failure(url, tmp_path):
    target = SqlTarget(url=url, table="scored", key="id")

    with pytest.raises(ValueError, match="more than once"):
        write(pd.DataFrame({"id": [1, 1]}), tmp_path, target)

    assert sa.inspect(engine(url)).get_table_names() == []


@pytest.mark.filterwarnings("ignore:columns")
def test_a_night_that_is_scored_again_replaces_its_rows_only(url, sales, tiny):
    fill(url, sales)
    output = {"url": url, "table": "scored", "key": ["batch_date", "id"]}
    data = {"url": url, "table": "sales"}
    for day in ("2026-01-01", "2026-01-02", "2026-01-01"):
        score(ScoreSettings(data=data, output=output, batch_date=day), tiny)

    found = rows_of(url)

    counts = pd.to_datetime(found["batch_date"]).dt.strftime("%Y-%m-%d").value_counts()
    assert counts.to_dict() == {"2026-01-01": 300, "2026-01-02": 300}
