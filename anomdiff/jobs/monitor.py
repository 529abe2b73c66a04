"""Monitor drift: compare alarms, scores and columns of a batch with those of training.

MLflow keeps two runs: one per batch, which has the figures of every column and the whole report,
and one per model, to which each batch adds the few figures that make a chart of years, its day as
the step. Hundreds of columns a day would make the latter slow to open, and a report belongs to one
day; so neither takes the other's place.

The exit code is 0 if nothing has drifted, and 3 if something has; see `exit_codes`.
"""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np
import pandas as pd

from anomdiff.explain.alarm_segments import alarm_rows
from anomdiff.jobs import command_line
from anomdiff.jobs.dry_run import dry_run
from anomdiff.jobs.exit_codes import ExitCode, meanings
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.readers import Table
from anomdiff.jobs.registered import told_if_missing
from anomdiff.jobs.settings import MonitorSettings
from anomdiff.jobs.writers import atomic_paths, json_values, write_json
from anomdiff.monitoring import drift
from anomdiff.monitoring.classifier_test import classifier_drift
from anomdiff.monitoring.drift import DriftLimits
from anomdiff.monitoring.precision import estimated_precision
from anomdiff.monitoring.scores import alarm_drift, score_drift, without_alarms

__all__ = ["findings", "main", "monitor"]

MAX_METRICS = 1000  # that MLflow takes together
LOGGED = ("psi", "ks", "missing", "unseen")


def monitor(settings: MonitorSettings) -> dict[str, Any]:
    """Compare a batch with training, write what was found as JSON, and log it to MLflow."""
    import mlflow

    from anomdiff.integrations.mlflow import flavor, tracking_store

    tracking_store.ensure_store()
    with told_if_missing(f"a model at {settings.model}", "`model`"):
        model = mlflow.models.get_model_info(settings.model)  # an alias may move meanwhile
    detector = flavor.load_model(model.model_uri)
    rows, _ = read_model_rows(settings.source, settings, detector)
    scored = _scored(settings, detector, rows)
    judged = scored[scored["anomaly_score"].notna()]
    if not len(judged):
        raise ValueError(
            f"need rows with a score; none of the {len(scored)} rows of {settings.data} has one: "
            "give series of more steps in a row."
        )
    reference = _reference(settings, detector, model.run_id)
    report = {
        "monitored_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "batch_date": (settings.batch_date or date.today()).isoformat(),
        "model": {"uri": settings.model, "id": model.model_id, "run_id": model.run_id},
        "data": str(settings.source),
        "rows": len(scored),
        **findings(detector, reference, rows, scored, settings.limits),
        "limits": asdict(settings.limits),
    }
    report = json_values(report)
    report |= _log(settings, report)
    with atomic_paths(settings.output) as (path,):
        write_json(path, report)
    return report


def findings(
    detector: Any,
    reference: Mapping[str, Any],
    frame: pd.DataFrame,
    scored: pd.DataFrame,
    limits: DriftLimits,
) -> dict[str, Any]:
    """Say what has drifted, columns and scores compared without the alarms that may be odd.

    Parameters
    ----------
    detector : TabularDetector or TimeSeriesDetector
        That has scored the batch.
    reference : mapping
        Profile of the training rows.
    frame, scored : DataFrame
        The batch, and what `score_frame` says of it.
    limits : DriftLimits
        What is too far away.

    Returns
    -------
    found : dict
        JSON values: ``drifted``, ``reasons``, ``alarms``, ``precision``, ``scores``, ``columns``,
        and, of tables, ``classifier``.
    """
    from anomdiff.integrations.mlflow import runs

    threshold, most = float(detector.threshold_), limits.most_alarms(detector.alpha)
    judged = scored[scored["anomaly_score"].notna()]
    classifier = None
    if detector.unit == "row":  # steps that are left out would make gaps in their series
        frame = frame[without_alarms(scored["anomaly_score"], threshold, most)]
        classifier = classifier_drift(*_encoded(detector, frame), limits.anomalies)
    rows = runs.plain_rows(detector, frame)
    columns = drift.column_drift(reference, rows, limits)
    known = detector.calibration_scores_
    calibration = len(known), int((known > threshold).sum())
    n_alarms = int(judged["is_anomaly"].sum())
    scores = score_drift(known, judged["anomaly_score"], threshold, most, limits.anomalies)
    alarms = alarm_drift(n_alarms, len(judged), detector.alpha, calibration, limits.anomalies)
    reasons = drift.drift_alarms(columns, scores, alarms, limits, classifier)
    return {
        "drifted": bool(reasons),
        "reasons": reasons,
        "alarms": alarms,
        "precision": estimated_precision(
            n_alarms, len(judged), calibration, bool(reasons), _usual_run(detector, scored)
        ),
        "scores": scores,
        **({} if classifier is None else {"classifier": classifier}),
        "columns": columns.to_dict("index"),
    }


