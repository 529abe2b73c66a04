"""What the columns of a table are: inferred once from training rows, checked ever after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from anomdiff.encoding.cell_types import dtype_of, require_given_back
from anomdiff.encoding.columns import (
    Column,
    advancing_column,
    infer_column,
    warn_of_columns,
    warn_of_padding,
)
from anomdiff.encoding.date_warnings import warn_of_dates
from anomdiff.encoding.json_values import as_label, require_labels, require_types, to_json
from anomdiff.encoding.parsing import (
    plain_values,
    read_cells,
    require_distinct_names,
    storage,
    unreadable_cells,
    warn_of_further,
)
from anomdiff.encoding.row_order import RowOrder, find_order
from anomdiff.encoding.written import flags_as_numbers, number_texts

__all__ = ["Column", "Schema", "plain_frame"]

KINDS = ("number", "category", "boolean", "datetime", "ignored")


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
    max_unreadable: float = 0.0  # share of a column's cells that may be unreadable

    @property
    def used(self) -> tuple[Column, ...]:
        """The columns that are not ignored."""
        return tuple(column for column in self.columns if column.kind != "ignored")

    def to_frame(self) -> pd.DataFrame:
        """Return a row per column: ``kind``, ``dtype``, ``nullable``, and why it is ``ignored``."""
        told = {
            "kind": [column.kind for column in self.columns],
            "dtype": [column.dtype for column in self.columns],
            "nullable": [column.nullable for column in self.columns],
            "ignored": [column.reason for column in self.columns],
        }
        names = pd.Index(
            [column.name for column in self.columns], name="column", tupleize_cols=False
        )
        return pd.DataFrame(told, index=names)

    @classmethod
    def infer(cls, frame: pd.DataFrame, **options: Any) -> "Schema":
        """Infer what each column of a frame of training rows is; see ``infer_with_order``."""
        return cls.infer_with_order(frame, **options)[0]

    @classmethod
    def infer_with_order(
        cls,
        frame: pd.DataFrame,
        *,
        kinds: Mapping[Any, str] | None = None,
        missing_values: Sequence | Mapping[Any, Sequence] = (),
        date_format: str | None = None,
        max_unreadable: float = 0.05,
    ) -> tuple["Schema", RowOrder]:
        """Infer what each column of a frame of training rows is, and the order of the rows in time.

        Parameters
        ----------
        frame : DataFrame
            Training rows, in the order of time if they have one.
        kinds : mapping from column to kind, optional
            Columns to read as these kinds, also if they look like identifiers or advance with
            the rows.
        missing_values : sequence, or mapping from column to sequence, default=()
            Numbers and texts that stand for a missing cell, in all columns or in some.
        date_format : str, optional
            How dates are written that came as text, as for ``strptime``; found by looking at each
            column if not given, with a warning where the order of day and month is not told.
        max_unreadable : float, default=0.05
            Share of a column's cells that may be unreadable, in training and later; they count
            as missing.

        Returns
        -------
        schema : Schema
            With a UserWarning for every column that is ignored without being named in ``kinds``,
            and one that names the columns of a single value.
        order : RowOrder
            What is known about the order of the rows in time.

        Raises
        ------
        ValueError
            If the frame is empty, repeats a column name, holds cells that cannot be read or has
            no usable column, or if ``kinds`` or ``missing_values`` names an unknown column.
        """
        _require_frame(frame)
        require_labels(frame.columns)
        kinds = dict(kinds or {})
        _require_kinds(kinds, frame)
        absent = _missing_values(missing_values, frame)
        read = {
            name: infer_column(
                frame[name].rename(name),
                kinds.get(name),
                absent.get(name, ()),
                date_format,
                max_unreadable,
            )
            for name in frame.columns.tolist()
        }
        _require_given_back(frame, read)
        order = find_order({name: cells for name, (_, cells) in read.items() if cells is not None})
        columns = tuple(
            advancing_column(column, cells, order, column.name in kinds)
            for column, cells in read.values()
        )
        if all(column.kind == "ignored" for column in columns):  # better those than nothing
            columns = tuple(column for column, _ in read.values())
        warn_of_columns(columns, read, order, kinds)
        warn_of_dates(columns, read, kinds, date_format)
        warn_of_padding(columns, frame, kinds)
        if all(column.kind == "ignored" for column in columns):
            raise ValueError(
                f"need at least one usable column; all of {list(frame.columns)} are ignored."
            )
        return cls(columns, max_unreadable), order

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
        return _read(frame, used, place, self.max_unreadable)

    def unreadable(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Whether each cell of the used columns is neither missing nor of its column's kind."""
        found = {
            column.name: unreadable_cells(_as_given(frame, column), column.kind, column.spelling)
            for column in self.used
        }
        return pd.DataFrame(found, index=frame.index)

    def to_dict(self) -> dict:
        """Return the schema as JSON values."""
        columns = [_stored(column) for column in self.columns]
        return {"columns": columns, "max_unreadable": self.max_unreadable}

    @classmethod
    def from_dict(cls, state: Mapping) -> "Schema":
        """Rebuild a schema from `to_dict`, before or after a trip through JSON."""
        columns = tuple(Column(**_with_labels(column)) for column in state["columns"])
        return cls(columns, state.get("max_unreadable", 0.0))


