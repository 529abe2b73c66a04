"""Score a table with a registered model: batches in; a scored file, a summary and alarms out.

The files appear together, when all rows are scored. The exit code tells what became of the night,
see `exit_codes`.
"""

import logging
import shutil
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from anomdiff.jobs import command_line
from anomdiff.jobs.alerts.message import message_of
from anomdiff.jobs.alerts.sending import send
from anomdiff.jobs.batch import alarm_causes
from anomdiff.jobs.batch.input import ScoringInput
from anomdiff.jobs.batch.places import (
    SUFFIX,
    alert_mark,
    cache_folder,
    output_of,
    output_paths,
    paths_to_write,
    summary_of,
)
from anomdiff.jobs.batch.record import batch_record, earlier_summary
from anomdiff.jobs.dry_run import dry_run
from anomdiff.jobs.exit_codes import ExitCode, SettingsError, meanings
from anomdiff.jobs.model_columns import model_columns
from anomdiff.jobs.registered import NO_MODEL, load_registered, resolve_model
from anomdiff.jobs.runs.locks import locked
from anomdiff.jobs.runs.logs import heartbeat
from anomdiff.jobs.runs.retries import retried
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.spark.engines import Engine, engine_of
from anomdiff.jobs.stores.databases import SqlTarget
from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.writers import (
    atomic_paths,
    json_values,
    sweep,
    write_json,
)

__all__ = ["main", "score"]

logger = logging.getLogger(__name__)


def score(settings: ScoreSettings, detector: Any = None) -> dict[str, Any]:
    """Score every row of a table and write the result, all or nothing.

    The table may be one of files, here or in an object store, or of a database, and so may the
    output.

    The scored file has `row` (int64, counted from 0 in the order of the input), the kept columns,
    `anomaly_score`, `p_value` and `is_anomaly`. Beside it, `STEM.summary.json` (`_summary.json`
    in a folder of a batch date) holds what is returned. Memory holds one batch, the alarms if
    there is to be a table of them, and, for quantiles and quality, 5 bytes per row; 16
    more with a `key`: a warning says if several rows share one.

    With a model of series, rows are the steps of whole series, in any order and mixed: the
    columns of series and time are copied, `channel` is the one that contributes most, and the
    steps are written series by series. Memory holds the series of a batch, or a single longer one,
    and 9 bytes per row. A `detector` is used instead of the model that the settings name. A series
    that cannot be scored does not fail the others: its rows have no scores, and its status, in
    `STEM.series.csv` and in the summary, says why.

    Where there are more alarms than make sense (`max_alarm_rate`, `max_alarm_factor`), a warning
    names the columns that raise them; `alarm_causes` of the summary has their shares, and
    `alarm_series` those of series, where a few have nearly all. Alarms of incidents that go on from
    last night (`alarms_told_before`) do not count there.

    With `dry_run` nothing is written, and what is returned has what would be done in `dry_run`.
    With `alert` a message is sent when all files are written. `alert` of the summary holds it, and
    `alert_unsent` of what is returned the places that it could not be sent to.
    """
    output = _check_output(settings)
    if settings.dry_run:
        return {"dry_run": dry_run(settings, detector)}
    with locked(output, *_beside(settings)):
        sweep(*output_paths(settings, False).values())
        return _scored_once(settings, detector)


def _beside(settings: ScoreSettings) -> list[FilePath | None]:
    """Files that a run writes beside the scored one."""
    return [settings.alarms, settings.quarantine, summary_of(settings)]


def _scored_once(settings: ScoreSettings, detector: Any) -> dict[str, Any]:
    """Score, unless it was done before for the same batch date."""
    with engine_of(settings) as engine:
        # Fails before a model is fetched if there is no table.
        table = retried(settings.retries, engine.table, settings)
        return _scored_by(engine, table, settings, detector)


def _scored_by(
    engine: Engine, table: Any, settings: ScoreSettings, detector: Any
) -> dict[str, Any]:
    """Score a table that was opened, unless it was done before for the same batch date."""
    model = NO_MODEL
    if detector is None:
        model = retried(settings.retries, resolve_model, settings.model)
    record = batch_record(settings, model, table.version)
    earlier = earlier_summary(summary_of(settings), record, settings.overwrite)
    if earlier is not None:
        logger.info(
            "%s was scored before, from the same rows by the same model: nothing is done.",
            record["batch_date"],
        )
        shutil.rmtree(cache_folder(settings), ignore_errors=True)
        return _alerted(settings, earlier)
    if detector is None:
        detector = retried(settings.retries, load_registered, model["uri"])
    source = ScoringInput(settings, table, model_columns(detector, table.names))
    return _written(engine, detector, source, {"model": model, "record": record})


def _written(
    engine: Engine, detector: Any, source: ScoringInput, told: dict[str, Any]
) -> dict[str, Any]:
    """Write all files, and the summary, which is returned."""
    settings = source.settings
    paths = paths_to_write(settings, source.columns.series is not None)
    started = time.perf_counter()
    files = None
    try:
        with (
            atomic_paths(*paths.values(), retries=settings.retries) as temporary,
            heartbeat("score", settings.heartbeat) as source.heartbeat,
        ):
            files = engine.files(detector, source, dict(zip(paths, temporary, strict=True)))
            files.write()
            seconds = time.perf_counter() - started
            summary = _summary(settings, detector, source, files, told, seconds)
            summary |= _message(settings, source, files, summary)
            if "summary" in paths:
                write_json(temporary[-1], summary)
    except Exception as error:
        if files is not None and not isinstance(error, ConnectionError):
            files.clear()  # the next run would fail there again
        raise
    files.clear()
    if summary["alarms_make_no_sense"]:
        warnings.warn(_why_senseless(summary), stacklevel=2)
    return _alerted(settings, summary)


