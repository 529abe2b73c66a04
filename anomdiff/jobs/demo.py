"""All jobs on one screen: train, register, score a later batch, look at the alarms.

Without a file it runs on payments with planted fraud and on a medical table, and says how many of
the known anomalies it found. With a file it needs no label: 30 % of the rows are the later batch.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pandas as pd

from anomdiff import datasets
from anomdiff.detectors.tabular import TabularDetector
from anomdiff.jobs import command_line
from anomdiff.jobs.base_settings import Settings
from anomdiff.jobs.baseline import isolation_forest_scores
from anomdiff.jobs.readers import FileOptions, Table
from anomdiff.jobs.score import score
from anomdiff.jobs.settings import ScoreSettings, TrainSettings
from anomdiff.jobs.train import TrainReport, describe, how_to_look, train
from anomdiff.metrics.detection import auroc, average_precision

__all__ = ["aligned", "cell_text", "file_demo", "main", "medical_demo", "payments_demo"]

OUTPUT = Path("demo-output")
LATER_FRACTION = 0.3  # of a user's rows
N_SHOWN, N_COLUMNS = 10, 2
N_DIGITS = 8  # longer numbers in text columns are shortened
# A third of the default training: the user waits for a demo.
QUICK = {"max_iter": 1000, "random_state": 0}


PLAIN: dict[str, Any] = {"header": True, "separator": ",", "decimal": ".", "encoding": "utf-8"}


class Scored(NamedTuple):
    """A later batch, its scores in the same order, and the model that gave them."""

    report: TrainReport
    detector: TabularDetector
    batch: pd.DataFrame
    scores: pd.DataFrame
    path: Path


def payments_demo(
    folder: Path, *, n_training: int, n_later: int, detector: dict[str, Any]
) -> Scored:
    """Train on a month of payments without fraud and score the next month's, 2 % of it fraud."""
    training, _ = datasets.payments(n_training, seed=0)
    later, truth = datasets.payments(n_later, fraud_rate=0.02, seed=1, start="2025-01-31")
    click.echo(
        f"{n_training:,} payments to learn from; then {n_later:,} later ones, "
        f"{truth['is_fraud'].sum()} of them planted fraud that the model knows nothing about."
    )
    done = _run(training, later, folder / "payments", detector, ".parquet")
    _echo_top(done, truth["kind"])
    others = isolation_forest_scores(training, later, done.detector.alpha)
    _echo_quality(truth["is_fraud"], done, others, truth["kind"])
    return done


def medical_demo(folder: Path, *, detector: dict[str, Any]) -> Scored:
    """Train on six of ten benign tumours of scikit-learn's table and score all the others."""
    frame, malignant = datasets.medical()
    chosen = frame.index.isin(frame[~malignant].sample(frac=0.6, random_state=0).index)
    training, later = frame[chosen], frame[~chosen]
    click.echo(
        f"{len(training)} benign tumours to learn from; then {len(later)} others, "
        f"{malignant.sum()} of them malignant."
    )
    done = _run(training, later, folder / "tumours", detector, ".parquet")
    others = isolation_forest_scores(training, later, done.detector.alpha)
    _echo_quality(malignant[~chosen], done, others)
    return done


def file_demo(
    data: Path, folder: Path, *, detector: dict[str, Any], options: FileOptions | None = None
) -> Scored:
    """Train on 70 % of a table, drawn at random, and score the rest."""
    table = Table(data, options)
    frame = table.read().rename(columns=str)  # as they are named in the files of the demo
    later = frame.sample(frac=LATER_FRACTION, random_state=0).sort_index()
    training = frame.drop(later.index)
    if later.empty:
        raise ValueError(f"need at least 10 rows to hold some back; {data} has {len(frame)}.")
    click.echo(
        f"{len(training):,} rows of {data.name} to learn from, drawn at random; "
        f"the other {len(later):,} are scored."
    )
    suffix = ".parquet" if table.has_types else ".csv"
    name = re.sub(r"[^\w-]+", "-", data.stem).strip("-") or "table"
    done = _run(training, later, folder / name, detector, suffix)
    _echo_top(done)
    return done


def _run(
    training: pd.DataFrame, later: pd.DataFrame, folder: Path, detector: dict[str, Any], suffix: str
) -> Scored:
    """Train on one file and score another: a registered model and a scored file."""
    from anomdiff.integrations.mlflow import flavor

    folder.mkdir(parents=True, exist_ok=True)
    past, batch = folder / f"training{suffix}", folder / f"later{suffix}"
    for frame, path in ((training, past), (later, batch)):
        frame.to_csv(path, index=False) if suffix == ".csv" else frame.to_parquet(path, index=False)
    report = train(
        TrainSettings(
            data=past, experiment="demo", registered_name=folder.name, detector=detector, **PLAIN
        )
    )
    if report is None:
        raise ValueError("need a single process for the demo; got one of several.")
    output = folder / "later.scored.parquet"
    summary = score(ScoreSettings(data=batch, output=output, model=report.model_uri, **PLAIN))
    click.echo(
        f"{summary['rows']:,} rows scored, {summary['alarms']:,} alarms "
        f"({summary['alarm_rate']:.1%}) at alpha = {summary['alpha']:g}.\n"
    )
    fitted = flavor.load_model(report.model_uri)
    return Scored(report, fitted, later.reset_index(drop=True), pd.read_parquet(output), output)


