"""Preview of thresholds: how many alarms a night each raises, and how many of them are false."""

from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from scipy.stats import beta

from anomdiff.jobs import command_line
from anomdiff.jobs.exit_codes import SettingsError, meanings
from anomdiff.jobs.labels import anomaly_labels
from anomdiff.jobs.readers import FileOptions, Table, match_columns

__all__ = ["main", "preview"]

SCORED = ["anomaly_score", "p_value"]
# False alarms to expect, and the ends of the range that holds so many of them.
FALSE, COVERED = ["false", "false_low", "false_high"], 0.9
# Most calibration rows that p-values are read for.
LARGEST_GRID = 10_000_000
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
        to raise: ``alpha`` times the rows), ``false_low`` and ``false_high`` (with so few rows that
        calibrate, these are as many in 90 % of models; NaN where the p-values do not tell how many
        there are), and where there are labels ``precision`` and ``recall`` among the rows that have
        one.

    Raises
    ------
    ValueError
        If there are no rows with a score, or ``alarms`` or ``nights`` is not above 0.

    Notes
    -----
    Rows that share the last score are all flagged or none, so that no more alarms are raised than
    asked for. Of ``n`` calibration scores ``k - 1`` are above a threshold with ``alpha`` = ``k /
    (n + 1)``; the share of normal rows above it is then a Beta(``k``, ``n + 1 - k``) variable
    (David and Nagaraja, 2003, "Order Statistics", section 2.1).
    """
    if not alarms > 0 or not nights > 0:
        raise SettingsError(f"need alarms and nights above 0; got {alarms} and {nights}.")
    judged = scored[scored["anomaly_score"].notna()].sort_values("anomaly_score", ascending=False)
    if judged.empty:
        raise ValueError(f"need rows with a score; none of {len(scored)} has one.")
    budgets = sorted({max(1, int(share * alarms * nights)) for share in BESIDE})
    grid = _grid(judged["p_value"].to_numpy())
    rows = [_of_budget(judged, budget, nights, grid) for budget in budgets]
    found = pd.DataFrame([row for row in rows if row]).drop_duplicates(ignore_index=True)
    if found.empty:
        raise ValueError(
            f"need scores that differ; {_n_tied(judged)} of {len(judged)} rows share the largest "
            f"one, which is more than {alarms:g} alarms a night: set --alarms to more."
        )
    return found


def _n_tied(judged: pd.DataFrame) -> int:
    return int((judged["anomaly_score"] == judged["anomaly_score"].iloc[0]).sum())


def _grid(p_values: np.ndarray) -> int | None:
    """Calibration rows and one: what p-values are whole shares of; None if they are of no such."""
    found = 1
    for value in np.unique(p_values):
        found = lcm(found, Fraction(float(value)).limit_denominator(LARGEST_GRID).denominator)
        if found > LARGEST_GRID:
            return None
    return found


def _false_ones(alpha: float, rows: float, grid: int | None) -> dict[str, float]:
    """False alarms to expect of some rows, and between which numbers in 90 % of models."""
    ends = np.full(2, np.nan)
    if grid is not None and alpha < 1:
        above = round(alpha * grid)
        ends = rows * beta(above, grid - above).ppf([(1 - COVERED) / 2, (1 + COVERED) / 2])
    return dict(zip(FALSE, map(float, (alpha * rows, *ends)), strict=True))


def _of_budget(
    judged: pd.DataFrame, budget: int, nights: int, grid: int | None
) -> dict[str, float]:
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
        **_false_ones(alpha, len(scores) / nights, grid),
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
    ranges = [_range(*ends) for ends in found[FALSE].to_numpy()]
    shown = found.drop(columns=FALSE[1:]).assign(false=ranges)
    shown = shown.rename(columns={"alarms": "alarms a night", "false": "false ones expected"})
    formats = {name: "{:.4g}".format for name in shown if name != "false ones expected"}
    last = found.loc[(found["alarms"] <= alarms).to_numpy()]
    alpha = (last if len(last) else found).iloc[-1]["alpha"]
    advice = f"for at most {alarms:g} alarms a night: --set detector.alpha={alpha:.3g} in training"
    return f"{shown.to_string(index=False, formatters=formats)}\n{advice}"


def _range(expected: float, low: float, high: float) -> str:
    """False alarms to expect, with their range where it is known and not all the same."""
    about, least, most = (f"{each:.3g}" for each in (expected, low, high))
    return about if np.isnan(low) or least == most else f"{about} ({least} to {most})"
