"""Score a table with a registered model: batches in, a scored parquet file and a summary out."""

import json
import math
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from anomdiff import TimeSeriesDetector
from anomdiff.jobs.errors import command_line
from anomdiff.jobs.panels import SeriesSteps
from anomdiff.jobs.settings import ScoreSettings
from anomdiff.jobs.sources import Source, TableRows
from anomdiff.jobs.summary import Tally
from anomdiff.jobs.writers import TableWriter, atomic_paths


def score(settings: ScoreSettings, detector: Any = None) -> dict[str, Any]:
    """Score every row of a table and write the result, all or nothing.

    The scored file has `row` (int64, counted from 0 in the order of the input), the kept columns,
    `anomaly_score`, `p_value` and `is_anomaly`. Beside it, `STEM.summary.json` holds what is
    returned. Memory holds one batch and, for quantiles and quality, 5 bytes per row.

    With a model of series, rows are the steps of whole series, in any order and mixed: the
    columns of series and time come along, `channel` says which channel is most to blame, and the
    steps are written series by series. Memory holds the series of a batch, or a single longer one,
    and 9 bytes per row.

    Parameters
    ----------
    settings : ScoreSettings
        What to score and where to write.
    detector : fitted detector, optional
        Used instead of the model that the settings name.

    Returns
    -------
    summary : dict
        Rows, alarms, score quantiles, missing rates, time, model and, if the table has the label
        column, the quality of the scores.
    """
    _check_output(settings)
    source = Source(settings)  # fails before a model is fetched if there is no table
    model = {"uri": None, "version": None, "run_id": None}
    if detector is None:
        detector, model = _load(settings.model)
    selected = _select(source, detector)
    tally = Tally(selected.inputs)
    started = time.perf_counter()

    with atomic_paths(settings.output, summary_path(settings.output)) as (table, summary):
        schema = selected.output_schema()
        with TableWriter(table, schema) as writer, closing(selected.batches()) as batches:
            for frame in batches:
                rows = selected.features(frame)
                scored = detector.score_frame(rows)
                results = {name: scored[name] for name in scored if name in selected.results}
                writer.write(selected.kept(frame).assign(row=frame.index, **results))
                tally.add(scored, selected.missing(rows), source.labels(frame))
        seconds = time.perf_counter() - started
        result = {
            "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": str(settings.data),
            "output": str(settings.output),
            "model": model,
            "alpha": detector.alpha,
            "threshold": _finite(detector.threshold_),
            **tally.summary(),
            "columns_not_used": [str(name) for name in selected.extra],
            "seconds": round(seconds, 3),
            "rows_per_second": round(tally.rows / seconds, 1),
        }
        summary.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return result


def summary_path(output: Path) -> Path:
    """Tell where the summary of a scored file lies."""
    return output.with_name(f"{output.stem}.summary.json")


def _select(source: Source, detector: Any) -> TableRows | SeriesSteps:
    """Find the columns of the model; warn of columns that nobody uses."""
    if isinstance(detector, TimeSeriesDetector):
        return SeriesSteps(source, detector)
    return TableRows(source, detector.schema_)


def _load(uri: str) -> tuple[Any, dict[str, Any]]:
    """Load the model; an alias is resolved once, so that the summary names what was loaded."""
    from anomdiff.integrations.mlflow import flavor, tracking_store  # MLflow takes seconds

    tracking_store.ensure_store()
    model = {"uri": uri, **_version(uri)}
    if model["version"]:
        name = uri.removeprefix("models:/").split("@")[0].split("/")[0]
        model["uri"] = f"models:/{name}/{model['version']}"
    return flavor.load_model(model["uri"]), model


def _version(uri: str) -> dict[str, Any]:
    from mlflow import MlflowClient

    name, _, alias = uri.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    if not uri.startswith("models:/") or not (alias or number):
        return {"version": None, "run_id": None}
    client = MlflowClient()
    found = (
        client.get_model_version_by_alias(name, alias)
        if alias
        else client.get_model_version(name, number)
    )
    return {"version": str(found.version), "run_id": found.run_id}


def _check_output(settings: ScoreSettings) -> None:
    data, output = settings.data.resolve(), settings.output.resolve()
    if output.suffix != ".parquet":
        raise ValueError(f"need an output named .parquet; got {settings.output}.")
    if data == output or data in output.parents:
        raise ValueError(f"need an output outside the data {settings.data}; got {settings.output}.")


def _finite(number: float) -> float | None:
    """JSON has no infinity; the threshold is infinite where calibration had too few rows."""
    return float(number) if math.isfinite(number) else None


@click.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), help="Table to score.")
@click.option("--output", type=click.Path(path_type=Path), help="Scored parquet file to write.")
@click.option("--model", help="MLflow URI, such as models:/NAME@champion.")
@click.option("--header/--no-header", default=None, help="Does a CSV file name its columns?")
@click.option("--batch-rows", type=int, help="Rows in memory at a time; of series, whole ones.")
@click.option("--keep", multiple=True, help="Column to copy to the output; 'all' for all.")
@click.option("--label", help="Column with the known truth, if there is one.")
@click.option("--normal", multiple=True, help="Value of the label that means normal.")
def main(config: Path | None, **options: Any) -> None:
    """Score a table as the settings file CONFIG says; options override it."""
    with command_line():
        overrides = {key: value for key, value in options.items() if value not in (None, ())}
        settings = ScoreSettings.load(config, overrides)
        summary = score(settings)
        click.echo(
            f"{summary['rows']:,} rows, {summary['alarms']:,} alarms, "
            f"{summary['rows_per_second']:,.0f} rows/s: {settings.output}"
        )


if __name__ == "__main__":
    main()
