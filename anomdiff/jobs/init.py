"""Write settings files to begin with, from a table that is looked at."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pandas as pd

from anomdiff.encoding.schema import Schema
from anomdiff.jobs import command_line
from anomdiff.jobs.exit_codes import SettingsError, meanings
from anomdiff.jobs.labels import is_normal
from anomdiff.jobs.readers import FileOptions, Table, match_columns
from anomdiff.jobs.settings import NAME
from anomdiff.jobs.settings_files import JOBS, commented

__all__ = ["main", "settings_texts", "write_settings"]

# Rows that are looked at.
ROWS_LOOKED_AT = 10_000
# What stands in all files but that of training: their rows come later.
REPLACE = (
    "This is the table that was looked at: replace it by that of the night, or of recent rows."
)


def settings_texts(
    data: str,
    frame: pd.DataFrame,
    *,
    name: str = NAME,
    label: str | None = None,
    normal: tuple = (),
    series: str | None = None,
    time: str | None = None,
) -> dict[str, str]:
    """Text of the settings file of each job, by job.

    Parameters
    ----------
    data : str
        The table, as the files are to name it.
    frame : DataFrame
        Some of its rows.
    name : str
        Of the model, its versions and experiments.
    label, normal : optional
        Column that says what a row is, and its values that mean a normal one.
    series, time : optional
        Columns of series; a table of rows without them.
    """
    alias = f"models:/{name}@champion"
    labelled = {} if label is None else {"label": label, "normal": list(normal)}
    of_series = {k: v for k, v in (("series", series), ("time", time)) if v is not None}
    train: dict[str, Any] = {"data": data, **labelled, **of_series}
    train |= {"experiment": name, "model_name": name, "registered_name": name}
    train["detector"] = {"alpha": 0.01, "random_state": 0}
    schema = _schema(frame, [label, series, time])
    columns = {"detector": _columns(schema, len(frame))}
    if of_series:
        train["estimator"] = "timeseries"
    key = None if of_series else _key(schema, frame)
    keyed = {} if key is None else {"key": key}
    alarms = {} if key is None else {"alarms": f"scored/{name}.alarms.csv"}
    given: dict[str, dict[str, Any]] = {
        "train": train,
        "score": {
            "data": data,
            "model": alias,
            "output": f"scored/{name}.parquet",
            **alarms,
            **keyed,
            **labelled,
        },
        "feedback": {
            "verdicts": f"scored/{name}.verdicts.csv",
            "data": data,
            "model": alias,
            "output": f"scored/{name}.feedback.parquet",
            **keyed,
        },
        "monitor": {"data": data, "model": alias, "output": f"scored/{name}.drift.json"},
        "retrain": {**train, "report": [f"scored/{name}.drift.json"]},
        "promote": {"data": data, "registered_name": name, **labelled},
    }
    return {
        job: commented(
            settings,
            given[job],
            f"anomdiff {job} {job}.toml\nPaths count from the folder the command runs in.",
            columns if job == "train" else {"data": REPLACE},
        )
        for job, settings in JOBS.items()
    }


def write_settings(
    folder: Path, texts: Mapping[str, str], *, overwrite: bool = False
) -> list[Path]:
    """Write the files of all jobs, or none.

    Raises
    ------
    FileExistsError
        If one is there and is not to be overwritten.
    """
    paths = [folder / f"{job}.toml" for job in texts]
    there = [str(path) for path in paths if path.exists()]
    if there and not overwrite:
        raise FileExistsError(
            f"need a folder without settings files; {', '.join(there)} would be overwritten: set "
            "--folder, or --overwrite."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    return paths


def _schema(frame: pd.DataFrame, known: list[str | None]) -> Schema:
    """What the columns that are not known are, as far as some rows tell."""
    kept = frame.drop(columns=[name for name in frame if str(name) in map(str, known)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `train` says them, of all rows
        return Schema.infer(kept)


def _columns(schema: Schema, n_rows: int) -> str:
    """Lines on what the columns are."""
    kinds: dict[str, list[str]] = {}
    for column in schema.columns:
        kinds.setdefault(column.kind, []).append(str(column.name))
    lines = [f"{kind}: {', '.join(names)}" for kind, names in kinds.items()]
    return "\n".join([f"The first {n_rows:,} rows have these columns.", *lines])


def _key(schema: Schema, frame: pd.DataFrame) -> str | None:
    """First column that no model learns from because it names the rows: whole and distinct."""
    for column in schema.columns:
        cells = frame[column.name]
        if column.kind == "ignored" and len(cells) > 1 and cells.notna().all() and cells.is_unique:
            return str(column.name)
    return None


@click.command(epilog=meanings())
@click.argument("data")
@click.option("--folder", type=command_line.PATH, default=Path(), help="Where to write the files.")
@click.option("--name", default=NAME, show_default=True, help="Name of the model.")
@click.option("--label", help="Column that says what a row is.")
@click.option("--normal", multiple=True, help="Value of the label that means a normal row.")
@click.option("--series", help="Column that tells series apart.")
@click.option("--time", help="Column of the time of a step.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@command_line.with_file_options
def main(
    data: str,
    folder: Path,
    name: str,
    label: str | None,
    normal: tuple[str, ...],
    series: str | None,
    time: str | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Look at the table DATA and write settings files of all jobs, with comments."""
    with command_line.reported_errors():
        table = Table(data, FileOptions(**options))
        match_columns([each for each in (label, series, time) if each is not None], table.names)
        if label is not None and not normal:
            raise SettingsError(f"need --normal, the value of column {label!r} that means normal.")
        frame = next(table.batches(ROWS_LOOKED_AT))
        if label is not None and not is_normal(frame[label], normal).any():
            found = ", ".join(map(str, frame[label].dropna().unique()[:5]))
            raise ValueError(
                f"need --normal as a value of column {label!r}, such as {found}; got {normal}."
            )
        texts = settings_texts(
            data, frame, name=name, label=label, normal=normal, series=series, time=time
        )
        paths = write_settings(folder, texts, overwrite=overwrite)
    click.echo("\n".join(map(str, paths)))
    click.echo(f"next: anomdiff train {paths[0]}")
