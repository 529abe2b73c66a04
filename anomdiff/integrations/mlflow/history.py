"""The history of a monitored model: one run, to which each batch adds a step, its day.

A chart of that run is the course of the model over the years. The run is found by its tag, the
model's address as it is monitored: behind an alias it goes on when another version is promoted.
"""

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime

from mlflow import MlflowClient
from mlflow.entities import Metric

__all__ = ["MONITORED", "append_day", "history_run"]

# Tag of the run of a history: the address of the model.
MONITORED = "anomdiff.monitor_history"
RUN_NAME = "monitor-history"
EPOCH = date(1970, 1, 1)


def history_run(experiment_id: str, model: str) -> str | None:
    """Run with the history of a model in an experiment; None if no batch was monitored yet."""
    quoted = model.replace("'", "\\'")
    found = MlflowClient().search_runs(
        [experiment_id],
        f"tags.`{MONITORED}` = '{quoted}'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return found[0].info.run_id if found else None


def append_day(experiment_id: str, model: str, day: date, figures: Mapping[str, float]) -> str:
    """Add the figures of a batch to the history of its model; return the run.

    Parameters
    ----------
    experiment_id : str
        Experiment of the run, which is made if there is none.
    model : str
        Address of the model, such as ``models:/NAME@champion``.
    day : date
        Of the batch; the step is the number of days since 1970-01-01. MLflow keeps what a step had
        before and shows the last.
    figures : mapping of str to float
        Finite numbers.
    """
    client = MlflowClient()
    run_id = history_run(experiment_id, model)
    if run_id is None:
        tags = {MONITORED: model, "anomdiff.model": model}
        run_id = client.create_run(experiment_id, tags=tags, run_name=RUN_NAME).info.run_id
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    # Of two figures of one step the later one is shown: the milliseconds of now tell them apart.
    timestamp = int(at.timestamp() * 1000) + int(time.time() * 1000) % 86_400_000
    step = (day - EPOCH).days
    metrics = [Metric(name, float(value), timestamp, step) for name, value in figures.items()]
    client.log_batch(run_id, metrics)
    client.set_terminated(run_id)
    return run_id
