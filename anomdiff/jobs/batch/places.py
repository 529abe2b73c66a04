"""Where scoring writes: the scored file, what lies beside it, and what is put aside on the way."""

from pathlib import Path

from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.stores.databases import SqlTarget
from anomdiff.jobs.stores.locations import FilePath
from anomdiff.jobs.writers import stand_in

__all__ = [
    "SUFFIX",
    "alert_mark",
    "cache_folder",
    "output_of",
    "output_paths",
    "paths_to_write",
    "rows_prefix",
    "summary_of",
    "summary_path",
]

# Of the scored file.
SUFFIX = ".parquet"


def output_of(settings: ScoreSettings) -> FilePath | SqlTarget:
    """Scored file, or table of a database, to write."""
    output = settings.output
    if isinstance(output, SqlTarget) or not settings.has_folders:
        return output
    return output / f"batch_date={settings.batch_date}" / f"scored{SUFFIX}"


def summary_path(output: FilePath) -> FilePath:
    """Path of the summary of a scored file."""
    return output.with_name(f"{output.stem}.summary.json")


def summary_of(settings: ScoreSettings) -> FilePath | None:
    """Where the summary goes; None if nowhere.

    Beside a database lies nothing: it is written only where the settings name a file. Readers of a
    folder of parquet files leave out files whose names begin with "_".
    """
    output = output_of(settings)
    if settings.summary is not None or isinstance(output, SqlTarget):
        return settings.summary
    return output.with_name("_summary.json") if settings.has_folders else summary_path(output)


def output_paths(settings: ScoreSettings, of_series: bool) -> dict[str, FilePath | SqlTarget]:
    """What scoring writes, by what it holds; the summary comes last.

    ``of_series`` says whether the rows are steps of several series, whose statuses are written.
    """
    output, beside = output_of(settings), summary_of(settings)
    paths: dict[str, FilePath | SqlTarget] = {"output": output}
    if of_series and not isinstance(output, SqlTarget):
        name = "_series.csv" if settings.has_folders else f"{output.stem}.series.csv"
        paths["series"] = output.with_name(name)
    if settings.alarms is not None:
        paths["alarms"] = settings.alarms
    if settings.quarantine is not None:
        paths["quarantine"] = settings.quarantine
    return paths if beside is None else {**paths, "summary": beside}


def paths_to_write(settings: ScoreSettings, of_series: bool) -> dict[str, FilePath | SqlTarget]:
    """As ``output_paths``, without the folder that Spark writes by itself."""
    paths = output_paths(settings, of_series)
    if settings.engine == "spark":
        del paths["output"]
    return paths


def alert_mark(settings: ScoreSettings) -> FilePath:
    """File that keeps which message was sent: beside the summary, or else the alarm table."""
    beside = summary_of(settings) or settings.alarms
    if beside is None:
        raise SettingsError("need `alarms`, the table that [alert] tells of; got none.")
    name = beside.stem.removesuffix("summary").rstrip("._")
    return beside.with_name(f"{name}.alert.json" if name else "_alert.json")


def cache_folder(settings: ScoreSettings) -> Path:
    """Folder of the scores of finished batches, until all are finished."""
    base = stand_in(output_of(settings))
    return base.with_name(f".{base.name}.scores")


def rows_prefix(settings: ScoreSettings) -> Path:
    """How the names of folders begin in which rows are put aside while they are read."""
    base = stand_in(output_of(settings))
    return base.with_name(f".{base.name}.rows-")
