"""Why rows of a table, or steps of series, are alarms: the worst ones with their reasons."""

from typing import Any

import click
import pandas as pd

from anomdiff.jobs import command_line
from anomdiff.jobs.base_settings import CHAMPION, Settings
from anomdiff.jobs.exit_codes import SettingsError, meanings
from anomdiff.jobs.model_columns import read_model_rows
from anomdiff.jobs.registered import load_model
from anomdiff.jobs.stores.locations import as_location

__all__ = ["explained", "main"]


def explained(detector: Any, rows: pd.DataFrame, numbers: list[int], top: int) -> pd.DataFrame:
    """Contributions of the columns to the scores of some rows, by number from 0.

    Parameters
    ----------
    detector : TabularDetector, SegmentedDetector or TimeSeriesDetector
        The fitted detector.
    rows : DataFrame
        The table.
    numbers : list of int
        Rows to explain; the worst alarms are better left to ``alarms``.
    top : int
        Columns per row.

    Returns
    -------
    contributions : DataFrame
        As from ``detector.explain``; ``row`` is the number.

    Raises
    ------
    SettingsError
        If there is no row of a number.
    """
    if wrong := [number for number in numbers if not 0 <= number < len(rows)]:
        raise SettingsError(f"need --row from 0 to {len(rows) - 1}; got {wrong[:5]}.")
    numbered = rows.reset_index(drop=True)
    if detector.unit == "step":
        return detector.explain(numbered, top=top, rows=numbers)
    return detector.explain(numbered.iloc[numbers], top=top)


@click.command(epilog=meanings())
@click.argument("data")
@click.option("--model", default=CHAMPION, show_default=True, help="Address or folder of a model.")
@click.option("--row", "rows", type=int, multiple=True, help="Number of a row from 0; repeat it.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=10, show_default=True, help="Most alarms."
)
@click.option(
    "--top", type=click.IntRange(min=1), default=3, show_default=True, help="Columns of each."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def main(data: str, model: str, rows: tuple[int, ...], limit: int, top: int, as_json: bool) -> None:
    """Say why the worst rows of DATA are alarms, or what the given ones are due to."""
    with command_line.reported_errors():
        detector = load_model(model)
        frame, _ = read_model_rows(as_location(data), Settings(), detector)
        if rows:
            found = explained(detector, frame, list(rows), top)
        else:
            found = _alarms(detector, frame, limit, top)
    if as_json:
        click.echo(found.to_json(orient="records", date_format="iso", default_handler=str))
    else:
        click.echo(found.to_string(index=False) if len(found) else "no alarms")


def _alarms(detector: Any, frame: pd.DataFrame, limit: int, top: int) -> pd.DataFrame:
    """The worst alarms by the number of the row, with reasons."""
    found = detector.alarms(frame.reset_index(drop=True), limit=limit, top=top)
    shown = ["anomaly_score", "p_value", "severity", "reasons"]
    return found[shown].rename_axis("row").reset_index()
