"""Laws of scoring on Spark, with a real Spark in local mode."""

import datetime
import json
import pickle
import re
import sys
from decimal import Decimal
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch

from anomdiff import TabularDetector, TimeSeriesDetector
from anomdiff.integrations import spark as on_spark
from anomdiff.integrations.mlflow import flavor
from anomdiff.integrations.mlflow.tracking_store import ensure_experiment
from anomdiff.jobs.settings import TrainSettings
from anomdiff.jobs.train import train
from tests.integrations.conftest import ALPHA
from tests.series import panel, waves
from tests.settings import TINY, TINY_SERIES
from tests.tables import mixed_table

ROOT = Path(__file__).parents[2]
RESULTS = ["anomaly_score", "p_value", "is_anomaly"]


@pytest.fixture(scope="module")
def table():
    """New rows: the score of a held-out one ties with itself, and rounding would break the tie."""
    return mixed_table(200, seed=1)


@pytest.fixture(scope="module")
def detector():
    return TabularDetector(**TINY, alpha=ALPHA).fit(mixed_table(200, seed=0))


@pytest.fixture
def rows(table):
    """The table with keys, and columns that no model reads."""
    keys = pd.array([2**60 + i if i % 3 else None for i in range(len(table))], dtype="Int64")
    return table.reset_index(names="sale").assign(key=keys, day=datetime.date(2025, 1, 2))


@pytest.fixture(scope="module")
def machines():
    """A panel of three series, time in a column, with missing cells; and one more column."""
    frame = panel(150, seed=0, labels=("a", "b", "c")).assign(note="x")
    frame.loc[10:14, "echo"] = np.nan
    return frame.sample(frac=1, random_state=0, ignore_index=True)


@pytest.fixture(scope="module")
def series_detector():
    detector = TimeSeriesDetector(**TINY_SERIES, series="host", time="time")
    return detector.fit(panel(300, seed=5, labels=("a", "b", "c")))


def as_spark(spark, frame, n_partitions=1):
    """A Spark frame of Arrow rows, so that no cell changes on its way in."""
    import pyarrow as pa

    rows = spark.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False))
    return rows.coalesce(1) if n_partitions == 1 else rows.repartition(n_partitions)


def collected(frame):
    """A Spark frame as pandas, integers with nulls included."""
    return frame.toArrow().to_pandas(types_mapper=pd.ArrowDtype)


def assert_scores(found, expected):
    """Compare results of the same rows in the same order."""
    for name in ("anomaly_score", "p_value"):
        np.testing.assert_allclose(found[name].to_numpy(float), expected[name], rtol=1e-6)
    assert found["is_anomaly"].tolist() == expected["is_anomaly"].tolist()


def test_scores_are_those_of_the_model_and_rows_stay_in_order(spark, detector, table, rows):
    frame = as_spark(spark, rows)

    scored = collected(on_spark.score_table(frame, detector))

    assert list(scored) == [*rows, *RESULTS]
    assert scored["sale"].tolist() == rows["sale"].tolist()
    assert_scores(scored, detector.score_frame(table))


def test_no_row_is_lost_and_no_key_changes_whatever_the_partitions(spark, detector, rows):
    frame = as_spark(spark, rows, n_partitions=7)

    scored = collected(on_spark.score_table(frame, detector))

    whole = collected(frame).sort_values("sale", ignore_index=True)
    kept = scored[whole.columns].sort_values("sale", ignore_index=True)
    pd.testing.assert_frame_equal(kept, whole)
    by_sale = scored.set_index("sale").loc[rows["sale"]]
    expected = detector.score_frame(rows[detector.columns_])
    assert_scores(by_sale, expected)


def test_the_model_comes_from_its_address(spark, detector, table, rows, tmp_path):
    flavor.save_model(detector, tmp_path / "model")

    scored = on_spark.score_table(as_spark(spark, rows), str(tmp_path / "model"))

    assert_scores(collected(scored), detector.score_frame(table))