def _echo_top(done: Scored, kinds: pd.Series | None = None) -> None:
    """Print the most anomalous rows and their anomalous cells, with the expected values."""
    top = done.scores.nlargest(N_SHOWN, "anomaly_score")
    explained = done.detector.explain(done.batch.loc[top["row"]], top=N_COLUMNS)
    lines = [["row", "score", "p-value", *([] if kinds is None else ["truth"]), "anomalous cells"]]
    for row, value, p_value in zip(top["row"], top["anomaly_score"], top["p_value"], strict=True):
        cells = explained[(explained["row"] == row) & (explained["contribution"] > 0)]
        sentence = "; ".join(
            _anomalous_cell(done.batch.loc[row], cell) for cell in cells.itertuples()
        )
        truth = [] if kinds is None else [kinds.iloc[row] or "normal"]
        lines.append([str(row), f"{value:.1f}", f"{p_value:.4f}", *truth, sentence])
    click.echo(f"The {len(top)} most anomalous rows, and their anomalous cells")
    click.echo(aligned(lines, n_right=3) + "\n")


def _echo_quality(
    labels: pd.Series,
    done: Scored,
    others: tuple[np.ndarray, float],
    kinds: pd.Series | None = None,
) -> None:
    """Print the quality against the known truth, beside IsolationForest's on the same rows."""
    labels = labels.to_numpy(bool)
    ours = done.scores["anomaly_score"].to_numpy(), done.detector.threshold_
    lines = [["", "anomdiff", "IsolationForest"]]
    for name, measure in (("AUROC", auroc), ("average precision", average_precision)):
        lines.append([name, *(f"{measure(labels, scores):.3f}" for scores, _ in (ours, others))])
    groups = {"alarms on normal rows": ~labels, "anomalies found": labels}
    for kind in [] if kinds is None else sorted(kinds[labels].unique()):
        groups[f"  {kind}"] = (kinds == kind).to_numpy()
    for name, rows in groups.items():
        rates = ((scores[rows] > threshold).mean() for scores, threshold in (ours, others))
        lines.append([name, *(f"{rate:.1%}" for rate in rates)])
    click.echo("Against the known truth")
    click.echo(aligned([[cells[0].ljust(24), *cells[1:]] for cells in lines], n_right=3) + "\n")


def aligned(lines: list[list[str]], *, n_right: int) -> str:
    """Lay out cells in columns, the first `n_right` of them flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    sides: list[Callable[..., str]] = [str.rjust] * n_right + [str.ljust] * (len(widths) - n_right)
    rows = (
        "  ".join(side(*cell) for side, *cell in zip(sides, line, widths, strict=True))
        for line in lines
    )
    return "\n".join(f"  {row.rstrip()}" for row in rows)


def _echo_places(*runs: Scored) -> None:
    """Print where models, runs and scored files are."""
    _heading("Where to look")
    for done in runs:
        click.echo(describe(done.report))
        click.echo(f"scored    {done.path}\n")
    click.echo(f"to look   {how_to_look(runs[0].report.store)}")


def _heading(text: str) -> None:
    """Print a heading."""
    click.secho(f"\n{text}\n{'-' * len(text)}", bold=True)


def _anomalous_cell(row: pd.Series, cell: Any) -> str:
    """Cell as the table has it, and its expected value; missing where the detector reads so."""
    found = "missing" if pd.isna(cell.value) else cell_text(row[cell.column])
    return f"{cell.column} {found} (expected {cell_text(cell.expected)})"


def cell_text(value: object) -> str:
    """Value of a cell in a few characters."""
    if pd.isna(value):
        return "missing"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d %H:%M}"
    if isinstance(value, str) and len(value) > N_DIGITS:
        value = _number(value)
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if abs(float(value)) < 1e4 else f"{value:,.0f}"
    return str(value)


def _number(text: str) -> float | str:
    """Number that a text stands for, or the text without outer space."""
    try:
        return float(text)
    except ValueError:
        return text.strip()


@click.command()
@click.option("--data", type=command_line.PATH, help="Your own table; no label needed.")
@command_line.with_file_options
def main(data: Path | None, **options: Any) -> None:
    """Train, register, score a later batch and look at the alarms."""
    with command_line.reported_errors():
        if data is not None:
            _heading(f"{data.name}")
            asked = Settings.load(None, options).file_options
            _echo_places(file_demo(data, OUTPUT, detector=QUICK, options=asked))
            return
        _heading("Card payments with planted fraud")
        payments = payments_demo(
            OUTPUT, n_training=20_000, n_later=5_000, detector={**QUICK, "alpha": 0.01}
        )
        _heading("A real medical table: breast tumours")
        # 214 rows cannot calibrate a rarer alarm, and are learnt sooner.
        tumours = medical_demo(OUTPUT, detector={**QUICK, "alpha": 0.05, "max_iter": 400})
        _echo_places(payments, tumours)
