"""Take in verdicts on alarms: find the judged rows, and keep both for `anomdiff score`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pyarrow.parquet as pq

from anomdiff.explain.reasons import cell_text
from anomdiff.feedback.verdicts import CONFIRMED, FALSE_ALARM, MISSED, precision_at, read_verdicts
from anomdiff.jobs import command_line
from anomdiff.jobs.batch.places import summary_path
from anomdiff.jobs.dry_run import dry_run
from anomdiff.jobs.exit_codes import SettingsError, meanings
from anomdiff.jobs.feedback_settings import FeedbackSettings
from anomdiff.jobs.model_columns import TableColumns
from anomdiff.jobs.readers import Name, Table, find_column, match_columns
from anomdiff.jobs.registered import told_if_missing
from anomdiff.jobs.runs.locks import locked
from anomdiff.jobs.verdict_store import (
    OWN,
    as_table,
    judge_of,
    merged,
    read_store,
    require_rows,
)
from anomdiff.jobs.writers import atomic_paths, json_values, write_json

__all__ = ["feedback", "main"]

# Of judged alarms, the k most severe.
FIRST_ALARMS = (10, 100)
# Keys without a row that are named.
FIRST_KEYS = 3
ROW_NUMBER = "row"  # the number of a row, which tells it from others where there is no key
JOINT = " | "  # between the parts of a key of several columns


def feedback(settings: FeedbackSettings, detector: Any = None) -> dict[str, Any]:
    """Add verdicts to a store, with the rows they are about, and tell how good the alarms were.

    Scores and p-values are those that the model gives to the judged rows now: what a night has
    written, if the model is that of the night. A `detector` is used instead of the model that the
    settings name. Verdicts that the store has already stay as they are, so that a second run
    changes nothing. One run at a time writes a store: another one is a ``BusyError``.

    Returns
    -------
    summary : dict
        ``verdicts`` (that were written), ``not_found`` (whose rows are not in the data),
        ``not_found_keys`` (of the first of them), counts of each verdict, ``precision`` (of judged
        alarms, by how many are looked at), ``missed`` (anomalies that raise no alarm), ``stored``
        (verdicts of all nights), ``muting`` (false alarms among them whose copies will be muted),
        ``radius`` and ``reweighting`` (whether the order of alarms is learned from verdicts). It
        lies beside the store as JSON.
    """
    if settings.output.suffix != ".parquet":
        raise SettingsError(f"need an output named .parquet; got {settings.output}.")
    verdicts = _verdicts(settings)
    detector = _load(settings.model) if detector is None else detector
    require_rows(detector)
    found = _judged(settings, detector, verdicts)
    with locked(settings.output):  # two runs at once would each write a store without the other's
        return _added(settings, detector, verdicts, found)


def _added(
    settings: FeedbackSettings, detector: Any, verdicts: pd.DataFrame, found: pd.DataFrame
) -> dict[str, Any]:
    """Merge judged rows into the store, write it, and tell how good the alarms were."""
    store = read_store(settings.output) if settings.output.is_file() else None
    store = merged(store, found)
    judge = judge_of(detector, store, settings.feedback_radius)
    flagged = found[found["verdict_flagged"].astype(bool)]
    anomalous = found["verdict"] != FALSE_ALARM
    counts = {name: int((found["verdict"] == name).sum()) for name in (FALSE_ALARM, CONFIRMED)}
    summary = json_values(
        {
            "taken_in_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "verdicts": len(verdicts),
            "not_found": len(verdicts) - len(found),
            "not_found_keys": _not_found(verdicts, found),
            "false_alarms": counts[FALSE_ALARM],
            "confirmed": counts[CONFIRMED],
            "missed": int((anomalous & ~found["verdict_flagged"].astype(bool)).sum()),
            "precision": precision_at(
                flagged["verdict_score"], flagged["verdict"] != FALSE_ALARM, FIRST_ALARMS
            ),
            "stored": len(store),
            "muting": int(judge.silenced().sum()),
            "radius": judge.nearest.radius,
            "reweighting": judge.reweighting.told,
            "output": str(settings.output),
        }
    )
    beside = summary_path(settings.output)
    with atomic_paths(settings.output, beside) as (path, report):
        pq.write_table(as_table(store), path, compression="zstd")
        write_json(report, summary)
    return summary


def _not_found(verdicts: pd.DataFrame, found: pd.DataFrame) -> list[str]:
    """Keys of the first verdicts whose rows are not in the data."""
    without = verdicts.index[~verdicts.index.isin(found["verdict_key"])]
    return [str(key) for key in without[:FIRST_KEYS]]


def _verdicts(settings: FeedbackSettings) -> pd.DataFrame:
    """What was written, by key: `verdict`, `by`, `at` and `batch`; rows that nobody judged are not.

    Raises
    ------
    ValueError
        If there is none, or a row has two different ones.
    """
    table = Table(settings.verdicts, settings.file_options)
    keys = list(match_columns(settings.key or [ROW_NUMBER], table.names).values())
    column = match_columns(["verdict"], table.names)["verdict"]
    cells = table.read(text=[*keys, column])
    verdict = read_verdicts(cells[column])
    found = pd.DataFrame({"key": _keys(cells, keys), "verdict": verdict})
    for name in ("by", "at"):
        own = find_column(table.names, name)
        found[name] = "" if own is None else cells[own].map(cell_text).fillna("")
    found["batch"] = _batches(settings, cells, find_column(table.names, "batch_date"))
    found = found[found["verdict"].notna() & _of_the_batch(settings, found["batch"])]
    found = found.drop_duplicates(["key", "batch", "verdict"])
    if found.empty:
        raise ValueError(
            f"need verdicts in column {column!r} of {settings.verdicts}; none is written there: "
            f"write {FALSE_ALARM!r}, {CONFIRMED!r} or {MISSED!r}."
        )
    if len(twice := found[found.duplicated("key")]):
        raise ValueError(
            f"need one verdict for each row; row {twice['key'].iloc[0]!r} and "
            f"{len(twice) - 1} more have several: leave one, or set `batch_date` where they are of "
            "several nights."
        )
    return found.set_index("key")


def _batches(settings: FeedbackSettings, cells: pd.DataFrame, column: Name | None) -> pd.Series:
    """Date of the batch of each verdict as text; empty where it is not known."""
    if column is not None:
        return cells[column].map(cell_text).fillna("").str[:10]
    day = settings.batch_date
    return pd.Series("" if day is None else day.isoformat(), index=cells.index)


def _of_the_batch(settings: FeedbackSettings, batches: pd.Series) -> pd.Series:
    """Whether verdicts are of the batch that is asked for; all are if none is."""
    if settings.batch_date is None:
        return pd.Series(True, index=batches.index)
    return batches == settings.batch_date.isoformat()


def _judged(settings: FeedbackSettings, detector: Any, verdicts: pd.DataFrame) -> pd.DataFrame:
    """The judged rows of the data as the store has them.

    Raises
    ------
    ValueError
        If none is there, or a key is there twice.
    """
    table = Table(settings.source, settings.file_options)
    columns = TableColumns(detector, table.names)
    keys = list(match_columns(settings.key, table.names).values())
    wanted = {*columns.found.values(), *keys}
    names = [name for name in table.names if name in wanted]
    parts = []
    for frame in table.batches(settings.batch_size, columns=names, text=[*columns.text, *keys]):
        own = _keys(frame, keys) if keys else pd.Series(frame.index.astype(str), index=frame.index)
        judged = own.isin(verdicts.index)
        if judged.any():
            rows = columns.rows(frame[judged])
            rows = rows.mask(detector.schema_.unreadable(rows))  # count as missing
            parts.append(_stored(own[judged], rows, detector.score_frame(rows), verdicts))
    if not parts:
        raise ValueError(
            f"need the judged rows in {settings.data}; none of the {len(verdicts)} keys, such as "
            f"{verdicts.index[0]!r}, is there: set `key` to the column that has them."
        )
    found = pd.concat(parts, ignore_index=True)
    if len(twice := found[found["verdict_key"].duplicated()]):
        raise ValueError(
            f"need keys that tell rows apart; {twice['verdict_key'].iloc[0]!r} is in "
            f"{settings.data} more than once: set further columns in `key`."
        )
    return found


def _stored(
    keys: pd.Series, rows: pd.DataFrame, scored: pd.DataFrame, verdicts: pd.DataFrame
) -> pd.DataFrame:
    """Judged rows with the columns of the store."""
    own = verdicts.loc[keys].set_axis(rows.index)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    told = {
        "verdict_key": keys,
        "verdict_batch": own["batch"],
        "verdict": own["verdict"],
        "verdict_by": own["by"],
        "verdict_at": own["at"].where(own["at"] != "", now),
        "verdict_score": scored["anomaly_score"],
        "verdict_p_value": scored["p_value"],
        "verdict_flagged": scored["is_anomaly"],
    }
    if taken := set(map(str, rows)) & set(OWN):
        raise ValueError(f"need other names for the columns {sorted(taken)}; the store has them.")
    return pd.DataFrame(told).join(rows.rename(columns=str))


def _keys(cells: pd.DataFrame, columns: Sequence[Name]) -> pd.Series:
    """Keys as text: whole numbers without a fraction, several columns with a mark between."""
    texts = [cells[name].map(cell_text).fillna("").str.strip() for name in columns]
    return pd.Series(
        list(map(JOINT.join, zip(*texts, strict=True))), index=cells.index, dtype=object
    )


def _load(uri: str) -> Any:
    """Load the model."""
    from anomdiff.integrations.mlflow import flavor, tracking_store

    tracking_store.ensure_store()
    with told_if_missing(f"a model at {uri}", "`model`"):
        return flavor.load_model(uri)


def describe(summary: dict[str, Any]) -> str:
    """Lines that say what was taken in, and what it changes."""
    precision = ", ".join(
        f"{share:.1%} of {'all' if k == 'all' else f'the first {k}'}"
        for k, share in summary["precision"].items()
    )
    keys = ", ".join(map(repr, summary["not_found_keys"]))
    more = ", ..." if summary["not_found"] > len(summary["not_found_keys"]) else ""
    return (
        f"verdicts   {summary['verdicts']:,}: {summary['confirmed']:,} confirmed, "
        f"{summary['false_alarms']:,} false alarms; {summary['not_found']:,} without a row"
        f"{f' ({keys}{more})' if keys else ''}\n"
        f"precision  of judged alarms: {precision or 'none was judged'}\n"
        f"missed     {summary['missed']:,} anomalies that raise no alarm\n"
        f"muted      what is within {summary['radius']:.3g} of {summary['muting']:,} false alarms\n"
        f"order      {summary['reweighting']}\n"
        f"store      {summary['stored']:,} verdicts: {summary['output']}"
    )


@click.command(epilog=meanings())
@command_line.with_options(FeedbackSettings)
def main(config: Path | None, **options: Any) -> None:
    """Take in verdicts on alarms as the settings file CONFIG says; options override it."""
    with command_line.reported_errors():
        settings = command_line.loaded(FeedbackSettings, config, options)
        click.echo(dry_run(settings) if settings.dry_run else describe(feedback(settings)))