def _message(
    settings: ScoreSettings,
    source: ScoringInput,
    files: Any,
    summary: dict[str, Any],
) -> dict[str, Any]:
    """The message of the night, as the summary keeps it."""
    if settings.alert is None or files.table is None:
        return {}
    senseless = None
    if summary["alarms_make_no_sense"]:
        senseless = _why_senseless(summary)
    return {"alert": message_of(settings.alert, summary, files.table, source.keys, senseless)}


def _alerted(settings: ScoreSettings, summary: dict[str, Any]) -> dict[str, Any]:
    """Send the message of a summary to all places that have not had it."""
    if settings.alert is None:
        return summary
    if "alert" not in summary:
        logger.warning("this batch was scored without [alert], so that it has no message.")
    if summary.get("alert") is None:
        return summary
    unsent = send(settings.alert, summary["alert"], alert_mark(settings), settings.retries)
    return {**summary, "alert_unsent": unsent}


def _summary(
    settings: ScoreSettings,
    detector: Any,
    source: ScoringInput,
    files: Any,
    told: dict[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """What is known of a scored table, and what it was scored from."""
    return json_values(
        {
            "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": str(settings.source),
            "output": str(output_of(settings)),
            **told,
            "rows_digest": files.rows_digest,
            "alpha": detector.alpha,
            "threshold": float(detector.threshold_),
            **files.counts.to_dict(),
            "rows_quarantined": files.n_quarantined,
            "alarm_table_rows": None if files.table is None else len(files.table),
            **files.muted,
            **files.statuses,
            **_senseless(settings, detector.alpha, files),
            "columns_not_used": [str(name) for name in source.unused],
            "batches_restored": files.n_restored,
            "seconds": round(seconds, 3),
            "rows_per_second": round(files.counts.rows / seconds, 1),
        }
    )


def _senseless(settings: ScoreSettings, alpha: float, files: Any) -> dict[str, Any]:
    """Say whether there are more alarms than make sense, and what raises them.

    Alarms of incidents that go on from last night do not count: they were told then.
    """
    rows, told = files.counts.rows, files.told_before
    alarms = max(files.counts.alarms - int(told.sum()), 0)
    senseless = alarm_causes.is_senseless(settings, alarms, rows, alpha)
    fresh = files.alarms_of_series.sub(told, fill_value=0).clip(lower=0)
    return {
        "alarms_told_before": files.counts.alarms - alarms,
        "alarms_make_no_sense": senseless,
        "alarm_causes": files.causes.columns() if senseless else {},
        "alarm_series": alarm_causes.series_shares(fresh) if senseless else {},
    }


def _why_senseless(summary: dict[str, Any]) -> str:
    """Say of a summary why its alarms make no sense."""
    rate = (summary["alarms"] - summary["alarms_told_before"]) / summary["rows"]
    causes, series = summary["alarm_causes"], summary["alarm_series"]
    return alarm_causes.sentence(rate, summary["alpha"], causes, series)


def _check_output(settings: ScoreSettings) -> FilePath | SqlTarget:
    """Return the output; one that is no parquet file, or among the data, is refused."""
    if settings.alert is not None:
        settings.alert.require_secrets()
    output, data = output_of(settings), settings.data.resolve()
    files: list[FilePath | None] = [settings.alarms, settings.quarantine]
    if not isinstance(output, SqlTarget):
        files.append(output)
        if output.suffix != SUFFIX:
            raise SettingsError(
                f"need an output named {SUFFIX}; got {settings.output}: set `batch_date` for a "
                "folder."
            )
    for path in files:
        if path is not None and (data == path.resolve() or data in path.resolve().parents):
            raise SettingsError(f"need an output outside the data {settings.data}; got {path}.")
    return output


@click.command(epilog=meanings(ExitCode.PARTLY, ExitCode.SENSELESS, ExitCode.UNSENT))
@command_line.with_options(ScoreSettings)
def main(config: Path | None, **options: Any) -> None:
    """Score a table as the settings file CONFIG says; options override it."""
    with command_line.reported_errors():
        settings = command_line.loaded(ScoreSettings, config, options)
        summary = score(settings)
        if settings.dry_run:
            click.echo(summary["dry_run"])
            return
        click.echo(_told(settings, summary))
    code = _exit_code(summary)
    if code:
        sys.exit(code)


def _told(settings: ScoreSettings, summary: dict[str, Any]) -> str:
    """What was scored, in a line."""
    taken = summary.get("rows_quarantined", 0)
    unread = f"; {taken:,} rows that cannot be read: {settings.quarantine}" if taken else ""
    return (
        f"{summary['rows']:,} rows, {summary['alarms']:,} alarms, "
        f"{summary['rows_per_second']:,.0f} rows/s: {summary['output']}{unread}"
    )


def _exit_code(summary: dict[str, Any]) -> ExitCode:
    """Senseless alarms come first: what is written is then not to be relied on."""
    if summary["alarms_make_no_sense"]:
        return ExitCode.SENSELESS
    if summary.get("alert_unsent"):
        return ExitCode.UNSENT
    partly = summary.get("series", {}).get("failed", 0)
    return ExitCode.PARTLY if partly else ExitCode.DONE
