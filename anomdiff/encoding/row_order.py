"""The order of training rows in time, and the columns that advance with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from anomdiff.encoding import advancing as single
from anomdiff.encoding import blocks as blocked
from anomdiff.encoding.disagreement import disagreeing

__all__ = ["RowOrder", "find_order"]

# Chance of calling two parts of a column unlike, where an order is known and where it is not.
LEVEL, UNORDERED_LEVEL = 1e-3, 1e-8
# Columns at most whose values are looked at as groups of rows.
MOST_GROUPINGS = 10

Columns = Mapping[Any, np.ndarray]


@dataclass(frozen=True)
class RowOrder:
    """What is known about the order of rows in time.

    Attributes
    ----------
    places : ndarray of shape (row,) or None
        Row numbers, the earliest first; None where nothing tells an order.
    advancing : frozenset
        Columns whose later cells are beyond the earlier ones.
    novelty : dict from column to float
        Share of the last fifth's texts that are new, by column.
    disagreeing : tuple
        Columns whose distribution in the last fifth is not that of the rows before.
    sorted_by : tuple
        Columns at ever new values that do not advance: nothing tells whether the file was sorted
        by them, or is in the order of time.
    """

    places: np.ndarray | None = None
    advancing: frozenset = frozenset()
    novelty: dict = field(default_factory=dict)
    disagreeing: tuple = ()
    sorted_by: tuple = ()


def find_order(columns: Columns) -> RowOrder:
    """Find the order of rows and the columns that advance with it.

    The order is that of the file if some column of numbers or dates advances through it, else
    that of the first column of dates; without either it is that of the file if a column has
    clearly drifted and no column is sorted.

    Parameters
    ----------
    columns : mapping from name to array of shape (row,)
        Read cells: float64 for numbers, datetime64 for dates, object for texts.

    Returns
    -------
    order : RowOrder
    """
    if len(next(iter(columns.values()), ())) < single.MIN_ROWS:
        return RowOrder()
    numeric = {name: _as_floats(cells) for name, cells in columns.items() if cells.dtype != object}
    texts = {name: pd.factorize(cells) for name, cells in columns.items() if name not in numeric}
    dates = {name for name, cells in columns.items() if cells.dtype.kind == "M"}
    codes = {name: found[0] for name, found in texts.items()}
    groups = _groups({**codes, **numeric}, dates)
    blocks = {name: each for name, each in groups.items() if blocked.are_blocks(each)}
    in_blocks = _within(numeric, blocks, dates, None)
    whole = {name: cells for name, cells in numeric.items() if name not in in_blocks}
    places, advancing = _time_order(whole, dates & set(whole))
    advancing |= in_blocks
    if places is None:
        advancing |= _in_no_order(numeric, texts)
    else:
        advancing |= _in_order(numeric, texts, dates, places)
    advancing |= _within(numeric, groups, advancing | dates, places)
    stay = {name: c for name, c in {**numeric, **codes}.items() if name not in advancing}
    undecided = _sorted_by(stay) if places is None else ()
    if places is None and not _is_sorted(numeric, codes):
        numbers = {name: cells for name, cells in stay.items() if name in numeric}
        in_file = np.arange(len(next(iter(columns.values()))))
        places = in_file if disagreeing(numbers, in_file, UNORDERED_LEVEL) else None
    if places is None:
        return RowOrder(advancing=frozenset(advancing), sorted_by=undecided)
    novelty = {name: single.new_share(each[places]) for name, each in codes.items()}
    return RowOrder(places, frozenset(advancing), novelty, disagreeing(stay, places, LEVEL))


def _as_floats(cells: np.ndarray) -> np.ndarray:
    """Numbers, and dates in nanoseconds; NaN where missing."""
    if cells.dtype.kind != "M":
        return cells.astype(float)
    stamps = cells.astype("datetime64[ns]")
    return np.where(np.isnat(stamps), np.nan, stamps.view(np.int64).astype(float))


def _time_order(numeric: Columns, dates: set) -> tuple[np.ndarray | None, set[Any]]:
    """Row numbers in the order of time, None if nothing tells it, and the columns that tell it."""
    advancing = {
        name
        for name, cells in numeric.items()
        if single.advances(cells, is_date=name in dates) or single.is_time_label(name, cells)
    }
    if advancing:
        return np.arange(len(next(iter(numeric.values())))), advancing
    events = [
        name
        for name, cells in numeric.items()
        if (single.is_date_number(cells) if name not in dates else not single.is_attribute(cells))
    ]
    if not events:
        return None, set()
    event = min(events, key=lambda name: name not in dates)  # the first, dates before numbers
    places = np.argsort(numeric[event], kind="stable")
    return places, {event}


def _in_order(numeric: Columns, texts: Mapping, dates: set, places: np.ndarray) -> set[Any]:
    """Columns that advance in a known order."""
    rising = {
        name
        for name, cells in numeric.items()
        if single.rises(cells[places])
        or single.advances(cells[places], is_date=name in dates, known=True)
    }
    return rising | {
        name
        for name, (codes, names) in texts.items()
        if single.new_share(codes[places]) > single.ADVANCING_SHARE
        or single.in_turns(codes[places], names, known=True)
    }


def _in_no_order(numeric: Columns, texts: Mapping) -> set[Any]:
    """Columns that advance through the file where numbers and dates tell no order."""
    codes = {name: found[0] for name, found in texts.items()}
    others = {name: c for name, c in {**codes, **numeric}.items() if not _stays_new(c)}
    in_blocks = {name for name, each in codes.items() if blocked.are_blocks(each)}
    is_sorted = any(name not in others for name in in_blocks | set(numeric))
    return _coming_texts(texts, in_blocks, is_sorted) | _counting(numeric, texts, others)


def _coming_texts(texts: Mapping, in_blocks: set, is_sorted: bool) -> set[Any]:
    """Texts in turn by their year or name, and such that keep coming."""
    in_turns = {
        name
        for name in in_blocks
        if single.in_turns(*texts[name], known=False, named=single.is_time_name(name))
    }
    return in_turns | {
        name
        for name, (codes, _) in texts.items()
        if single.new_share(codes) > single.ADVANCING_SHARE
        and single.keep_coming(codes, mixed=not is_sorted and name not in in_blocks)
    }


def _counting(numeric: Columns, texts: Mapping, others: Columns) -> set[Any]:
    """Numbers, also in texts, that count blocks of rows, or events on which no others depend."""
    in_texts = {name: blocked.as_numbers(*found) for name, found in texts.items()}
    counts = {**numeric, **{name: found for name, found in in_texts.items() if found is not None}}
    return {
        name
        for name, cells in counts.items()
        if blocked.is_block_number(cells)
        or (blocked.is_event_count(cells) and not blocked.depends_on_blocks(cells, others))
    }


def _groups(columns: Columns, dates: set) -> Columns:
    """Codes of the groups of rows that some columns make, texts first."""
    found: dict[Any, np.ndarray] = {}
    for name, cells in columns.items():
        codes = None if name in dates else single.groups_of(cells)
        if codes is not None and len(found) < MOST_GROUPINGS:
            found[name] = codes
    return found


def _within(numeric: Columns, groups: Columns, done: set, places: np.ndarray | None) -> set[Any]:
    """Numbers that advance within each group of rows: the readings of several meters."""
    ordered = slice(None) if places is None else places
    return {
        name
        for name, cells in numeric.items()
        if name not in done and name not in groups
        for codes in groups.values()
        if single.advances_within(cells[ordered], codes[ordered])
    }


def _is_sorted(numeric: Columns, codes: Columns) -> bool:
    """Whether the file is sorted by some column, or grouped by some text."""
    return any(_stays_new(cells) for cells in (*numeric.values(), *codes.values()))


def _sorted_by(columns: Columns) -> tuple:
    """Columns of more than a few values at ever new ones, as numbers or codes of texts."""
    found = []
    for name, cells in columns.items():
        is_code = cells.dtype.kind == "i"
        if is_code:
            new = _stays_new(cells) or blocked.are_blocks(cells)
        else:
            new = _stays_new(cells) or single.advances(cells, known=True)
        n_values = len(np.unique(cells[cells >= 0 if is_code else ~np.isnan(cells)]))
        repeats = not is_code or 2 * n_values <= len(cells)  # names of people hardly come again
        if new and repeats and n_values > single.FEW_VALUES:
            found.append(name)
    return tuple(found)


def _stays_new(cells: np.ndarray) -> bool:
    """Whether numbers are sorted, or texts, given as codes, mostly new in the last fifth."""
    if cells.dtype.kind == "i":
        return single.new_share(cells) > single.ADVANCING_SHARE
    return single.is_one_way(cells[~np.isnan(cells)])
