"""Score a table with a registered model: batches in, a scored parquet file and a summary out."""

import json
import math
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from anomdiff.evaluation.metrics import auroc, average_precision
from pipelines.errors import command_line
from pipelines.settings import ScoreSettings, is_normal
from pipelines.tables import (
    column_names,
    copy_types,
    count_rows,
    iter_table,
    match_columns,
    text_columns,
)
from pipelines.writing import TableWriter, atomic_paths

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)
RESULTS = {
    "row": pa.int64(),
    "anomaly_score": pa.float64(),
    "p_value": pa.float64(),
    "is_anomaly": pa.bool_(),
}


def score(settings: ScoreSettings, detector: Any = None) -> dict[str, Any]:
    """Score every row of a table and write the result, all or nothing.

    The scored file has `row` (int64, counted from 0 in the order of the input), the kept columns,
    `anomaly_score`, `p_value` and `is_anomaly`. Beside it, `STEM.summary.json` holds what is
    returned. Memory holds one batch and, for quantiles and quality, 5 bytes per row.

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
    source = _Source(settings)  # fails before a model is fetched if there is no table
    model = {"uri": None, "version": None, "run_id": None}
    if detector is None:
        detector, model = _load(settings.model)
    source.select(detector.schema_)
    tally = _Tally(detector.schema_)
    started = time.perf_counter()

    with atomic_paths(settings.output, summary_path(settings.output)) as (table, summary):
        with TableWriter(table, source.output_schema()) as writer:
            for frame in source.batches():
                rows = source.features(frame)
                scored = detector.score_frame(rows)
                writer.write(source.kept(frame).assign(row=frame.index, **scored))
                tally.add(rows, scored["anomaly_score"], scored["is_anomaly"], source.labels(frame))
        seconds = time.perf_counter() - started
        result = {
            "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "data": str(settings.data),
            "output": str(settings.output),
            "model": model,
            "alpha": detector.alpha,
            "threshold": _finite(detector.threshold_),
            **tally.summary(),
            "columns_not_used": [str(name) for name in source.extra],
            "seconds": round(seconds, 3),
            "rows_per_second": round(tally.rows / seconds, 1),
        }
        summary.write_text(json.dumps(result, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return result


def summary_path(output: Path) -> Path:
    """Tell where the summary of a scored file lies."""
    return output.with_name(f"{output.stem}.summary.json")


class _Source:
    """A table to score, and which of its columns go where."""

    def __init__(self, settings: ScoreSettings):
        self.settings = settings
        self.names = column_names(settings.data, header=settings.header)
        keep = self.names if settings.keep == ("all",) else settings.keep
        self.keep = list(match_columns(keep, self.names).values())
        taken = [str(name) for name in self.keep if str(name) in RESULTS]
        if taken:
            raise ValueError(f"need other names for the kept columns {taken}; the output has them.")
        found = [name for name in self.names if str(name) == str(settings.label)]
        self.label = found[0] if settings.label is not None and found else None

    def select(self, schema: Any) -> None:
        """Find the columns of the model; warn of columns that nobody uses."""
        self.columns = match_columns([column.name for column in schema.used], self.names)
        self.numbers = [self.columns[c.name] for c in schema.used if c.kind == "number"]
        wanted = {*self.columns.values(), *self.keep, self.label}
        inferred = set(self.columns) - set(text_columns(schema))
        typed = {self.columns[name] for name in inferred}
        self.read = [name for name in self.names if name in wanted]
        self.text = [name for name in self.read if name not in typed]
        known = {str(column.name) for column in schema.columns} | set(map(str, self.read))
        self.extra = [name for name in self.names if str(name) not in known]
        if self.extra:
            warnings.warn(f"columns {self.extra} are not used by the model.", stacklevel=3)

    def output_schema(self) -> pa.Schema:
        """Types of the scored file."""
        settings = self.settings
        types = copy_types(settings.data, numbers=self.numbers, header=settings.header)
        kept = {str(name): types.field(str(name)).type for name in self.keep}
        results = dict(RESULTS)
        return pa.schema({"row": results.pop("row"), **kept, **results})

    def batches(self) -> Iterator[pd.DataFrame]:
        """Read the rows, with a progress bar on a terminal."""
        data, header = self.settings.data, self.settings.header
        rows = self.settings.batch_rows
        total = count_rows(data)
        with tqdm(total=total, unit="row", unit_scale=True, desc="score", disable=None) as bar:
            for frame in iter_table(
                data, batch_rows=rows, header=header, columns=self.read, text=self.text
            ):
                yield frame
                bar.update(len(frame))

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns of the model, under its names."""
        return frame[list(self.columns.values())].set_axis(list(self.columns), axis=1)

    def kept(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Columns to copy to the output."""
        return frame[self.keep].rename(columns=str)

    def labels(self, frame: pd.DataFrame) -> np.ndarray:
        """Of each row: 1 is an anomaly, 0 is normal, -1 is not known."""
        if self.label is None:
            return np.full(len(frame), -1, dtype=np.int8)
        anomaly = ~is_normal(frame[self.label], self.settings.normal)
        return anomaly.where(frame[self.label].notna(), -1).astype(np.int8).to_numpy()


class _Tally:
    """What the summary needs of all batches."""

    def __init__(self, schema: Any):
        self.schema = schema
        self.rows = self.alarms = 0
        self.missing = pd.Series(0, index=[str(column.name) for column in schema.used])
        self.scores: list[np.ndarray] = []
        self.labels: list[np.ndarray] = []

    def add(self, rows, scores, alarms, labels) -> None:
        """Count a batch."""
        self.rows += len(rows)
        self.alarms += int(alarms.sum())
        self.missing += self.schema.check(rows).rename(columns=str).isna().sum()
        self.scores.append(scores.to_numpy(np.float32))
        self.labels.append(labels)

    def summary(self) -> dict[str, Any]:
        """Sum up."""
        scores = np.concatenate(self.scores)
        quantiles = np.quantile(scores, QUANTILES)
        return {
            "rows": self.rows,
            "alarms": self.alarms,
            "alarm_rate": self.alarms / self.rows,
            "score_quantiles": dict(zip(map(str, QUANTILES), quantiles.tolist(), strict=True)),
            "missing_rates": (self.missing / self.rows).to_dict(),
            "quality": _quality(np.concatenate(self.labels), scores),
        }


def _quality(labels: np.ndarray, scores: np.ndarray) -> dict[str, Any] | None:
    """Compare with the labels; None where they are missing or all the same."""
    labels, scores = labels[labels >= 0], scores[labels >= 0]
    if len(np.unique(labels)) < 2:
        return None
    return {
        "labelled_rows": len(labels),
        "anomalies": int(labels.sum()),
        "auroc": auroc(labels, scores),
        "average_precision": average_precision(labels, scores),
    }


def _load(uri: str) -> tuple[Any, dict[str, Any]]:
    """Load the model; an alias is resolved once, so that the summary names what was loaded."""
    from anomdiff.mlops import flavor, store  # MLflow takes seconds

    store.ensure_store()
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
@click.option("--batch-rows", type=int, help="Rows in memory at a time.")
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
