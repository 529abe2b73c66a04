"""Why a row is an alarm: the columns that contribute most, as flat cells and as one sentence."""

from typing import Any

import numpy as np
import pandas as pd

__all__ = ["PARTS", "cell_text", "reason_cells", "reason_names", "sentence"]

PARTS = ("column", "value", "expected", "low", "high", "contribution")
# Digits of numbers in a sentence; the cells beside it have all.
SHOWN_DIGITS = 4
# Columns that contribute less than this share of the first are left out of the sentence.
LEAST_OF_FIRST = 0.1
# Whole numbers from here on are not exact as floats.
MOST_EXACT = 2.0**53


def reason_names(n_reasons: int) -> list[str]:
    """Columns of some reasons, the parts of each side by side, and of the sentence."""
    names = [f"reason_{i}_{part}" for i in range(1, n_reasons + 1) for part in PARTS]
    return [*names, "sentence"]


def reason_cells(explained: pd.DataFrame, n_reasons: int) -> pd.DataFrame:
    """Lay the answer of ``explain`` out as one line per row, with a sentence.

    Parameters
    ----------
    explained : DataFrame
        From ``detector.explain(X, top=n_reasons)``.
    n_reasons : int
        Most reasons of a row; those that it does not have are missing.

    Returns
    -------
    cells : DataFrame
        The columns of ``reason_names``, indexed by the labels of the rows.
    """
    lines = {row: _flat(part.head(n_reasons)) for row, part in explained.groupby("row", sort=False)}
    columns = reason_names(n_reasons)
    return pd.DataFrame(list(lines.values()), index=list(lines), columns=columns, dtype=object)


def sentence(reasons: pd.DataFrame) -> str:
    """Say what was found and expected: ``amount 940, expected 120 to 180; channel 'web', ...``."""
    shares = reasons["contribution"].to_numpy(float)
    counts = shares >= LEAST_OF_FIRST * shares[0]
    counts[0] = True
    return "; ".join(_clause(reason) for reason in reasons[counts].itertuples())


def cell_text(value: Any) -> str | None:
    """Cell as text with all its digits; None where it is missing."""
    if pd.isna(value):
        return None
    if isinstance(value, float | np.floating):
        number = float(value)
        whole = number.is_integer() and abs(number) < MOST_EXACT
        return str(int(number)) if whole else repr(number)
    return value.isoformat() if isinstance(value, pd.Timestamp) else str(value)


def _flat(reasons: pd.DataFrame) -> dict[str, Any]:
    cells: dict[str, Any] = {"sentence": sentence(reasons)}
    for i, reason in enumerate(reasons[list(PARTS)].itertuples(index=False), start=1):
        *texts, contribution = reason
        cells |= {
            f"reason_{i}_{part}": cell_text(text)
            for part, text in zip(PARTS[:-1], texts, strict=True)
        }
        cells[f"reason_{i}_contribution"] = float(contribution)
    return cells


def _clause(reason: Any) -> str:
    """What one column has, and what was expected: a range, unless the value lies in it."""
    low, high = reason.low, reason.high
    expected = _short(reason.expected)
    if not (pd.isna(low) or pd.isna(high) or _lies_within(reason.value, low, high)):
        expected = _short(low) if low == high else f"{_short(low)} to {_short(high)}"
    return f"{reason.column} {_short(reason.value)}, expected {expected}"


def _lies_within(value: Any, low: Any, high: Any) -> bool:
    """Whether a value lies in a range; one in text may stand for a number."""
    try:
        number = float(value) if isinstance(value, str) else value
        return bool(low <= number <= high)
    except (TypeError, ValueError):  # a date as text, or with another zone
        return False


def _short(value: Any) -> str:
    """Cell as a sentence shows it."""
    if pd.isna(value):
        return "missing"
    if isinstance(value, float | np.floating):
        return f"{value:.{SHOWN_DIGITS}g}" if abs(value) < 10**SHOWN_DIGITS else f"{value:,.0f}"
    return repr(value) if isinstance(value, str) else str(value)
