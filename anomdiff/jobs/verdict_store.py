"""The verdicts of all nights in one parquet file, with the rows that were judged."""

from typing import Any

import pandas as pd
import pyarrow as pa

from anomdiff.feedback.judge import Judge
from anomdiff.jobs.exit_codes import SettingsError
from anomdiff.jobs.model_columns import TableColumns
from anomdiff.jobs.readers import Table
from anomdiff.jobs.stores.locations import FilePath

__all__ = [
    "OWN",
    "as_table",
    "judge_of",
    "merged",
    "read_store",
    "require_rows",
    "verdict_names",
]

# Columns of the store beside those of the rows.
OWN = [
    "verdict_key",
    "verdict_batch",
    "verdict",
    "verdict_by",
    "verdict_at",
    "verdict_score",
    "verdict_p_value",
    "verdict_flagged",
]
KEY = ["verdict_batch", "verdict_key"]
SAME = [*KEY, "verdict", "verdict_by"]


def read_store(path: FilePath) -> pd.DataFrame:
    """Read a verdict store.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If the file is another one.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"need a verdict store at {path}; there is no such file: make it with `anomdiff "
            "feedback`, or leave `feedback` out."
        )
    found = Table(path).read()
    if lacking := [name for name in OWN if name not in found]:
        raise ValueError(
            f"need a verdict store at {path}; its columns {lacking} are missing: name the file "
            "that `anomdiff feedback` has written as its `output`."
        )
    return found


def merged(store: pd.DataFrame | None, found: pd.DataFrame) -> pd.DataFrame:
    """Verdicts of a store and new ones: the new one of a row replaces another one.

    A verdict that is there already stays as it is, with the time of its first day. The result does
    not depend on the order of the verdicts, and merging twice is merging once.
    """
    if store is not None:
        place, known = (pd.MultiIndex.from_frame(store[names].astype(str)) for names in (KEY, SAME))
        found = found[~pd.MultiIndex.from_frame(found[SAME].astype(str)).isin(known)]
        kept = store[~place.isin(pd.MultiIndex.from_frame(found[KEY].astype(str)))]
        found = pd.concat([part for part in (kept, found) if len(part)] or [store])
    rows = found.sort_values(KEY, ignore_index=True)
    return rows[[*OWN, *(name for name in rows if name not in OWN)]]


def as_table(store: pd.DataFrame) -> pa.Table:
    """Store as Arrow writes it; columns of cells of several types become text."""
    arrays = {}
    for name in store:
        cells = store[name]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            cells = cells.astype(object)
        try:
            arrays[str(name)] = pa.array(cells, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            arrays[str(name)] = pa.array(cells.astype("string"), from_pandas=True)
    return pa.table(arrays)


def verdict_names(store: pd.DataFrame) -> list[str]:
    """Name of each verdict: its key, and the batch where there is one."""
    pairs = zip(store["verdict_key"], store["verdict_batch"], strict=True)
    return [f"{key} of {batch}" if batch else str(key) for key, batch in pairs]


def judge_of(detector: Any, store: pd.DataFrame, radius: float | None) -> Judge:
    """What a store says to a model; columns of the model that it lacks count as missing.

    Raises
    ------
    SettingsError
        If the model is one of series.
    """
    require_rows(detector)
    names = [str(column.name) for column in detector.schema_.used]
    cells = store.reindex(columns=[*OWN, *names])
    rows = TableColumns(detector, list(cells)).rows(cells)
    return Judge.fit(detector, rows, store["verdict"].tolist(), verdict_names(store), radius)


def require_rows(detector: Any) -> None:
    """Refuse a model of series, or by segments: verdicts are those of rows of one table.

    Raises
    ------
    SettingsError
        If it is one.
    """
    if getattr(detector, "by", None) is not None:
        raise SettingsError(
            f"need a model of one table for feedback; got one by segments of {detector.by!r}: set "
            "`rules` instead."
        )
    if detector.unit != "row":
        raise SettingsError(
            "need a model of single rows for feedback; got one of series: set `mute_until` of a "
            "rule instead."
        )