def test_every_spark_type_of_a_column_is_read(spark, detector, table):
    frame = as_spark(spark, table).selectExpr(
        "cast(size as decimal(20, 10)) as size",
        "cast(kind as varchar(10)) as kind",
        "cast(price as float) as price",
        "weight",
        "cast(if(count = 3, null, count) as smallint) as count",
        "if(price > 50, null, gift) as gift",
        "cast(sold as timestamp) as sold",
    )
    expected = table.assign(
        size=[Decimal(f"{cell:.10f}") for cell in table["size"]],
        price=table["price"].astype("float32"),
        count=table["count"].where(table["count"] != 3),
        gift=table["gift"].astype(object).where(table["price"] <= 50, None),
    )

    scored = collected(on_spark.score_table(frame, detector))

    assert_scores(scored, detector.score_frame(expected))


def test_the_time_zone_of_the_session_does_not_change_the_scores(spark, detector, table, rows):
    timestamps = rows.assign(sold=rows["sold"].dt.tz_localize("UTC"))
    frame = as_spark(spark, timestamps)
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")

    try:
        scored = collected(on_spark.score_table(frame, detector))
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")

    assert_scores(scored, detector.score_frame(table))


def test_an_empty_frame_gives_an_empty_frame(spark, detector, rows):
    scored = on_spark.score_table(as_spark(spark, rows).where("false"), detector)

    assert collected(scored).shape == (0, rows.shape[1] + 3)


def test_each_worker_loads_the_model_once(detector):
    sent = pickle.dumps(on_spark.serialize(detector))
    threads = torch.get_num_threads()

    first, again = (on_spark.unpack(pickle.loads(sent)) for _ in range(2))

    assert first is again
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)


def test_series_are_scored_as_in_one_frame(spark, series_detector, machines):
    frame = as_spark(spark, machines, n_partitions=5)

    scored = collected(on_spark.score_panel(frame, series_detector))

    assert list(scored) == [*machines, *RESULTS, "channel"]
    expected = series_detector.score_frame(machines.drop(columns="note"))
    assert len(scored) == len(machines)
    timestamps = scored["time"].astype("datetime64[us, UTC]").dt.tz_localize(None)
    keys = pd.MultiIndex.from_frame(machines[["host", "time"]])
    found = scored.assign(time=timestamps).set_index(["host", "time"]).loc[keys]
    assert_scores(found, expected)
    assert found["channel"].tolist() == expected["channel"].tolist()


def test_steps_that_are_not_judged_are_null(spark, series_detector, machines):
    short = machines[machines["host"] == "a"][:2].assign(host="short")
    frame = as_spark(spark, pd.concat([machines, short], ignore_index=True), n_partitions=2)

    scored = on_spark.score_panel(frame, series_detector)

    for name in ("anomaly_score", "p_value", "channel"):
        assert scored.filter(f"{name} is null").count() == 2
    assert scored.filter("host = 'short' and not is_anomaly and anomaly_score is null").count() == 2


@pytest.mark.parametrize("timed", [True, False])
def test_a_model_of_one_series_scores_many_each_by_itself(spark, timed):
    known = waves(300, seed=0)
    detector = TimeSeriesDetector(**TINY_SERIES)
    detector.fit(known if timed else known.reset_index(drop=True))
    parts = {label: waves(100, seed) for seed, label in enumerate("ab", start=1)}
    rows = [part.rename_axis("at").reset_index().assign(pump=k) for k, part in parts.items()]
    frame = as_spark(spark, pd.concat(rows).sample(frac=1, random_state=0), n_partitions=3)

    scored = collected(on_spark.score_panel(frame, detector, series="pump", time="at"))

    for label, part in parts.items():
        found = scored[scored["pump"] == label].sort_values("at")
        expected = detector.score_frame(part if timed else part.reset_index(drop=True))
        assert_scores(found, expected)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f.drop("price"), r"need columns \['price'\]; the Spark frame has"),
        (
            lambda f: f.withColumnRenamed("sale", "p_value"),
            r"need other names for the columns \['p_value'\]",
        ),
    ],
)
def test_a_frame_that_does_not_fit_is_told_before_any_work(spark, detector, rows, change, sentence):
    with pytest.raises(ValueError, match=sentence):
        on_spark.score_table(change(as_spark(spark, rows)), detector)


