"""Monitor drift: compare alarms, scores and columns of a batch with those of training.

The exit code is 0 if nothing has drifted, and 3 if something has; see `exit_codes`.
"""

import math
import re
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd

from anomdiff.jobs import command_line
from anomdiff.jobs.exit_codes import ExitCode, meanings
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.readers import Table
from anomdiff.jobs.settings import MonitorSettings
from anomdiff.jobs.writers import atomic_paths, json_values, write_json
from anomdiff.monitoring import drift

__all__ = ["main", "monitor"]

MAX_METRICS = 1000  # that MLflow takes together
LOGGED = ("psi", "ks", "missing", "unseen")


def monitor(settings: MonitorSettings) -> dict[str, Any]:
    """Compare a batch with training, write what was found as JSON, and log it to MLflow."""
    import mlflow

    from anomdiff.integrations.mlflow import flavor, runs, tracking_store

    tracking_store.ensure_store()
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
    columns = drift.column_drift(reference, runs.plain_rows(detector, rows))
    scores = drift.score_drift(detector.calibration_scores_, judged["anomaly_score"])
    alarms = drift.alarm_drift(int(judged["is_anomaly"].sum()), len(judged), detector.alpha)
    reasons = drift.drift_alarms(columns, scores, alarms, settings.limits)
    report = {
        "monitored_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "model": {"uri": settings.model, "id": model.model_id, "run_id": model.run_id},
        "data": str(settings.source),
        "rows": len(scored),
        "drifted": bool(reasons),
        "reasons": reasons,
        "alarms": alarms,
        "scores": scores,
        "columns": columns.to_dict("index"),
        "limits": asdict(settings.limits),
    }
    report = {**json_values(report), "run_id": _log(settings, report, columns)}
    with atomic_paths(settings.output) as (path,):
        write_json(path, report)
    return report


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


def _log(settings: MonitorSettings, report: dict[str, Any], columns: pd.DataFrame) -> str:
    """Log the figures of a batch as a run, so that batches can be compared over time."""
    import mlflow

    from anomdiff.integrations.mlflow import tracking_store

    metrics = {
        "rows": report["rows"],
        "alarm_rate": report["alarms"]["alarm_rate"],
        "score_ks": report["scores"]["ks"],
        "score_higher": report["scores"]["higher"],
        "psi_max": columns["psi"].max(),
    }
    for key in LOGGED:
        metrics |= {f"{key}.{_metric_name(name)}": columns.at[name, key] for name in columns.index}
    numbers = [(key, float(value)) for key, value in metrics.items() if math.isfinite(value)]
    with mlflow.start_run(
        experiment_id=tracking_store.ensure_experiment(settings.experiment),
        run_name=settings.data.name,
    ) as run:
        mlflow.set_tags({"anomdiff.drifted": report["drifted"], "anomdiff.model": settings.model})
        for start in range(0, len(numbers), MAX_METRICS):
            mlflow.log_metrics(dict(numbers[start : start + MAX_METRICS]))
        mlflow.log_dict(json_values(report), "drift.json")
        return run.info.run_id


def _metric_name(column: str) -> str:
    """Name of a column with the characters that MLflow allows in the name of a metric."""
    return re.sub(r"[^\w\-. /:]", "_", column)[:200]


@click.command(epilog=meanings(ExitCode.DRIFT))
@command_line.with_options(MonitorSettings)
def main(config: Path | None, **options: Any) -> None:
    """Look for drift as the settings file CONFIG says; options override it."""
    with command_line.reported_errors():
        settings = command_line.loaded(MonitorSettings, config, options)
        report = monitor(settings)
    rate, alpha = report["alarms"]["alarm_rate"], report["alarms"]["alpha"]
    click.echo(f"{report['rows']:,} rows, alarm rate {rate:.2%} at alpha {alpha:.2%}")
    for reason in report["reasons"]:
        click.echo(f"  drift    {reason}")
    click.echo(f"  written  {settings.output}")
    if report["drifted"]:
        sys.exit(ExitCode.DRIFT)