def _encoded(detector: Any, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Rows of training that the model has stored, and those of a batch, without their times.

    A batch is a night or a week, so that its times tell it from training.
    """
    model, used = detector.model_, detector.schema_.used
    masks = model.encoder.column_masks()
    of_times = masks[[column.kind == "datetime" for column in used]].any(0)
    known = model.reference.values.numpy()
    values, observed = model.encoder.encode(model.schema.check(frame))
    pairs = (known, model.encoder.observed(known)), (values, observed)
    before, now = (np.where(seen, rows, np.nan)[:, ~of_times] for rows, seen in pairs)
    return before, now


def _usual_run(detector: Any, scored: pd.DataFrame) -> float:
    """Usual number of neighbouring steps that alarm together: the median; 1 for rows."""
    if detector.unit == "row":
        return 1.0
    layout = detector.layout_
    series, time = (name if name in scored else None for name in (layout.series, layout.time))
    lengths = [len(rows) for rows in alarm_rows(scored, series, time, join=0)]
    return float(median(lengths)) if lengths else 1.0


def _scored(settings: MonitorSettings, detector: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of the batch, from the file if there is one."""
    if settings.scored is None:
        return detector.score_frame(rows)
    scored = Table(settings.scored).read()
    missing = [name for name in ("anomaly_score", "is_anomaly") if name not in scored]
    if missing or len(scored) != len(rows):
        raise ValueError(
            f"need the scored rows of {settings.data}, {len(rows)} of them; got {len(scored)} in "
            f"{settings.scored}" + (f" without {missing}." if missing else ".")
        )
    return scored


def _reference(settings: MonitorSettings, detector: Any, run_id: str | None) -> dict[str, Any]:
    """Profile of the training rows: of a file, or as the run of the model has logged it."""
    import mlflow
    from mlflow.exceptions import MlflowException

    from anomdiff.integrations.mlflow import runs

    if settings.reference is not None:
        training, _ = read_model_rows(settings.reference, settings, detector)
        return drift.profile(runs.plain_rows(detector, training))
    try:
        return mlflow.artifacts.load_dict(f"runs:/{run_id}/{runs.REFERENCE}")
    except (MlflowException, OSError):
        raise ValueError(
            f"need a profile of the training rows; run {run_id} of {settings.model} has logged "
            "none. Give the rows themselves as `reference`."
        ) from None


def _log(settings: MonitorSettings, report: dict[str, Any]) -> dict[str, str]:
    """Log the figures of a batch as a run, and some to the history; return the ids of both."""
    import mlflow

    from anomdiff.integrations.mlflow import history, tracking_store

    columns = report["columns"]
    figures = {
        "rows": report["rows"],
        "alarm_rate": report["alarms"]["alarm_rate"],
        "score_ks": report["scores"]["ks"],
        "score_higher": report["scores"]["higher"],
        "classifier_auc": report.get("classifier", {}).get("auc"),
        "psi_max": max((each["psi"] for each in columns.values()), default=0.0),
        "drifted": report["drifted"],
        "estimated_precision": report["precision"]["estimate"],
    }
    details = {
        f"{key}.{_metric_name(name)}": each[key] for name, each in columns.items() for key in LOGGED
    }
    experiment = tracking_store.ensure_experiment(settings.experiment)
    numbers = list(_finite(figures | details).items())
    with mlflow.start_run(experiment_id=experiment, run_name=settings.data.name) as run:
        mlflow.set_tags({"anomdiff.drifted": report["drifted"], "anomdiff.model": settings.model})
        for start in range(0, len(numbers), MAX_METRICS):
            mlflow.log_metrics(dict(numbers[start : start + MAX_METRICS]))
        mlflow.log_dict(report, "drift.json")
    day = date.fromisoformat(report["batch_date"])
    of_model = history.append_day(experiment, settings.model, day, _finite(figures))
    return {"run_id": run.info.run_id, "history_run_id": of_model}


def _finite(figures: dict[str, Any]) -> dict[str, float]:
    """Those that MLflow takes: finite numbers."""
    known = {key: float(value) for key, value in figures.items() if value is not None}
    return {key: value for key, value in known.items() if math.isfinite(value)}


def _metric_name(column: str) -> str:
    """Name of a column with the characters that MLflow allows in the name of a metric."""
    return re.sub(r"[^\w\-. /:]", "_", column)[:200]


@click.command(epilog=meanings(ExitCode.DRIFT))
@command_line.with_options(MonitorSettings)
def main(config: Path | None, **options: Any) -> None:
    """Look for drift as the settings file CONFIG says; options override it."""
    with command_line.reported_errors():
        settings = command_line.loaded(MonitorSettings, config, options)
        if settings.dry_run:
            click.echo(dry_run(settings))
            return
        report = monitor(settings)
    rate, alpha = report["alarms"]["alarm_rate"], report["alarms"]["alpha"]
    click.echo(f"{report['rows']:,} rows, alarm rate {rate:.2%} at alpha {alpha:.2%}")
    click.echo(f"  alarms   {report['precision']['says']}")
    for reason in report["reasons"]:
        click.echo(f"  drift    {reason}")
    click.echo(f"  written  {settings.output}")
    if report["drifted"]:
        sys.exit(ExitCode.DRIFT)
