"""Numbers as files spell them: decimal commas beside other text, and infinity."""

import re
from collections import Counter
from collections.abc import Hashable

import numpy as np
import pandas as pd

from anomdiff.jobs.tables.cells import DECIMAL_COMMA, INFINITE, common_look

__all__ = ["MIN_NUMBERS", "plain_numbers", "without_infinity"]

MIN_NUMBERS = 0.95  # share of the cells, for a column of text to be one of numbers
N_FIRST = 1000  # cells by which a column of other text is told
INFINITE_SPELLINGS = [
    sign + word
    for sign in ("", "-", "+")
    for word in ("inf", "Inf", "INF", "infinity", "Infinity", "INFINITY")
]
INFINITE_TEXT = re.compile(INFINITE, re.IGNORECASE)


def plain_numbers(
    cells: pd.Series, decimal: str, min_share: float, counts: Counter[Hashable]
) -> pd.Series:
    """Column of text whose numbers have a point (2,6 is 2.6); infinite ones are missing.

    The column comes back unchanged where a smaller share of its cells than `min_share` are numbers.
    `counts` counts infinite numbers by column.
    """
    first = map(str, cells.dropna().head(N_FIRST))
    if min_share and common_look(first, min_share / 2) != "number":
        return cells
    if not _may_change(cells, decimal):
        return cells
    distinct = cells.dropna().unique()
    spelled = {text: _plain(text.strip(), decimal) for text in distinct if isinstance(text, str)}
    changed = {text: plain for text, plain in spelled.items() if plain != text.strip()}
    if not changed:
        return cells
    plain = cells.map(lambda text: changed.get(text, text), na_action="ignore")
    n_numbers = (pd.to_numeric(plain, errors="coerce").notna() | plain.isna()).sum()
    if n_numbers < min_share * len(plain):
        return cells
    if n_infinite := int((plain.isna() & cells.notna()).sum()):
        counts[cells.name] += n_infinite
    return plain


def without_infinity(frame: pd.DataFrame, counts: Counter[Hashable]) -> pd.DataFrame:
    """Frame in which infinite numbers are missing; `counts` counts them by column."""
    changed: dict[Hashable, pd.Series] = {}
    for name, cells in frame.items():
        if isinstance(cells.dtype, np.dtype) and cells.dtype.kind == "f":
            infinite = np.isinf(cells.to_numpy())
            if infinite.any():
                counts[name] += int(infinite.sum())
                changed[name] = cells.mask(infinite)
    if changed:
        frame = frame.copy(deep=False)
        for name, cells in changed.items():
            frame[name] = cells
    return frame


def _may_change(cells: pd.Series, decimal: str) -> bool:
    """Whether any cell can be one to change: a search without a loop over cells."""
    if cells.dtype == object or cells.isin(INFINITE_SPELLINGS).any():
        return True
    return decimal == "," and bool(cells.str.contains(",", regex=False).any())


def _plain(text: str, decimal: str) -> str | None:
    if INFINITE_TEXT.fullmatch(text):
        return None
    if decimal == "," and DECIMAL_COMMA.fullmatch(text):
        return text.replace(".", "").replace(",", ".")
    return text
