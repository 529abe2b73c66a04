"""Score a table with a registered model: batches in; a scored file, a summary and alarms out.

The files appear together, when all rows are scored. The exit code tells what became of the night,
see `exit_codes`.
"""

import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from anomdiff.jobs import alarm_causes, command_line
from anomdiff.jobs.exit_codes import ExitCode, ModelError, SettingsError, meanings
from anomdiff.jobs.model_columns import model_columns
from anomdiff.jobs.readers import Table
from anomdiff.jobs.scored_files import SUFFIX, ScoredFiles, output_of, output_paths
from anomdiff.jobs.scoring_input import ScoringInput
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.stores.databases import SqlTarget
from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.writers import atomic_paths, json_values, write_json

__all__ = ["main", "score"]


def score(settings: ScoreSettings, detector: Any = None) -> dict[str, Any]:
    """Score every row of a table and write the result, all or nothing.

    The table may be one of files, here or in an object store, or of a database, and so may the
    output.

    The scored file has `row` (int64, counted from 0 in the order of the input), the kept columns,
    `anomaly_score`, `p_value` and `is_anomaly`. Beside it, `STEM.summary.json` (`_summary.json`
    in a folder of a batch date) holds what is returned. Memory holds one batch, the alarms if
    there is to be a table of them, and, for quantiles and quality, 5 bytes per row.

    With a model of series, rows are the steps of whole series, in any order and mixed: the
    columns of series and time are copied, `channel` is the one that contributes most, and the
    steps are written series by series. Memory holds the series of a batch, or a single longer one,
    and 9 bytes per row. A `detector` is used instead of the model that the settings name. A series
    that cannot be scored does not fail the others: its rows have no scores, and its status, in
    `STEM.series.csv` and in the summary, says why.

    Where there are more alarms than make sense (`max_alarm_rate`, `max_alarm_factor`), a warning
    names the columns that raise them; `alarm_causes` of the summary has their shares.
    """
    output = _check_output(settings)
    # Fails before a model is fetched if there is no table.
    table = Table(settings.source, settings.file_options)
    model: dict[str, Any] = {"uri": None, "version": None, "run_id": None}
    if detector is None:
        detector, model = _load(settings.model)
    source = ScoringInput(settings, table, model_columns(detector, table.names))
    paths = output_paths(settings, source)
    started = time.perf_counter()
    with atomic_paths(*paths.values()) as temporary:
        files = ScoredFiles(detector, source, dict(zip(paths, temporary, strict=True)))
        files.write()
        seconds = time.perf_counter() - started
        summary = json_values(
            {
                "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "data": str(settings.source),
                "output": str(output),
                "model": model,
                "alpha": detector.alpha,
                "threshold": float(detector.threshold_),
                **files.counts.to_dict(),
                "rows_quarantined": files.n_quarantined,
                "alarm_table_rows": files.n_alarms,
                **files.muted,
                **files.statuses,
                **_senseless(settings, detector.alpha, files),
                "columns_not_used": [str(name) for name in source.unused],
                "seconds": round(seconds, 3),
                "rows_per_second": round(files.counts.rows / seconds, 1),
            }
        )
        if "summary" in paths:
            write_json(temporary[-1], summary)
    if summary["alarms_make_no_sense"]:
        rate, columns = summary["alarm_rate"], summary["alarm_causes"]
        warnings.warn(alarm_causes.sentence(rate, detector.alpha, columns), stacklevel=2)
    return summary


def _senseless(settings: ScoreSettings, alpha: float, files: ScoredFiles) -> dict[str, Any]:
    """Say whether there are more alarms than make sense, and what raises them."""
    counts = files.counts
    senseless = alarm_causes.is_senseless(settings, counts.alarms, counts.rows, alpha)
    return {
        "alarms_make_no_sense": senseless,
        "alarm_causes": files.causes.columns() if senseless else {},
    }


def _load(uri: str) -> tuple[Any, dict[str, Any]]:
    """Load the model; an alias is resolved once, so that the summary names what was loaded."""
    from mlflow import MlflowClient  # takes seconds
    from mlflow.exceptions import MlflowException

    from anomdiff.integrations.mlflow import flavor, tracking_store

    tracking_store.ensure_store()
    name, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    model: dict[str, Any] = {"uri": uri, "version": None, "run_id": None}
    try:
        if uri.startswith("models:/") and (alias or number):
            client = MlflowClient()
            by_alias, by_number = client.get_model_version_by_alias, client.get_model_version
            found = by_alias(name, alias) if alias else by_number(name, number)
            model = {"uri": f"models:/{name}/{found.version}", "version": str(found.version)}
            model["run_id"] = found.run_id
        return flavor.load_model(model["uri"]), model
    except (MlflowException, OSError, ValueError) as error:
        told = " ".join(str(error).split()).removesuffix(".")
        raise ModelError(
            f"need a model at {uri}; got: {told}. Train one with `anomdiff train`, whose first "
            "version becomes the champion, or name another in `model`."
        ) from None


def _check_output(settings: ScoreSettings) -> FilePath | SqlTarget:
    """Return the output; one that is no parquet file, or among the data, is refused."""
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


@click.command(epilog=meanings(ExitCode.PARTLY, ExitCode.SENSELESS))
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
    code = _exit_code(summary)
    if code:
        sys.exit(code)


def _exit_code(summary: dict[str, Any]) -> ExitCode:
    """Senseless alarms come first: what is written is then not to be relied on."""
    if summary["alarms_make_no_sense"]:
        return ExitCode.SENSELESS
    partly = summary.get("series", {}).get("failed", 0)
    return ExitCode.PARTLY if partly else ExitCode.DONE
