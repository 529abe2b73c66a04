"""Metrics of anomaly scores for `mlflow.models.evaluate`, which has none of its own."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import EvaluationMetric, EvaluationResult, make_metric

from anomdiff.integrations.mlflow.flavor import load_model
from anomdiff.integrations.mlflow.signature import as_input
from anomdiff.metrics.detection import auroc, average_precision, precision_at_k

__all__ = ["anomaly_metrics", "evaluate"]

SCORE, LABEL = "anomaly_score", "is_true_anomaly"


def anomaly_metrics(k: Iterable[int] = (10, 100)) -> list[EvaluationMetric]:
    """Metrics to pass to ``mlflow.models.evaluate(..., extra_metrics=...)``.

    Average precision, AUROC, alarm rate, and the precision among the ``k`` highest scores. The
    targets are 1 for anomalies, 0 for normal rows, and ``predictions="anomaly_score"``.

    Parameters
    ----------
    k : iterable of int, default=(10, 100)
        Numbers of rows that somebody could review.

    Returns
    -------
    metrics : list of EvaluationMetric
        A metric that needs both normal rows and anomalies, or more rows than there are, is NaN.
    """
    ranked = {"average_precision": average_precision, "auroc": auroc}
    ranked |= {f"precision_at_{n}": partial(precision_at_k, k=n) for n in k}
    metrics = [
        make_metric(eval_fn=_ranked(measure), greater_is_better=True, name=name)
        for name, measure in ranked.items()
    ]
    return [*metrics, make_metric(eval_fn=_alarm_rate, greater_is_better=False, name="alarm_rate")]


def evaluate(
    model_uri: str, frame: pd.DataFrame, labels: Iterable[bool], *, k: Iterable[int] = (10, 100)
) -> EvaluationResult:
    """Evaluate a logged model on labelled rows, in the active run or a new one.

    Parameters
    ----------
    model_uri : str
        Such as ``models:/NAME@champion``.
    frame : DataFrame
        Rows as ``fit`` takes them.
    labels : iterable of bool
        Which of the rows are anomalies.
    k : iterable of int, default=(10, 100)
        As in `anomaly_metrics`.

    Returns
    -------
    result : EvaluationResult
        MLflow's result, whose ``metrics`` are also logged.
    """
    rows = pd.DataFrame(as_input(load_model(model_uri), frame))
    return mlflow.models.evaluate(
        model_uri,
        rows.assign(**{LABEL: np.asarray(labels, dtype=float)}),
        targets=LABEL,
        predictions=SCORE,
        extra_metrics=anomaly_metrics(k),
        evaluators="default",
    )


def _ranked(measure: Callable) -> Callable:
    """Wrap a measure of labels and scores in the signature that MLflow calls."""

    def eval_fn(predictions: pd.Series, targets: pd.Series, metrics: Mapping) -> float:
        scores = pd.to_numeric(predictions)  # None for steps that are not judged
        judged = scores.notna().to_numpy()
        try:
            return measure(targets.to_numpy()[judged], scores.to_numpy()[judged])
        except ValueError:  # MLflow tries every metric on a single row first
            return float("nan")

    return eval_fn


def _alarm_rate(
    predictions: pd.Series, targets: pd.Series, metrics: Mapping, is_anomaly: pd.Series
) -> float:
    """Share of flagged rows; MLflow finds the column of the output by the argument's name."""
    return float(is_anomaly.mean())
