"""What one column of the training rows is, and what is said of it."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding.cell_types import held_type, held_values
from anomdiff.encoding.datetime_codec import repeated_cycles
from anomdiff.encoding.number_texts import SAME, are_padded, parse_numbers
from anomdiff.encoding.parsing import (
    MANY_VALUES,
    counted_texts,
    infer_kind,
    infer_spelling_of,
    read_cells,
    shown,
    storage,
)
from anomdiff.encoding.row_order import RowOrder
from anomdiff.encoding.sentinels import warn_of_sentinels
from anomdiff.encoding.spelling import Spelling

__all__ = ["Column", "advancing_column", "infer_column", "warn_of_columns", "warn_of_padding"]

MIN_IDENTIFIER_ROWS = 50
MAX_DISTINCT_SHARE = 0.95
# Integers that never repeat although chance would have repeated that many of them were numbered.
MIN_EXPECTED_REPEATS = 10
ADVANCES = "its cells advance with the rows"
NOTHING_REPEATS = "its dates advance with the rows, too few of them to show an hour or a weekday"
# Where fewer cells are no numbers, a column of texts was perhaps meant to be one of numbers.
MOST_UNLIKE = 0.5


@dataclass(frozen=True)
class Column:
    """One column of the training frame."""

    name: Any  # its label: any JSON scalar, or a tuple of them
    kind: str  # how it is read, one of KINDS
    dtype: str  # name of its pandas dtype, which decoding gives back
    nullable: bool  # whether a cell was missing in the training rows
    reason: str = ""  # why it is ignored
    numeric_text: bool = False  # whether its numbers came as text
    decimal: str = "."  # decimal mark of numbers that came as text
    unit: str = ""  # letters that may follow such a number, in lower case
    date_format: str = ""  # how its dates were written, for ``strftime``, if they came as text
    missing_values: tuple = ()  # numbers and texts that stand for a missing cell
    novelty: float = 0.0  # share of new values that later training rows brought, if a category
    advances: bool = False  # whether it is a timestamp that later rows are beyond
    cycles: tuple = ()  # those that count then, a day or a week, in nanoseconds
    categories: tuple | None = None  # those of a pandas categorical, in their order
    ordered: bool = False  # whether that categorical is ordered
    held: str = ""  # what its cells or categories are, where the dtype does not say it
    factors: tuple = SAME  # marks that may follow a number, and what they multiply it by
    values: tuple | None = None  # distinct cells of other types that are read as categories

    @property
    def is_ranged(self) -> bool:
        """Whether its cells have an order, so that a range of them means something."""
        return self.kind == "number" or (self.kind == "datetime" and not self.advances)

    @property
    def spelling(self) -> Spelling:
        """How its cells are written as text."""
        return Spelling(
            self.decimal, self.unit, self.date_format, self.missing_values, self.factors
        )


def infer_column(
    cells: pd.Series,
    wanted: str | None,
    missing_values: tuple,
    date_format: str | None,
    max_unreadable: float,
) -> tuple[Column, np.ndarray | None]:
    """Tell what a column is by itself, and read its cells; None where they are not looked at.

    Parameters
    ----------
    cells : Series of shape (row,)
        The column.
    wanted : str or None
        The kind that was asked for.
    missing_values, date_format, max_unreadable
        As for ``Schema.infer``.
    """
    categorical = isinstance(cells.dtype, pd.CategoricalDtype)
    stored: dict[str, Any] = {
        "dtype": str(cells.dtype),
        "categories": tuple(cells.cat.categories.tolist()) if categorical else None,
        "ordered": bool(categorical and cells.cat.ordered),
        "held": held_type(cells),
    }
    if wanted == "ignored":
        column = Column(cells.name, "ignored", nullable=True, reason="as set by kinds", **stored)
        return column, None
    spelling = infer_spelling_of(cells, missing_values, date_format)
    kind = wanted or infer_kind(cells, spelling)
    plain = read_cells(cells, kind, spelling, max_unreadable)
    missing = pd.isna(plain)
    is_text = storage(cells) == "text"
    spelled = (
        spelling if is_text or categorical else Spelling(missing_values=missing_values, factors=())
    )
    stored["values"] = held_values(cells) if kind == "category" else None
    reason = _reason_to_ignore(plain[~missing], cells, None if wanted else kind)
    column = Column(
        cells.name,
        "ignored" if reason else kind,
        nullable=bool(missing.any()),
        reason=reason,
        numeric_text=is_text and kind in ("number", "boolean"),
        decimal=spelled.decimal if kind == "number" else ".",
        unit=spelled.unit if kind == "number" else "",
        date_format=spelled.date_format if kind == "datetime" else "",
        missing_values=missing_values,
        factors=spelled.factors,
        **stored,
    )
    return column, None if missing.all() else plain


def advancing_column(
    column: Column, cells: np.ndarray | None, order: RowOrder, wanted: bool
) -> Column:
    """Use a column that advances with the rows only by what repeats, or leave it out.

    Dates keep their hour and their weekday, if training has each twice. Columns whose kind was
    asked for stay as they are.
    """
    if cells is None or wanted or column.kind == "ignored":
        return column
    if column.name not in order.advancing:
        novelty = order.novelty.get(column.name, 0.0) if column.kind == "category" else 0.0
        return replace(column, novelty=novelty) if novelty else column
    if column.kind != "datetime":
        return replace(column, kind="ignored", reason=ADVANCES)
    stamps = cells[~np.isnat(cells)].astype("datetime64[ns]").view(np.int64)
    if not (cycles := repeated_cycles(stamps)):
        return replace(column, kind="ignored", reason=NOTHING_REPEATS)
    return replace(column, advances=True, cycles=cycles)


def warn_of_columns(
    columns: Collection[Column],
    read: Mapping[Any, tuple[Column, np.ndarray | None]],
    order: RowOrder,
    kinds: Collection,
) -> None:
    """Say which columns are left out and why, and what about the others may not be meant."""
    advancing = [
        column.name
        for column in columns
        if column.advances or column.reason in (ADVANCES, NOTHING_REPEATS)
    ]
    if kept := [c.name for c in columns if c.name in order.advancing and _is_kept(c, kinds)]:
        _warn(
            f"columns {kept} advance with the rows, so that later cells lie beyond those of "
            "training; they are used as they are, because there are no others."
        )
    for column in columns:
        if column.reason and column.name not in kinds and column.name not in advancing:
            _warn(_ignored_sentence(column))
    if advancing:
        cyclic = [column.name for column in columns if column.advances]
        use = f"; of {cyclic} the hour and the weekday are used" if cyclic else ""
        others = [name for name in advancing if name not in cyclic]
        left = f"; {others} {'is' if len(others) == 1 else 'are'} left out" if others else ""
        _warn(
            f"columns {advancing} advance with the rows, so that later cells lie beyond those of "
            f"training{use}{left}; name their kinds in kinds={{...}} to use them as they are."
        )
    if undecided := [c.name for c in columns if c.name in order.sorted_by and _is_kept(c, kinds)]:
        _warn(
            f"the rows are sorted or grouped by columns {undecided}: if that is the order of time, "
            "cells of later rows will be new, and raise alarms; leave such columns out with "
            f"kinds={{{undecided[0]!r}: 'ignored'}}, or name their kinds to use them as they are."
        )
    used = [column for column in columns if column.kind != "ignored"]
    present = {column.name: read[column.name][1] for column in used}
    constant = [column.name for column in used if _is_constant(present[column.name])]
    if constant:
        _warn(f"columns {constant} hold one value; any other will count as unseen.")
    _warn_of_unreadable(columns, read, kinds)
    numbers = {c.name: present[c.name] for c in used if c.kind == "number"}
    warn_of_sentinels({name: cells for name, cells in numbers.items() if cells is not None})
    if disagreeing := [c.name for c in used if c.name in order.disagreeing]:
        _warn(
            f"the last fifth of the training rows differs from the rows before in columns "
            f"{disagreeing}: the threshold is set on the last rows; if the columns drift on, "
            "train again often."
        )


def warn_of_padding(columns: Collection[Column], frame: pd.DataFrame, kinds: Collection) -> None:
    """Say how digits with leading zeros are read: the same texts are codes here, numbers there."""
    for column in columns:
        cells = frame[column.name]
        if column.kind not in ("number", "category") or column.name in kinds:
            continue
        if storage(cells) != "text":
            continue
        texts, _ = counted_texts(cells, column.spelling)
        if len(texts) and are_padded(texts):
            read, other = "codes", "number"
            if column.kind == "number":
                read, other = "numbers, without their zeros", "category"
            _warn(
                f"column {column.name!r} has digits padded with zeros, such as {texts[0]!r}; they "
                f"are read as {read}; kinds={{{column.name!r}: {other!r}}} changes that."
            )


def _warn_of_unreadable(
    columns: Collection[Column],
    read: Mapping[Any, tuple[Column, np.ndarray | None]],
    kinds: Collection,
) -> None:
    """Say which columns are categories although most of their many texts are numbers."""
    for column in columns:
        texts = read[column.name][1]
        if column.name in kinds or texts is None or texts.dtype != object:
            continue
        distinct = pd.Series(texts).dropna().value_counts()
        unlike = np.isnan(parse_numbers(distinct.index.to_numpy(dtype=object), factors=()))
        share = distinct[unlike].sum() / max(distinct.sum(), 1)
        if 0 < share < MOST_UNLIKE and (~unlike).sum() >= MANY_VALUES:
            examples = ", ".join(map(shown, distinct.index[unlike][:3]))
            _warn(
                f"column {column.name!r} is read as texts, because {share:.1%} of its cells are no "
                f"numbers, such as {examples}; name what stands for missing in missing_values, or "
                "write its numbers in one unit."
            )


def _is_kept(column: Column, kinds: Collection) -> bool:
    """Whether a column is used as it is, without being asked for."""
    return column.kind != "ignored" and not column.advances and column.name not in kinds


def _warn(sentence: str) -> None:
    warnings.warn(sentence, UserWarning, stacklevel=6)


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


def _is_constant(cells: np.ndarray | None) -> bool:
    """Whether there are several cells, all there and the same."""
    if cells is None or len(cells) < 2 or pd.isna(cells).any():
        return False
    return bool((cells == cells[0]).all())
