"""Score a table with a registered model: batches in, a scored table and a summary out.

The exit code is 0, 4 if there are more alarms than make sense (the files are written), and 1 if
the job failed.
"""

import sys
import time
import warnings
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from anomdiff.jobs import alarm_causes, command_line
from anomdiff.jobs.model_columns import model_columns
from anomdiff.jobs.readers import Table
from anomdiff.jobs.scoring_input import ScoringInput
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.stores.databases import SqlTarget
from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.summary import ScoreSummary
from anomdiff.jobs.writers import TableWriter, atomic_paths, json_values, write_json

__all__ = ["main", "output_of", "score", "summary_of", "summary_path"]

EXIT_SENSELESS = 4
SUFFIX = ".parquet"


def score(settings: ScoreSettings, detector: Any = None) -> dict[str, Any]:
    """Score every row of a table and write the result, all or nothing.

    The table may be one of files, here or in an object store, or of a database, and so may the
    output.

    The scored file has `row` (int64, counted from 0 in the order of the input), the kept columns,
    `anomaly_score`, `p_value` and `is_anomaly`. Beside it, `STEM.summary.json` (`_summary.json`
    in a folder of a batch date) holds what is returned. Memory holds one batch and, for quantiles
    and quality, 5 bytes per row.

    With a model of series, rows are the steps of whole series, in any order and mixed: the
    columns of series and time are copied, `channel` is the one that contributes most, and the
    steps are written series by series. Memory holds the series of a batch, or a single longer one,
    and 9 bytes per row. A `detector` is used instead of the model that the settings name.

    Where there are more alarms than make sense (`max_alarm_rate`, `max_alarm_factor`), a warning
    names the columns that raise them; `alarm_causes` of the summary has their shares.
    """
    output, beside = _check_output(settings), summary_of(settings)
    # Fails before a model is fetched if there is no table.
    table = Table(settings.source, settings.file_options)
    model: dict[str, Any] = {"uri": None, "version": None, "run_id": None}
    if detector is None:
        detector, model = _load(settings.model)
    source = ScoringInput(settings, table, model_columns(detector, table.names))
    started = time.perf_counter()
    with atomic_paths(output, *([] if beside is None else [beside])) as (scored, *summaries):
        found, causes = _write_scores(detector, source, scored)
        seconds = time.perf_counter() - started
        summary = json_values(
            {
                "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "data": str(settings.source),
                "output": str(output),
                "model": model,
                "alpha": detector.alpha,
                "threshold": float(detector.threshold_),
                **found.to_dict(),
                **_senseless(settings, detector.alpha, found, causes),
                "columns_not_used": [str(name) for name in source.unused],
                "seconds": round(seconds, 3),
                "rows_per_second": round(found.rows / seconds, 1),
            }
        )
        for path in summaries:
            write_json(path, summary)
    if summary["alarms_make_no_sense"]:
        rate, columns = summary["alarm_rate"], summary["alarm_causes"]
        warnings.warn(alarm_causes.sentence(rate, detector.alpha, columns), stacklevel=2)
    return summary


def output_of(settings: ScoreSettings) -> FilePath | SqlTarget:
    """Scored file, or table of a database, to write."""
    output = settings.output
    if isinstance(output, SqlTarget) or not settings.has_folders:
        return output
    return output / f"batch_date={settings.batch_date}" / f"scored{SUFFIX}"


def summary_of(settings: ScoreSettings) -> FilePath | None:
    """Where the summary goes; None if nowhere."""
    output = output_of(settings)
    if settings.summary is not None or isinstance(output, SqlTarget):
        return settings.summary
    if settings.has_folders:  # readers of a folder of parquet files leave out such names
        return output.with_name("_summary.json")
    return summary_path(output)


def summary_path(output: FilePath) -> FilePath:
    """Path of the summary of a scored file."""
    return output.with_name(f"{output.stem}.summary.json")


def _senseless(
    settings: ScoreSettings, alpha: float, found: ScoreSummary, causes: alarm_causes.AlarmCauses
) -> dict[str, Any]:
    """Say whether there are more alarms than make sense, and what raises them."""
    senseless = alarm_causes.is_senseless(settings, found.alarms, found.rows, alpha)
    return {
        "alarms_make_no_sense": senseless,
        "alarm_causes": causes.columns() if senseless else {},
    }


def _write_scores(
    detector: Any, source: ScoringInput, path: Path
) -> tuple[ScoreSummary, alarm_causes.AlarmCauses]:
    """Score batch by batch into a file."""
    found, causes = ScoreSummary(source.columns.inputs), alarm_causes.AlarmCauses(detector)
    with TableWriter(path, source.output_schema()) as writer, closing(source.batches()) as batches:
        for frame in batches:
            rows = source.columns.rows(frame)
            scored = detector.score_frame(rows)
            results = {name: scored[name] for name in scored if name in source.results}
            writer.write(source.kept(frame).assign(row=frame.index, **results, **source.dated))
            found.add(scored, source.columns.count_missing(rows), source.labels(frame))
            causes.add(rows, scored)
    return found, causes


def _load(uri: str) -> tuple[Any, dict[str, Any]]:
    """Load the model; an alias is resolved once, so that the summary names what was loaded."""
    from mlflow import MlflowClient  # takes seconds

    from anomdiff.integrations.mlflow import flavor, tracking_store

    tracking_store.ensure_store()
    name, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    if not uri.startswith("models:/") or not (alias or number):
        return flavor.load_model(uri), {"uri": uri, "version": None, "run_id": None}
    client = MlflowClient()
    by_alias, by_number = client.get_model_version_by_alias, client.get_model_version
    found = by_alias(name, alias) if alias else by_number(name, number)
    model = {"uri": f"models:/{name}/{found.version}", "version": str(found.version)}
    return flavor.load_model(model["uri"]), {**model, "run_id": found.run_id}


def _check_output(settings: ScoreSettings) -> FilePath | SqlTarget:
    """Return the output; one that is no parquet file, or among the data, is refused."""
    output = output_of(settings)
    if isinstance(output, SqlTarget):
        return output
    if output.suffix != SUFFIX:
        raise ValueError(
            f"need an output named {SUFFIX}; got {settings.output}: set `batch_date` for a folder."
        )
    data = settings.data.resolve()
    if data == output.resolve() or data in output.resolve().parents:
        raise ValueError(f"need an output outside the data {settings.data}; got {settings.output}.")
    return output


@click.command()
@command_line.with_options(ScoreSettings)
def main(config: Path | None, **options: Any) -> None:
    """Score a table as the settings file CONFIG says; options override it."""
    with command_line.reported_errors():
        settings = ScoreSettings.load(config, options)
        summary = score(settings)
        click.echo(
            f"{summary['rows']:,} rows, {summary['alarms']:,} alarms, "
            f"{summary['rows_per_second']:,.0f} rows/s: {summary['output']}"
        )
    if summary["alarms_make_no_sense"]:
        sys.exit(EXIT_SENSELESS)
