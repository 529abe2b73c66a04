import mlflow
import numpy as np
import pandas as pd
import pytest

from anomdiff import TimeSeriesDetector
from anomdiff.integrations.mlflow import flavor
from anomdiff.integrations.mlflow.evaluation import anomaly_metrics, evaluate
from anomdiff.metrics.detection import auroc, average_precision, precision_at_k
from tests.series import panel, waves
from tests.settings import TINY_SERIES


@pytest.fixture
def model(mlflow_store, detector):
    with mlflow.start_run():
        return flavor.log_model(detector)


@pytest.fixture
def labelled(table):
    """Rows, and which of them were made anomalous."""
    labels = np.arange(len(table)) % 10 == 0
    return table.assign(price=table["price"] + 500 * labels), labels


def test_a_logged_model_is_evaluated_as_the_detector_would_be(model, detector, labelled):
    rows, labels = labelled
    scored = detector.score_frame(rows)

    found = evaluate(model.model_uri, rows, labels, k=[5, 20]).metrics

    scores = scored["anomaly_score"]
    assert found["average_precision"] == pytest.approx(average_precision(labels, scores))
    assert found["auroc"] == pytest.approx(auroc(labels, scores))
    assert found["precision_at_5"] == pytest.approx(precision_at_k(labels, scores, 5))
    assert found["precision_at_20"] == pytest.approx(precision_at_k(labels, scores, 20))
    assert found["alarm_rate"] == pytest.approx(scored["is_anomaly"].mean())


def test_figures_are_logged_with_the_model_they_belong_to(model, labelled):
    with mlflow.start_run() as run:
        result = evaluate(model.model_uri, *labelled)

    logged = mlflow.get_run(run.info.run_id).data.metrics
    assert logged["auroc"] == pytest.approx(result.metrics["auroc"])
    names = {metric.key for metric in mlflow.get_logged_model(model.model_id).metrics}
    assert {"auroc", "average_precision", "alarm_rate"} <= names


def test_steps_of_series_are_evaluated_too(mlflow_store):
    detector = TimeSeriesDetector(**TINY_SERIES).fit(waves(300, seed=0))
    rows, labels = waves(200, seed=1), np.arange(200) // 5 == 20
    rows["slow"] += 2 * labels
    with mlflow.start_run():
        model = flavor.log_model(detector)

    found = evaluate(model.model_uri, rows, labels).metrics

    assert found["auroc"] == pytest.approx(auroc(labels, -detector.score_samples(rows)))


def test_steps_that_are_not_judged_do_not_count_in_figures(mlflow_store):
    settings = {**TINY_SERIES, "series": "host", "time": "time"}
    detector = TimeSeriesDetector(**settings).fit(panel(200, seed=0))
    rows, short = panel(100, seed=1), panel(2, seed=2, labels=["c"])
    labels = np.arange(200) // 5 == 20
    rows["slow"] += 2 * labels
    with mlflow.start_run():
        model = flavor.log_model(detector)

    both = pd.concat([rows, short], ignore_index=True)
    found = evaluate(model.model_uri, both, np.append(labels, [True, True])).metrics

    assert found["auroc"] == pytest.approx(auroc(labels, -detector.score_samples(rows)))


def test_scored_rows_can_be_evaluated_without_a_model(mlflow_store, detector, labelled):
    rows, labels = labelled
    scored = detector.score_frame(rows).assign(truth=labels.astype(int))

    found = mlflow.models.evaluate(
        data=scored,
        targets="truth",
        predictions="anomaly_score",
        extra_metrics=anomaly_metrics([10]),
        evaluators="default",
    ).metrics

    assert found["auroc"] == pytest.approx(auroc(labels, scored["anomaly_score"]))
    assert found["alarm_rate"] == pytest.approx(scored["is_anomaly"].mean())


def test_without_anomalies_only_the_alarm_rate_is_a_number(model, table):
    found = evaluate(model.model_uri, table, np.zeros(len(table)), k=[10]).metrics

    assert np.isnan(found["auroc"])
    assert found["alarm_rate"] < 0.2


def test_labels_are_told_apart_from_a_column_of_the_table(model, labelled):
    rows, labels = labelled

    found = evaluate(model.model_uri, rows, pd.Series(labels, dtype="boolean")).metrics

    assert found["auroc"] > 0.5
