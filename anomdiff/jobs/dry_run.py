"""What a job would do: all is checked that can be before it begins, and nothing is written."""

from typing import Any

import pandas as pd

from anomdiff.jobs.base_settings import Settings
from anomdiff.jobs.batch.input import ScoringInput
from anomdiff.jobs.batch.places import output_paths, paths_to_write, summary_of
from anomdiff.jobs.batch.record import batch_record, earlier_summary
from anomdiff.jobs.model_columns import model_columns
from anomdiff.jobs.readers import Table
from anomdiff.jobs.registered import NO_MODEL, load_registered, resolve_model
from anomdiff.jobs.runs.retries import retried
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.spark.engines import engine_of
from anomdiff.jobs.writers import require_writable

__all__ = ["dry_run"]

FIRST_ROWS = 1_000  # that are read
TABLES = ("data", "reference", "verdicts", "scored")  # settings that are tables to read


def dry_run(settings: Settings, detector: Any = None) -> str:
    """Check the tables, the model, the columns and the places of a job.

    Parameters
    ----------
    settings : Settings
        Of any job.
    detector : optional
        Instead of the model that the settings name.

    Returns
    -------
    told : str
        Lines that say what would be read, by which model, and what would be written.

    Raises
    ------
    ValueError, OSError
        What the job itself would raise.
    """
    if isinstance(settings, ScoreSettings):
        with engine_of(settings) as engine:
            data = retried(settings.retries, engine.table, settings)
            return _checked(settings, detector, {"data": data})
    return _checked(settings, detector, {})


def _checked(settings: Settings, detector: Any, opened: dict[str, Any]) -> str:
    """Check all that is not opened yet, and say what would be done."""
    tables = {name: getattr(settings, name, None) for name in TABLES}
    for name, place in tables.items():
        if place is not None and name not in opened:
            source = _source(settings, name)
            opened[name] = retried(settings.retries, Table, source, settings.file_options)
    lines = [f"  would read   {name}: {tables[name]}" for name in opened]
    model = NO_MODEL
    if (uri := getattr(settings, "model", None)) is not None and detector is None:
        model = retried(settings.retries, resolve_model, uri)
        detector = retried(settings.retries, load_registered, model["uri"])
        lines.append(f"  would use    {model['uri']}")
    columns = None if detector is None else model_columns(detector, opened["data"].names)
    if isinstance(settings, ScoreSettings) and columns is not None:
        lines += _of_scoring(settings, model, ScoringInput(settings, opened["data"], columns))
    elif columns is not None:
        columns.rows(_first_rows(opened["data"]))
    elif "data" in opened:
        _first_rows(opened["data"])
    if not isinstance(settings, ScoreSettings) and (place := getattr(settings, "output", None)):
        retried(settings.retries, require_writable, place)
        lines.append(f"  would write  output: {place}")
    return "\n".join(["dry run: nothing is written", *lines])


def _source(settings: Settings, name: str) -> Any:
    return settings.source if name == "data" else getattr(settings, name)


def _first_rows(table: Table) -> pd.DataFrame:
    return next(table.batches(FIRST_ROWS))


def _of_scoring(settings: ScoreSettings, model: dict[str, Any], source: ScoringInput) -> list[str]:
    """Lines on what scoring would write."""
    record = batch_record(settings, model, source.table.version)
    if earlier_summary(summary_of(settings), record, settings.overwrite) is not None:
        return [f"  would write  nothing: {settings.batch_date} was scored before (--overwrite)"]
    source.columns.rows(next(source.frames()))
    of_series = source.columns.series is not None
    paths = output_paths(settings, of_series)
    for target in paths_to_write(settings, of_series).values():
        retried(settings.retries, require_writable, target)
    lines = [f"  would write  {name}: {path}" for name, path in paths.items()]
    if settings.alert is not None:
        lines.append(f"  would alert  {', '.join(settings.alert.places)}")
    return lines
