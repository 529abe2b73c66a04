"""What the columns of a table are: inferred once from training rows, checked ever after."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from anomdiff.encoding.cell_types import dtype_of, held_type, held_values
from anomdiff.encoding.json_values import as_label, require_labels, require_types, to_json
from anomdiff.encoding.parsing import (
    infer_date_format,
    infer_kind,
    read_cells,
    require_distinct_names,
    storage,
    warn_of_further,
)
from anomdiff.encoding.written import flags_as_numbers, number_texts

__all__ = ["Column", "Schema", "plain_frame"]

KINDS = ("number", "category", "boolean", "datetime", "ignored")
MIN_IDENTIFIER_ROWS = 50
MAX_DISTINCT_SHARE = 0.95
# Integers that never repeat although chance would have repeated that many of them were numbered.
MIN_EXPECTED_REPEATS = 10


@dataclass(frozen=True)
class Column:
    """One column of the training frame."""

    name: Any  # its label: any JSON scalar, or a tuple of them
    kind: str  # how it is read, one of KINDS
    dtype: str  # name of its pandas dtype, which decoding gives back
    nullable: bool  # whether a cell was missing in the training rows
    reason: str = ""  # why it is ignored
    numeric_text: bool = False  # whether its numbers came as text
    date_format: str = ""  # how its dates were written, for ``strftime``, if they came as text
    categories: tuple | None = None  # those of a pandas categorical, in their order
    ordered: bool = False  # whether that categorical is ordered
    held: str = ""  # what its cells or categories are, where the dtype does not say it
    values: tuple | None = None  # distinct cells of other types that are read as categories


@dataclass(frozen=True)
class Schema:
    """All columns of the training frame, in its order, the ignored ones too.

    Examples
    --------
    >>> frame = pd.DataFrame({"age": [" 41", ".", "37"], "city": ["Oslo", "Bergen", "Oslo"]})
    >>> schema = Schema.infer(frame)
    >>> [(column.name, column.kind, column.nullable) for column in schema.columns]
    [('age', 'number', True), ('city', 'category', False)]
    >>> schema.check(frame)["age"].tolist()
    [41.0, nan, 37.0]
    """

    columns: tuple[Column, ...]

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that are not ignored."""
        return tuple(column for column in self.columns if column.kind != "ignored")

    @classmethod
    def infer(cls, frame: pd.DataFrame, *, kinds: Mapping[Any, str] | None = None) -> "Schema":
        """Infer what each column of a frame of training rows is.

        Parameters
        ----------
        frame : DataFrame
            Training rows.
        kinds : mapping from column to kind, optional
            Columns to read as these kinds, also if they look like identifiers.

        Returns
        -------
        schema : Schema
            With a UserWarning for every column that is ignored without being named in ``kinds``,
            and one that names the columns of a single value.

        Raises
        ------
        ValueError
            If the frame is empty, repeats a column name, holds cells that cannot be read or has
            no usable column, or if ``kinds`` names an unknown column or kind.
        """
        _require_frame(frame)
        require_labels(frame.columns)
        kinds = dict(kinds or {})
        _require_kinds(kinds, frame)
        columns = tuple(
            _infer_column(frame[name].rename(name), kinds.get(name))
            for name in frame.columns.tolist()
        )
        for column in columns:
            if column.reason and column.name not in kinds:
                warnings.warn(_ignored_sentence(column), UserWarning, stacklevel=2)
        constant = [c.name for c in columns if c.kind != "ignored" and _is_constant(frame[c.name])]
        if constant and len(frame) > 1:
            sentence = f"columns {constant} hold one value; any other will count as unseen."
            warnings.warn(sentence, UserWarning, stacklevel=2)
        if all(column.kind == "ignored" for column in columns):
            raise ValueError(
                f"need at least one usable column; all of {list(frame.columns)} are ignored."
            )
        return cls(columns)

    def check(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Read the used columns, in any order, into plain dtypes, or say what is wrong with them.

        Returns
        -------
        checked : DataFrame
            A new frame with the same index and the used columns in schema order: float64 for
            numbers and booleans, object (str or None) for categories, datetime64[ns] in UTC for
            datetimes.

        Raises
        ------
        ValueError
            If the frame is empty, a column is missing or repeated, or a cell cannot be read.
        """
        _require_frame(frame)
        used, place = self.used, {name: i for i, name in enumerate(frame.columns.tolist())}
        if missing := [column.name for column in used if column.name not in place]:
            raise ValueError(
                f"the frame has no column {missing}; its columns are {list(frame.columns)}."
            )
        warn_of_further(frame, [column.name for column in self.columns])
        return _read(frame, used, place)

    def to_dict(self) -> dict:
        """Return the schema as JSON values."""
        return {"columns": [_stored(column) for column in self.columns]}

    @classmethod
    def from_dict(cls, state: Mapping) -> "Schema":
        """Rebuild a schema from `to_dict`, before or after a trip through JSON."""
        return cls(tuple(Column(**_with_labels(column)) for column in state["columns"]))


def plain_frame(columns: Mapping[Any, Any], index: pd.Index | None = None) -> pd.DataFrame:
    """Frame of the given arrays or series, each in the dtype it has (text would turn str)."""
    series = [pd.Series(cells, index=index, dtype=cells.dtype) for cells in columns.values()]
    frame = pd.concat(series, axis=1)
    frame.columns = pd.Index(list(columns))
    return frame


def _read(frame: pd.DataFrame, used: tuple[Column, ...], place: Mapping[Any, int]) -> pd.DataFrame:
    """Read columns: plain numbers together, because one by one they cost a server milliseconds."""
    dtypes = frame.dtypes.to_numpy()
    numbers = [c.name for c in used if c.kind == "number" and dtypes[place[c.name]] == np.float64]
    block = frame.iloc[:, [place[name] for name in numbers]].to_numpy(dtype=np.float64)
    if np.isinf(block).any():  # reading one by one says in which column
        numbers, block = [], block[:, :0]
    checked = pd.DataFrame(block, index=frame.index, columns=pd.Index(numbers))
    if len(numbers) == len(used):
        return checked
    alone = [column for column in used if column.name not in set(numbers)]
    others = {column.name: _read_as(frame[column.name], column) for column in alone}
    joined = pd.concat([checked, plain_frame(others, frame.index)], axis=1)
    order = {name: i for i, name in enumerate([*numbers, *others])}
    names = [column.name for column in used]
    return joined.iloc[:, [order[name] for name in names]].set_axis(pd.Index(names), axis=1)


def _read_as(cells: pd.Series, column: Column) -> np.ndarray:
    """Read one column; texts for numbers that are categories are compared as numbers are."""
    if column.kind == "number":
        return read_cells(flags_as_numbers(cells), "number")
    plain = read_cells(cells, column.kind)
    numbers = types.is_numeric_dtype(dtype_of(column.held or column.dtype))
    if column.kind != "category" or not numbers or storage(cells) not in ("text", "category"):
        return plain
    return number_texts(plain)


def _infer_column(cells: pd.Series, wanted: str | None) -> Column:
    categorical = isinstance(cells.dtype, pd.CategoricalDtype)
    stored: dict[str, Any] = {
        "dtype": str(cells.dtype),
        "categories": tuple(cells.cat.categories.tolist()) if categorical else None,
        "ordered": bool(categorical and cells.cat.ordered),
        "held": held_type(cells),
    }
    if wanted == "ignored":
        return Column(cells.name, "ignored", nullable=True, reason="as set by kinds", **stored)
    kind = wanted or infer_kind(cells)
    plain = read_cells(cells, kind)
    missing = pd.isna(plain)
    is_text = storage(cells) == "text"
    stored["values"] = held_values(cells) if kind == "category" else None
    reason = _reason_to_ignore(plain[~missing], cells, None if wanted else kind)
    return Column(
        cells.name,
        "ignored" if reason else kind,
        nullable=bool(missing.any()),
        reason=reason,
        numeric_text=is_text and kind in ("number", "boolean"),
        date_format=infer_date_format(cells) if is_text and kind == "datetime" else "",
        **stored,
    )


def _reason_to_ignore(present: np.ndarray, cells: pd.Series, kind: str | None) -> str:
    if len(present) == 0:
        return "all its cells are missing"
    if len(present) < MIN_IDENTIFIER_ROWS:
        return ""
    if kind == "category":
        distinct = pd.Series(present, dtype=object).nunique()
        if distinct > MAX_DISTINCT_SHARE * len(present):
            return f"{distinct} of its {len(present)} texts are distinct, like names of rows"
    whole = kind == "number" and not pd.api.types.is_float_dtype(cells.dtype)
    if whole and _are_numbered(present):
        return f"its {len(present)} integers are all distinct, like row numbers"
    return ""


def _are_numbered(values: np.ndarray) -> bool:
    """Whether integers are distinct where random ones, n of a range r, repeat n^2 / 2r times."""
    n, width = len(values), values.max() - values.min() + 1
    expected_repeats = n * (n - 1) / 2 / width
    if expected_repeats <= MIN_EXPECTED_REPEATS or (values % 1).any():
        return False
    return len(pd.unique(values)) == n


def _ignored_sentence(column: Column) -> str:
    sentence = f"column {column.name!r} is ignored: {column.reason}"
    advice = f"; name its kind in kinds={{{column.name!r}: ...}} to keep it"
    return f"{sentence}{advice if 'distinct' in column.reason else ''}."


def _stored(column: Column) -> dict:
    """Fields of a column as JSON values."""
    return {key: to_json(value) for key, value in vars(column).items()}


def _with_labels(state: Mapping) -> dict:
    """Fields of a column from JSON values."""
    fields = {key: as_label(value) for key, value in state.items()}
    require_types(Column, fields)
    return fields


def _require_frame(frame: pd.DataFrame) -> None:
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"need a pandas DataFrame; got {type(frame).__name__}.")
    rows, features = frame.shape
    if rows == 0 or features == 0:
        raise ValueError(
            f"need rows and columns; got {rows} sample(s) and {features} feature(s) "
            f"(shape={frame.shape}) while a minimum of 1 is required."
        )
    require_distinct_names(frame.columns)


def _require_kinds(kinds: Mapping, frame: pd.DataFrame) -> None:
    for name, kind in kinds.items():
        if name not in frame.columns:
            raise ValueError(f"kinds names column {name!r}; the columns are {list(frame.columns)}.")
        if kind not in KINDS:
            raise ValueError(f"need a kind of {list(KINDS)} for column {name!r}; got {kind!r}.")


def _is_constant(cells: pd.Series) -> bool:
    """Whether all cells are there and the same."""
    return bool(cells.notna().all() and (cells == cells.iloc[0]).all())
