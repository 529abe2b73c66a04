"""The rows of a table that a training learns from, and in which types they are read."""

import pandas as pd

from anomdiff.jobs.alarm_rules import in_scope
from anomdiff.jobs.labels import is_normal
from anomdiff.jobs.model_columns import whole_labels
from anomdiff.jobs.readers import Name, Table, find_column, match_columns
from anomdiff.jobs.settings import TrainSettings

__all__ = ["learned_rows", "panel_columns", "read_rows", "row_seed", "training_rows"]


def training_rows(settings: TrainSettings) -> pd.DataFrame:
    """Rows of the table without its anomalies, its label and the columns to drop."""
    return learned_rows(settings, read_rows(settings))


def read_rows(settings: TrainSettings) -> pd.DataFrame:
    """All rows and columns of the table, in the types that training needs."""
    table = Table(settings.source, settings.file_options)
    series = panel_columns(settings, table.names)["series"]
    frame = table.read(text=_texts(settings, table.names, series))
    if series is not None:
        frame[series] = whole_labels(frame[series])
    return frame


def learned_rows(settings: TrainSettings, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows to learn from: without anomalies, what rules leave out, the label and other columns."""
    frame = _ruled(frame, settings)
    if settings.label is not None:
        label = match_columns([settings.label], list(frame))[settings.label]
        frame = _normal_rows(frame, label, settings)
    if settings.max_rows is not None and len(frame) > settings.max_rows:
        frame = frame.sample(settings.max_rows, random_state=row_seed(settings, frame))
    drop = match_columns(settings.drop, frame.columns)
    return frame.drop(columns=list(drop.values())).reset_index(drop=True)


def row_seed(settings: TrainSettings, frame: pd.DataFrame) -> int:
    """Seed to draw rows with: `random_state` of the detector, or one that the rows themselves give.

    The same rows are so split and sampled alike, whether or not the settings have a seed.
    """
    from anomdiff.integrations.mlflow import runs

    seed = settings.detector.get("random_state")
    return int(runs.data_digest(frame)[:8], 16) if seed is None else seed


def panel_columns(settings: TrainSettings, names: list[Name]) -> dict[str, Name | None]:
    """Columns of series and time, as the table names them."""
    found: dict[str, Name | None] = {}
    for role, wanted in (("series", settings.series), ("time", settings.time)):
        found[role] = find_column(names, wanted)
        if wanted is not None and found[role] is None:
            raise ValueError(f"need the column {wanted!r} of {role}; the table has {names}.")
    return found


def _texts(settings: TrainSettings, names: list[Name], series: Name | None) -> list[Name]:
    """Columns to read as text: a category stays what the file has ('0042'), as do series."""
    kinds = {**settings.kinds, **(settings.detector.get("kinds") or {})}
    categories = [name for name, kind in kinds.items() if kind == "category"]
    found = [find_column(names, name) for name in (*categories, series, settings.by)]
    return [name for name in found if name is not None]


def _ruled(frame: pd.DataFrame, settings: TrainSettings) -> pd.DataFrame:
    """Leave out rows that the rules say not to learn from."""
    left_out = pd.Series(False, index=frame.index)
    for rule in settings.rules:
        left_out |= in_scope(rule.where, frame)
    if len(frame) and left_out.all():
        raise ValueError(f"need rows to learn from; the rules leave out all {len(frame)}.")
    return _without(frame, left_out, settings) if left_out.any() else frame


def _normal_rows(frame: pd.DataFrame, label: Name, settings: TrainSettings) -> pd.DataFrame:
    """Leave out rows that are not normal; steps of series stay, without their values."""
    normal = is_normal(frame[label], settings.normal)
    if not normal.any():
        found = frame[label].drop_duplicates().head(5).tolist()
        raise ValueError(
            f"need rows whose {label!r} is one of {list(settings.normal)}; got values {found}."
        )
    return _without(frame.drop(columns=[label]), ~normal, settings)


def _without(rows: pd.DataFrame, left_out: pd.Series, settings: TrainSettings) -> pd.DataFrame:
    """Rows without some of them; steps of series stay, without their values, where others do."""
    if settings.estimator == "tabular":
        return rows[~left_out]
    # Without these steps their neighbours would become neighbours of each other.
    panel = panel_columns(settings, list(rows))
    if panel["series"] is not None:
        whole = left_out.groupby(rows[panel["series"]].to_numpy(), dropna=False).transform("all")
        rows, left_out = rows[~whole], left_out[~whole]
    keys = [name for name in panel.values() if name is not None]
    channels = [name for name in rows if name not in keys]
    kept = rows.copy()
    kept[channels] = rows[channels].mask(left_out)
    return kept
