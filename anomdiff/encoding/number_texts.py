"""Numbers as people write them: decimal comma, thousands, currency, per cent, one unit, bounds."""

import numpy as np
import pandas as pd

__all__ = ["infer_spelling", "parse_numbers", "points_for_thousands"]

# Thousands are set off by the other mark, by spaces (also those that do not break) or apostrophes.
SPACES = " \u00a0\u2009\u202f'\u2019_"
MARKS = {".": f",{SPACES}", ",": f".{SPACES}"}
CODES = "USD|EUR|GBP|JPY|CNY|INR|CHF|SEK|NOK|DKK|PLN|CZK|HUF|CAD|AUD|NZD|BRL|MXN|ZAR|TRY|KRW"
SIGNS = r"$\u00a2-\u00a5\u20a0-\u20cf"  # of currencies
# What stands before a number: a bound ("<0.05" counts as the bound), a currency.
BOUND = r"[<>\u2264\u2265~\u2248]=?\s*"
BEFORE = rf"^(?:{BOUND})?(?:(?:{CODES}|[A-Z]{{0,2}}[{SIGNS}])\s*)?"
# What stands after it: per cent, a currency, or the unit of the column.
UNIT = r"[^\W\d_]\S{0,9}|\u00b0\S{0,2}"
AFTER = rf"\s*(?:[%\u2030{SIGNS}]|{CODES}|(?P<unit>{UNIT}))?$"


def infer_spelling(texts: np.ndarray, counts: np.ndarray) -> tuple[str, str]:
    """Decimal mark and unit by which most cells are numbers, ``"."`` if both marks do as well.

    Parameters
    ----------
    texts : object array of shape (text,)
        Distinct texts, none of them missing.
    counts : int array of shape (text,)
        How many cells have each.

    Examples
    --------
    >>> infer_spelling(np.array(["2,6 kg", "1.250,5 kg", "7"], dtype=object), np.array([1, 1, 1]))
    (',', 'kg')
    """
    if points_for_thousands(texts):
        return ",", ""
    best, most = (".", ""), 0
    for mark in MARKS:
        numbers, units = _parse_spelled(pd.Series(texts, dtype=str), mark)
        readable = ~np.isnan(numbers)
        with_unit = readable & (units != "")
        by_unit = pd.Series(counts[with_unit]).groupby(units[with_unit]).sum()
        unit = "" if by_unit.empty else str(by_unit.idxmax())
        cells = counts[readable & np.isin(units, ["", unit])].sum()
        if cells > most:
            best, most = (mark, unit), cells
    return best


def points_for_thousands(texts: np.ndarray) -> bool:
    """Whether points only ever stand before three digits, beside whole numbers below 1,000.

    Fractions of three digits would end in zeros no more often than in others, and then be shorter.
    """
    bare = pd.Series(texts, dtype=str).str.replace(r"[^\d.,]", "", regex=True)
    grouped = bare.str.fullmatch(r"[1-9]\d{0,2}(?:\.\d{3})+")
    small = bare.str.fullmatch(r"0|[1-9]\d{0,2}")
    if not grouped.any() or not (grouped | small).all():
        return False
    large = bool((bare[small].astype(float) >= 100).any())
    return large or bool(bare[grouped].str.count(r"\.").max() > 1)


def parse_numbers(texts: np.ndarray, decimal: str = ".", unit: str = "") -> np.ndarray:
    """Read texts as numbers, NaN where one is none or has another unit.

    Parameters
    ----------
    texts : object array of shape (text,)
        Stripped texts, and None where there is none.
    decimal : {".", ","}
        The decimal mark; the other mark, spaces and apostrophes may set off thousands.
    unit : str
        Letters that may follow a number, in lower case.

    Examples
    --------
    >>> parse_numbers(np.array(["$5,000", "(12.5)", "<0.05", "30 %", "ERR"], dtype=object))
    array([ 5.00e+03, -1.25e+01,  5.00e-02,  3.00e+01,       nan])
    """
    texts = np.asarray(texts, dtype=object)
    values = np.full(len(texts), np.nan)
    if decimal == ".":
        values = np.asarray(pd.to_numeric(texts, errors="coerce"), dtype=float)
    left = np.flatnonzero(np.isnan(values) & ~pd.isna(texts))
    if len(left):
        numbers, units = _parse_spelled(pd.Series(texts[left], dtype=str), decimal)
        values[left] = np.where(np.isin(units, ["", unit]), numbers, np.nan)
    return values


def _parse_spelled(texts: pd.Series, decimal: str) -> tuple[np.ndarray, np.ndarray]:
    """Numbers, NaN where there is none, and the unit after each, in lower case."""
    texts = texts.str.replace("\u2212", "-")
    negative = texts.str.fullmatch(r"\(.*\d.*\)|[^-]*\d.*-|-\s*\D+\d.*")
    bare = texts.where(~negative, texts.str.strip("()-").str.strip())
    parts = bare.str.replace(BEFORE, "", regex=True).str.extract(_pattern(decimal))
    digits = parts["whole"].fillna("").str.replace(f"[{MARKS[decimal]}]", "", regex=True)
    plain = parts["sign"].fillna("") + digits + parts["rest"].fillna("").str.replace(",", ".")
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    units = parts["unit"].fillna("").str.casefold().to_numpy(dtype=object)
    return np.where(negative, -numbers, numbers), units


def _pattern(decimal: str) -> str:
    """Regular expression of a number with an optional unit."""
    mark, group = f"\\{decimal}", f"[{MARKS[decimal]}]"
    grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{2,3}})*{group}\d{{3}}"
    rest = rf"(?P<rest>(?:{mark}\d*)?(?:[eE][+-]?\d+)?)"
    return rf"^(?P<sign>[+-]?)\s*(?P<whole>{grouped}|\d+|(?={mark}\d)){rest}{AFTER}"
