"""Preview of thresholds: how many alarms a night each raises, and how many of them are false."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from anomdiff.jobs import command_line
from anomdiff.jobs.exit_codes import SettingsError, meanings
from anomdiff.jobs.labels import anomaly_labels
from anomdiff.jobs.readers import FileOptions, Table, match_columns

__all__ = ["main", "preview"]

SCORED = ["anomaly_score", "p_value"]
# Budgets that are shown beside the one asked for, in times of it.
BESIDE = 0.25, 0.5, 1.0, 2.0, 4.0


def preview(scored: pd.DataFrame, alarms: float, *, nights: int = 1) -> pd.DataFrame:
    """Thresholds by how many alarms a night they raise on scored rows.

    Parameters
    ----------
    scored : DataFrame
        Columns ``anomaly_score`` and ``p_value``, and where the truth is known ``label``: 1 is an
        anomaly, 0 a normal row, -1 is not known.
    alarms : float
        Alarms a night that are wanted.
    nights : int, default=1
        Nights that the rows are of.

    Returns
    -------
    preview : DataFrame
        A row for each budget, from a quarter of it to four times: ``alarms`` (a night, that the
        threshold raises), ``threshold`` (of the anomaly score, which is to be above it), ``alpha``
        (largest p-value that is flagged), ``false`` (alarms a night that normal rows are expected
        to raise: ``alpha`` times the rows), and where there are labels ``precision`` and
        ``recall`` among the rows that have one.

    Raises
    ------
    ValueError
        If there are no rows with a score, or ``alarms`` or ``nights`` is not above 0.

    Notes
    -----
    Rows that share the last score are all flagged or none, so that no more alarms are raised than
    asked for.
    """
    if not alarms > 0 or not nights > 0:
        raise SettingsError(f"need alarms and nights above 0; got {alarms} and {nights}.")
    judged = scored[scored["anomaly_score"].notna()].sort_values("anomaly_score", ascending=False)
    if judged.empty:
        raise ValueError(f"need rows with a score; none of {len(scored)} has one.")
    budgets = sorted({max(1, int(share * alarms * nights)) for share in BESIDE})
    rows = [_of_budget(judged, budget, nights) for budget in budgets]
    found = pd.DataFrame([row for row in rows if row]).drop_duplicates(ignore_index=True)
    if found.empty:
        raise ValueError(
            f"need scores that differ; {_n_tied(judged)} of {len(judged)} rows share the largest "
            f"one, which is more than {alarms:g} alarms a night: set --alarms to more."
        )
    return found


def _n_tied(judged: pd.DataFrame) -> int:
    return int((judged["anomaly_score"] == judged["anomaly_score"].iloc[0]).sum())


def _of_budget(judged: pd.DataFrame, budget: int, nights: int) -> dict[str, float]:
    """What the lowest threshold does that raises at most so many alarms; empty if none does."""
    scores = judged["anomaly_score"].to_numpy()
    n = min(budget, len(scores))
    if n < len(scores):  # the next one stays below the threshold, with all that equal it
        n = int(np.searchsorted(-scores, -scores[n], side="left"))
    if not n:
        return {}
    flagged = judged.iloc[:n]
    below = scores[n] if n < len(scores) else np.nextafter(scores[-1], -np.inf)
    alpha = float(flagged["p_value"].max())
    found = {
        "alarms": n / nights,
        "threshold": float(below),
        "alpha": alpha,
        "false": alpha * len(scores) / nights,
    }
    return found | (_quality(judged, flagged) if "label" in judged else {})


def _quality(judged: pd.DataFrame, flagged: pd.DataFrame) -> dict[str, float]:
    """Precision and recall among rows whose label is known; NaN where there are none."""
    known, anomalies = flagged["label"].isin([0, 1]).sum(), (judged["label"] == 1).sum()
    hits = (flagged["label"] == 1).sum()
    return {
        "precision": hits / known if known else np.nan,
        "recall": hits / anomalies if anomalies else np.nan,
    }


@click.command(epilog=meanings())
@click.argument("scored")
@click.option(
    "--alarms",
    type=click.FloatRange(min=0, min_open=True),
    required=True,
    help="Alarms a night that are wanted.",
)
@click.option(
    "--nights",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Nights that the rows are of.",
)
@click.option("--label", help="Column of the scored file that says what a row is.")
@click.option("--normal", multiple=True, help="Value of the label that means a normal row.")
def main(
    scored: str, alarms: float, nights: int, label: str | None, normal: tuple[str, ...]
) -> None:
    """Show what thresholds around a budget would raise on SCORED, files of `anomdiff score`."""
    with command_line.reported_errors():
        click.echo(_table(_read(Path(scored), label, normal), alarms, nights))


def _read(path: Path, label: str | None, normal: tuple[str, ...]) -> pd.DataFrame:
    table = Table(path, FileOptions())
    wanted: list[Any] = [*SCORED, *([label] if label is not None else [])]
    columns = match_columns(wanted, table.names)
    if label is not None and not normal:
        raise SettingsError(f"need --normal, the value of column {label!r} that means normal.")
    frame = table.read()[list(columns.values())]
    if label is None:
        return frame
    return frame[SCORED].assign(label=anomaly_labels(frame[columns[label]], normal))


def _table(frame: pd.DataFrame, alarms: float, nights: int) -> str:
    found = preview(frame, alarms, nights=nights)
    shown = found.rename(columns={"alarms": "alarms a night", "false": "false ones expected"})
    formats = {name: "{:.4g}".format for name in shown}
    last = found.loc[(found["alarms"] <= alarms).to_numpy()]
    alpha = (last if len(last) else found).iloc[-1]["alpha"]
    advice = f"for at most {alarms:g} alarms a night: --set detector.alpha={alpha:.3g} in training"
    return f"{shown.to_string(index=False, formatters=formats)}\n{advice}"