def plain_frame(columns: Mapping[Any, Any], index: pd.Index | None = None) -> pd.DataFrame:
    """Frame of the given arrays or series, each in the dtype it has (text would turn str)."""
    series = [pd.Series(cells, index=index, dtype=cells.dtype) for cells in columns.values()]
    frame = pd.concat(series, axis=1)
    frame.columns = pd.Index(list(columns))
    return frame


def _read(
    frame: pd.DataFrame, used: tuple[Column, ...], place: Mapping[Any, int], max_unreadable: float
) -> pd.DataFrame:
    """Read columns: plain numbers together, because one by one they cost a server milliseconds."""
    dtypes = frame.dtypes.to_numpy()
    numbers = [
        column.name
        for column in used
        if column.kind == "number"
        and dtypes[place[column.name]] == np.float64
        and not column.missing_values
    ]
    block = frame.iloc[:, [place[name] for name in numbers]].to_numpy(dtype=np.float64)
    if np.isinf(block).any():  # they are reported when read one by one
        numbers, block = [], block[:, :0]
    checked = pd.DataFrame(block, index=frame.index, columns=pd.Index(numbers))
    if len(numbers) == len(used):
        return checked
    together = set(numbers)
    alone = [column for column in used if column.name not in together]
    others = {column.name: _read_as(frame, column, max_unreadable) for column in alone}
    joined = pd.concat([checked, plain_frame(others, frame.index)], axis=1)
    order = {name: i for i, name in enumerate([*numbers, *others])}
    names = [column.name for column in used]
    return joined.iloc[:, [order[name] for name in names]].set_axis(pd.Index(names), axis=1)


def _read_as(frame: pd.DataFrame, column: Column, max_unreadable: float) -> np.ndarray:
    """Read one column; texts for numbers that are categories are compared as numbers are."""
    cells = _as_given(frame, column)
    plain = read_cells(cells, column.kind, column.spelling, max_unreadable)
    numbers = types.is_numeric_dtype(dtype_of(column.held or column.dtype))
    if column.kind != "category" or not numbers or storage(cells) not in ("text", "category"):
        return plain
    return number_texts(plain)


def _as_given(frame: pd.DataFrame, column: Column) -> pd.Series:
    """Cells of a column as they are read; flags in a column of numbers are numbers."""
    cells = frame[column.name]
    return flags_as_numbers(cells) if column.kind == "number" else cells


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


def _require_given_back(frame: pd.DataFrame, read: Mapping[Any, tuple]) -> None:
    """Refuse used columns of cells of which answers could not have the type."""
    for name, (column, _) in read.items():
        if column.kind != "ignored":
            known = column.kind, column.held, column.values, column.categories
            require_given_back(frame[name].rename(name), *known)


def _require_kinds(kinds: Mapping, frame: pd.DataFrame) -> None:
    for name, kind in kinds.items():
        if name not in frame.columns:
            raise ValueError(f"kinds names column {name!r}; the columns are {list(frame.columns)}.")
        if kind not in KINDS:
            raise ValueError(f"need a kind of {list(KINDS)} for column {name!r}; got {kind!r}.")


def _missing_values(given: Sequence | Mapping, frame: pd.DataFrame) -> dict[Any, tuple]:
    """What stands for a missing cell, by column."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(frame.columns.tolist(), plain_values(given))
    for name in given:
        if name not in frame.columns:
            raise ValueError(
                f"missing_values names column {name!r}; the columns are {list(frame.columns)}."
            )
    return {name: plain_values(values) for name, values in given.items()}
