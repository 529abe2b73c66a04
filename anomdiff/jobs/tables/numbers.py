"""Numbers as files spell them: decimal commas beside other text, and infinity."""

import re
from collections import Counter
from collections.abc import Hashable

import numpy as np
import pandas as pd

from anomdiff.jobs.tables.cells import DECIMAL_COMMA, INFINITE

__all__ = ["with_points", "without_infinity"]

MIN_NUMBERS = 0.95  # share of the cells, for a column of text to be one of numbers
INFINITE_TEXT = re.compile(INFINITE, re.IGNORECASE)


def with_points(cells: pd.Series) -> pd.Series:
    """Column of text with a point in its numbers (2,6 and 1.234,5), if nearly all are numbers."""
    distinct = cells.dropna().unique()
    commas = {text: str(text).strip() for text in distinct}
    numbers = {key: text for key, text in commas.items() if DECIMAL_COMMA.fullmatch(text)}
    if not numbers:
        return cells
    points = {key: text.replace(".", "").replace(",", ".") for key, text in numbers.items()}
    spelled = cells.replace(points) if len(points) < 20 else cells.map(lambda t: points.get(t, t))
    readable = pd.to_numeric(spelled, errors="coerce").notna().sum()
    return spelled if readable >= MIN_NUMBERS * cells.notna().sum() else cells


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
