"""One law: whichever way rows reach a model, their scores are the same."""

import json
import socket
import threading
import time
import urllib.request
from contextlib import contextmanager

import mlflow
import numpy as np
import pandas as pd
import pytest
import uvicorn
from mlflow.pyfunc import scoring_server

from anomdiff import TabularDetector, load
from anomdiff.datasets import payments
from anomdiff.integrations.mlflow import flavor
from anomdiff.integrations.spark import score_table
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings
from tests.integrations.test_spark import as_spark, collected


def with_holes(frame, seed):
    """Take out 5 % of the cells of every column."""
    rng = np.random.default_rng(seed)
    nullable = frame.astype({"card_present": "boolean"})
    return nullable.mask(rng.random(frame.shape) < 0.05)


@pytest.fixture(scope="module")
def detector():
    frame = with_holes(payments(2000, seed=0)[0], seed=0)
    return TabularDetector(max_iter=60, alpha=0.05, random_state=0).fit(frame)


@pytest.fixture(scope="module")
def folder(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("agreement") / "model"
    flavor.save_model(detector, path)
    return path


@pytest.fixture(scope="module")
def rows():
    """1,000 new payments: every kind of column and of fraud, missing cells, unseen merchants."""
    return with_holes(payments(1000, fraud_rate=0.1, seed=1)[0], seed=1)


@pytest.fixture(scope="module")
def expected(detector, rows):
    return detector.score_frame(rows)


def assert_agree(found, expected):
    np.testing.assert_allclose(
        found["anomaly_score"].to_numpy(float), expected["anomaly_score"], rtol=1e-6, atol=1e-6
    )
    np.testing.assert_allclose(found["p_value"].to_numpy(float), expected["p_value"], rtol=1e-6)
    assert found["is_anomaly"].tolist() == expected["is_anomaly"].tolist()


@contextmanager
def served(model):
    """Serve a model over HTTP from a thread, with MLflow's own scoring server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = scoring_server.init(model)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/invocations"
        server.should_exit = True
        thread.join()


def test_the_rows_are_worth_comparing(rows, expected):
    assert rows.isna().any().all()
    assert 0 < expected["is_anomaly"].sum() < len(rows)
    assert expected["anomaly_score"].nunique() == len(rows)


def test_native_load_agrees(folder, rows, expected):
    assert_agree(load(folder / "data" / "detector").score_frame(rows), expected)
    assert_agree(flavor.load_model(str(folder)).score_frame(rows), expected)


def test_pyfunc_agrees(folder, detector, rows, expected):
    model = mlflow.pyfunc.load_model(str(folder))

    assert_agree(model.predict(flavor.as_input(detector, rows)), expected)


def test_the_endpoint_agrees(folder, rows, expected, monkeypatch):
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # and back again
    body = f'{{"dataframe_split": {rows.to_json(orient="split", index=False, date_format="iso")}}}'
    header = {"Content-Type": "application/json"}

    with served(mlflow.pyfunc.load_model(str(folder))) as address:
        request = urllib.request.Request(address, body.encode(), header)
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = pd.DataFrame(json.load(answer)["predictions"])

    assert_agree(found, expected)


def test_the_batch_job_agrees(folder, rows, expected, tmp_path, mlflow_store):
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    settings = ScoreSettings(
        data=tmp_path / "rows.parquet",
        output=tmp_path / "scored.parquet",
        model=str(folder),
        batch_size=300,
    )

    score(settings)

    assert_agree(pd.read_parquet(settings.output), expected)


def test_spark_agrees(spark, folder, rows, expected):
    assert_agree(collected(score_table(as_spark(spark, rows), str(folder))), expected)


def test_the_udf_of_mlflow_agrees(spark, folder, rows, expected):
    from pyspark.sql.functions import struct

    types = "anomaly_score double, p_value double, is_anomaly boolean"
    udf = mlflow.pyfunc.spark_udf(spark, str(folder), result_type=types, env_manager="local")
    frame = as_spark(spark, rows)

    scored = frame.select(udf(struct(*frame.columns)).alias("result")).select("result.*")

    assert_agree(collected(scored), expected)
