"""Numbers as people write them: decimal comma, thousands, currency, per cent, one unit, bounds."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

__all__ = [
    "SAME",
    "are_codes",
    "are_padded",
    "infer_spelling",
    "parse_numbers",
    "parse_spelled",
    "points_for_thousands",
]

# Thousands are set off by the other mark, by spaces (also those that do not break) or apostrophes.
SPACES = " \u00a0\u2009\u202f'\u2019_"
MARKS = {".": f",{SPACES}", ",": f".{SPACES}"}
CODES = "USD|EUR|GBP|JPY|CNY|INR|CHF|SEK|NOK|DKK|PLN|CZK|HUF|CAD|AUD|NZD|BRL|MXN|ZAR|TRY|KRW"
SIGNS = r"$\u00a2-\u00a5\u20a0-\u20cf"  # of currencies
# What stands before a number: a bound ("<0.05" counts as the bound), a currency.
BOUND = r"[<>\u2264\u2265~\u2248]=?\s*"
BEFORE = rf"^(?:{BOUND})?(?:(?:{CODES}|(?:Rs|kr|Fr)\.?|[A-Z]{{0,2}}[{SIGNS}])\s*)?"
# What stands after it: per cent, a currency, debit or credit, or the unit of the column.
PER_CENT = "%\u2030"
WORD = r"[^\W\d_]"
UNIT = rf"{WORD}{{1,3}} {WORD}{{1,5}}\S{{0,2}}|/?{WORD}\S{{0,9}}|\u00b0\S{{0,2}}"
MONEY = rf"[{SIGNS}]|(?:{CODES}|C[Rr]|D[Rr])(?!{WORD})"
AFTER = rf"\s*(?:{MONEY})?(?P<unit>\s*(?:[{PER_CENT}]|{UNIT}))?$"
NEGATIVE = r"\(.*\d.*\)|[^-]*\d.*-|-\s*\D+\d.*|[^-]*\d\s*D[Rr]"
# Digits and marks of other scripts (full width, Arabic, Persian, Devanagari), and minus signs.
ZEROS = (0xFF10, 0x0660, 0x06F0, 0x0966)
SCRIPTS = {zero + i: str(i) for zero in ZEROS for i in range(10)}
SCRIPTS |= dict(
    zip(map(ord, "\uff0e\uff0c\uff0d\uff0b\uff05\u066b\u066c\u2212"), ".,-+%.,-", strict=True)
)
# Per cent as it is written.
SAME = (("%", 1.0), ("\u2030", 1.0))
# Digits of one width that are padded with zeros are codes from this width on, if each comes so
# many times on average: days and months are shorter, amounts of fixed width hardly repeat.
CODE_WIDTH, CELLS_PER_CODE = 3, 2


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
        numbers, units = parse_spelled(pd.Series(texts, dtype=str), mark)
        readable = ~np.isnan(numbers)
        units = np.where(np.isin(units, [*PER_CENT]), "", units)
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


def are_codes(texts: np.ndarray, counts: np.ndarray) -> bool:
    """Whether distinct texts are digits of one width, some padded with zeros, that repeat.

    Examples
    --------
    >>> are_codes(np.array(["00012", "10344"], dtype=object), np.array([3, 2]))
    True
    """
    return bool(counts.sum() >= CELLS_PER_CODE * len(texts)) and are_padded(texts)


def are_padded(texts: np.ndarray) -> bool:
    """Whether texts, at least one, are digits of one width, some of them with leading zeros."""
    cells = pd.Series(texts, dtype=str)
    widths = cells.str.len()
    if widths.min() < CODE_WIDTH or widths.min() < widths.max():
        return False
    return bool(cells.str.startswith("0").any() and cells.str.fullmatch("[0-9]+").all())


def parse_numbers(
    texts: np.ndarray,
    decimal: str = ".",
    unit: str = "",
    factors: Iterable[tuple[str, float]] = SAME,
) -> np.ndarray:
    """Read texts as numbers, NaN where one is none or has another unit.

    Parameters
    ----------
    texts : object array of shape (text,)
        Stripped texts, and None where there is none.
    decimal : {".", ","}
        The decimal mark; the other mark, spaces and apostrophes may set off thousands.
    unit : str
        Letters that may follow a number, in lower case.
    factors : iterable of (str, float)
        Marks that may follow a number, such as per cent, and what each multiplies it by.

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
        numbers, units = parse_spelled(pd.Series(texts[left], dtype=str), decimal)
        known = {"": 1.0, unit: 1.0, **dict(factors)}
        values[left] = numbers * pd.Series(units).map(known).to_numpy(dtype=float)
    return values


def parse_spelled(texts: pd.Series, decimal: str) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers, NaN where there is none, and the unit or mark after each, in lower case."""
    texts = texts.str.translate(SCRIPTS).str.removeprefix("'")  # by which spreadsheets mark text
    negative = texts.str.fullmatch(NEGATIVE)
    bare = texts.where(~negative, texts.str.strip("()-").str.strip())
    parts = bare.str.replace(BEFORE, "", regex=True).str.extract(_pattern(decimal))
    digits = parts["whole"].fillna("").str.replace(f"[{MARKS[decimal]}]", "", regex=True)
    plain = parts["sign"].fillna("") + digits + parts["rest"].fillna("").str.replace(",", ".")
    numbers = pd.to_numeric(plain, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    units = parts["unit"].fillna("").str.strip().str.casefold().to_numpy(dtype=object)
    return np.where(negative, -numbers, numbers), units


def _pattern(decimal: str) -> str:
    """Regular expression of a number with an optional unit."""
    mark, group = f"\\{decimal}", f"[{MARKS[decimal]}]"
    grouped = rf"[1-9]\d{{0,2}}(?:{group}\d{{2,3}})*{group}\d{{3}}"
    rest = rf"(?P<rest>(?:{mark}\d*)?(?:[eE][+-]?\d+)?)"
    return rf"^(?P<sign>[+-]?)\s*(?P<whole>{grouped}|\d+|(?={mark}\d)){rest}{AFTER}"