def test_a_model_for_the_other_kind_of_data_is_told(spark, detector, series_detector, rows):
    frame = as_spark(spark, rows)

    with pytest.raises(TypeError, match="need a model that scores rows; .* use score_panel"):
        on_spark.score_table(frame, series_detector)

    with pytest.raises(TypeError, match="need a model that scores steps; .* use score_table"):
        on_spark.score_panel(frame, detector)


def test_spark_itself_is_asked_for_in_a_sentence(detector, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark.sql.types", None)

    with pytest.raises(ImportError, match=r"need pyspark; pip install 'anomdiff\[spark\]'"):
        on_spark.score_table(table, detector)


def test_a_panel_needs_columns_of_series_and_time(spark, rows):
    detector = TimeSeriesDetector(**TINY_SERIES).fit(waves(200, seed=0))
    frame = as_spark(spark, rows)

    with pytest.raises(ValueError, match="need series=, a column of the Spark frame; got None"):
        on_spark.score_panel(frame, detector, time="sold")

    with pytest.raises(ValueError, match="need time=, a column of the Spark frame; got None"):
        on_spark.score_panel(frame, detector, series="kind")


def test_a_cell_that_cannot_be_read_is_told(spark, detector, rows):
    bad = as_spark(spark, rows.assign(price="much"))

    with pytest.raises(Exception, match="need numbers in column 'price'; got 'much'"):
        on_spark.score_table(bad, detector).collect()


def test_the_code_in_the_documentation_runs(spark, detector, table, mlflow_store, tmp_path):
    pumps = TimeSeriesDetector(**TINY_SERIES).fit(waves(200, seed=0))
    for model, name in ((detector, "anomdiff"), (pumps, "pumps")):
        with mlflow.start_run(experiment_id=ensure_experiment("docs")):
            flavor.log_model(model, registered_model_name=name)
        mlflow.MlflowClient().set_registered_model_alias(name, "champion", "1")
    table.to_parquet(tmp_path / "payments.parquet", index=False)
    steps = waves(60, seed=1).rename_axis("at").reset_index().assign(pump="north")
    steps.to_parquet(tmp_path / "pumps.parquet", index=False)
    text = (ROOT / "docs" / "many-machines.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)

    for block in blocks:  # Spark's working folder is that of its start
        exec(re.sub(r'"(\w+\.parquet)"', rf'"{tmp_path}/\1"', block), {})

    alarms = pd.read_parquet(tmp_path / "alarms.parquet")
    assert len(blocks) == 2
    assert len(alarms) == detector.score_frame(table)["is_anomaly"].sum()


@pytest.fixture
def training(tmp_path):
    """Settings of a small training job."""
    mixed_table(200, seed=0).to_parquet(tmp_path / "history.parquet", index=False)
    return TrainSettings(data=tmp_path / "history.parquet", detector={**TINY, "alpha": ALPHA})


def test_a_process_that_helps_to_train_logs_and_registers_nothing(
    mlflow_store, training, monkeypatch
):
    monkeypatch.setattr("anomdiff.diffusion.distributed.rank", lambda: 1)

    assert train(training) is None

    assert mlflow.search_runs(search_all_experiments=True).empty
    assert not mlflow.search_registered_models()


@pytest.mark.slow
def test_processes_that_spark_starts_register_one_model(
    spark, detector, table, mlflow_store, training, tmp_path, monkeypatch
):
    from pyspark.ml.torch.distributor import TorchDistributor

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    config = tmp_path / "train.toml"
    parameters = "\n".join(f"{k} = {json.dumps(v)}" for k, v in training.detector.items())
    config.write_text(f'data = "{training.data}"\n[detector]\n{parameters}\n', encoding="utf-8")

    distributor = TorchDistributor(num_processes=2, local_mode=True, use_gpu=False)
    distributor.run(str(ROOT / "pipelines" / "train.py"), str(config))

    (model,) = mlflow.search_registered_models()
    assert [int(version.version) for version in model.latest_versions] == [1]
    found = flavor.load_model("models:/anomdiff/1").score_frame(table)
    expected = detector.score_frame(table)["anomaly_score"]  # means differ by rounding
    np.testing.assert_allclose(found["anomaly_score"], expected, rtol=1e-2, atol=1e-3)
