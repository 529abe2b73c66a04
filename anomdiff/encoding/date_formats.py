"""The format of a column of dates; where day, month and year can change places, a column decides.

What decides is, in turn: by which order more cells are dates; by which the rows are in order of
time; by which the dates lie close together. If nothing does, the month is first where dates have
slashes, as in the United States, and the day is elsewhere, and a warning says so.
"""

import re
import warnings
from itertools import product

import numpy as np
import pandas as pd
from pandas.tseries.api import guess_datetime_format

from anomdiff.encoding.date_texts import ORDINAL, parse_dates, write_dates

__all__ = [
    "infer_date_format",
    "look_like_dates",
    "order_that_reads",
    "other_date_format",
    "other_orders",
]

# Texts of which formats are guessed, and on which these are judged, before the best on all.
GUESSED_FROM, JUDGED_ON, N_BEST = 100, 2000, 3
# Guesses that are no date by themselves: bare digits, and the day before the month of ISO.
UNUSUAL = r"%Y%m(?!%d[T ])|%Y-%d|%Y/%d"
PERHAPS_DATE = r"(?=.*\d.*\d)[\w ,.:/+-]{6,40}"
# What is not guessed: years of two digits, and clocks of twelve hours.
SHORT_YEAR = r"(?:\d\d?([./-])\d\d?\1|\d\d?([ ./-])[A-Za-z]{3}\2)\d\d(?: +\d.*)?"
TWELVE_HOURS = r"\d\d?([./-])\d\d?\1\d{4} +\d\d?:\d\d.* ?[AaPp]\.?[Mm]\.?"
ORDERS = ("%d{0}%m{0}%y", "%m{0}%d{0}%y", "%d{0}%b{0}%y", "%y{0}%m{0}%d")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
# Formats of cameras, databases and web servers.
FIXED = (
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y:%m:%d %H:%M:%S",
    "%Y-%m-%d %H.%M.%S",
    "%Y-%m-%d %H.%M",
    "%Y-%m-%d-%H.%M.%S",
)
FRACTION = r".*\d\.\d\d\.\d\d\.\d+"
AFTER_CLOCK = r"\d[:.]\d\d( ?(?:Uhr|uhr|h|hrs))$"
# Three numbers as of a version, of which those of dates have a day beyond the twelfth.
VERSION = r"(\d\d?)[.-](\d\d?)[.-](\d\d)"
LAST_MONTH = 12
# Numeric dates in a format, and the orders that people write.
NUMERIC = r"%[dmyY]([./ -])%[dmyY]\1%[dmyY]"
USUAL_ORDERS = {"Y": ("dmY", "mdY"), "y": ("dmy", "mdy", "ymd")}
# Dates that decide; of one reading at most this share steps back, of the other so many times more.
MIN_DATES, MOST_BACK, TIMES_BACK = 5, 0.2, 3
# Dates lie close together if another reading spans so many times as long.
TIMES_SPAN = 10
# Texts with a year and a day, whatever stands for the month: numbers, or a name in any language.
DATE_LIKE = (
    r"(?:\w+,? )?(?:\d{1,2}\D{1,3}[^\W\d]{3,10}\W{1,2}(?:\d\d|(?:19|20)\d\d)"
    r"|\d{1,2}\W\d{1,2}\W(?:19|20)\d\d|(?:19|20)\d\d\W\d{1,2}\W\d{1,2})(?:\D.*)?"
)
MOST_LIKE = 0.95


def infer_date_format(texts: np.ndarray, counts: np.ndarray) -> str:
    """Format by which most cells are dates; ``""`` if none reads any.

    Parameters
    ----------
    texts : object array of shape (text,)
        Distinct texts in the order of their first appearance, none of them missing.
    counts : int array of shape (text,)
        How many cells have each.

    Examples
    --------
    >>> infer_date_format(np.array(["03/04/2024", "13/04/2024"], dtype=object), np.ones(2, int))
    '%d/%m/%Y'
    """
    some = _evenly(len(texts), JUDGED_ON)
    judged = _judged(texts[some], counts[some], _candidates(texts))
    if len(judged) > 1 and len(some) < len(texts):
        judged = _judged(texts, counts, [pattern for _, pattern in judged[:N_BEST]])
    best = [pattern for cells, pattern in judged if cells == judged[0][0]]
    return _decided(texts[some], best) if best else ""


def other_orders(date_format: str) -> list[str]:
    """Formats that differ in the order of day, month and year, of those that people write.

    Examples
    --------
    >>> other_orders("%m/%d/%Y %H:%M"), other_orders("%d.%m.%y"), other_orders("%Y.%m.%d")
    (['%d/%m/%Y %H:%M'], ['%m.%d.%y', '%y.%m.%d'], [])
    """
    found = re.search(NUMERIC, date_format)
    if not found:
        return []
    order = found[0].replace("%", "").replace(found[1], "")
    usual = USUAL_ORDERS["Y" if "Y" in order else "y"]
    written = {each: found[1].join(f"%{letter}" for letter in each) for each in usual}
    return [
        date_format.replace(found[0], days)
        for each, days in written.items()
        if order in usual and each != order
    ]


def other_date_format(dates: np.ndarray, date_format: str) -> str:
    """Format that reads dates as well as the one they were read by; ``""`` if there is none.

    Parameters
    ----------
    dates : datetime64[ns] array of shape (row,)
        As they were read, NaT where missing.
    date_format : str
        By which they were read.
    """
    others = other_orders(date_format)
    distinct = pd.unique(dates[~np.isnat(dates)]) if others else dates[:0]
    if not len(distinct):
        return ""
    distinct = distinct[_evenly(len(distinct), JUDGED_ON)]
    texts = write_dates(distinct, date_format)
    for other in others:
        read = parse_dates(texts, other)
        if not np.isnat(read).any() and (read != distinct).any():
            if not _is_clearer(distinct, read):
                return other
    return ""


def order_that_reads(texts: np.ndarray, date_format: str) -> str:
    """Format of another order of day, month and year that reads all texts; ``""`` if none does."""
    reads = (f for f in other_orders(date_format) if not np.isnat(parse_dates(texts, f)).any())
    return next(reads, "") if len(texts) else ""


def look_like_dates(texts: np.ndarray) -> bool:
    """Whether nearly all texts, none of them missing, have a day, a month and a year.

    Examples
    --------
    >>> look_like_dates(np.array(["3. März 2025"])), look_like_dates(np.array(["10.0.0.1"]))
    (True, False)
    """
    some = pd.Series(texts[_evenly(len(texts), JUDGED_ON)], dtype=object)
    return bool(len(some)) and bool(some.str.fullmatch(DATE_LIKE).eq(True).mean() >= MOST_LIKE)


def _judged(texts: np.ndarray, counts: np.ndarray, patterns: list[str]) -> list[tuple[int, str]]:
    """Minus the cells that are read, and the format; the best of each order, the best first."""
    best: dict[str, tuple[int, int, str]] = {}
    for place, pattern in enumerate(patterns):
        cells = -int(counts[~np.isnat(parse_dates(texts, pattern))].sum())
        order = "".join(re.findall("%([dmyYbB])", pattern)).replace("B", "b")
        if cells and (cells, place) < best.get(order, (0, 0))[:2]:
            best[order] = cells, place, pattern
    return [(cells, pattern) for cells, _, pattern in sorted(best.values())]


def _decided(texts: np.ndarray, patterns: list[str]) -> str:
    """Format by which dates are in order or close together, else the first."""
    best, dates = patterns[0], parse_dates(texts, patterns[0])
    for pattern in patterns[1:]:
        read = parse_dates(texts, pattern)
        if _is_clearer(read[~np.isnat(read)], dates[~np.isnat(dates)]):
            best, dates = pattern, read
    return best


def _is_clearer(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether the first of two readings of dates is in order of time or closer together."""
    n = min(len(first), len(second))
    if n < MIN_DATES:
        return False
    back = _out_of_order(first), _out_of_order(second)
    if max(back) > TIMES_BACK * min(back) and min(back) <= MOST_BACK * n:
        return back[0] < back[1]
    days = second.astype("datetime64[D]")
    by_month = (days == second).all() and (days == days.astype("datetime64[M]")).all()
    return not by_month and bool(np.ptp(first) <= np.ptp(second) / TIMES_SPAN)


def _out_of_order(dates: np.ndarray) -> int:
    """Number of steps that are not in the order of most."""
    steps = np.diff(dates.astype("datetime64[ns]").view(np.int64))
    return int(min((steps < 0).sum(), (steps > 0).sum()))


def _evenly(n: int, most: int) -> np.ndarray:
    """At most so many of ``n`` places, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, most).astype(int)) if n else np.arange(0)


def _candidates(texts: np.ndarray) -> list[str]:
    """Formats that some of the texts may have, the likelier first."""
    some = pd.Series(texts[_evenly(len(texts), GUESSED_FROM)], dtype=object)
    some = some[some.str.fullmatch(PERHAPS_DATE).eq(True)].str.replace(ORDINAL, r"\1", regex=True)
    word = some.str.extract(AFTER_CLOCK)[0]
    after = word.iloc[0] if len(word) and word.nunique(dropna=False) == 1 else None
    if isinstance(after, str):
        some = some.str.removesuffix(after)
    fraction = ".%f" if some.str.fullmatch(FRACTION).any() else ""
    fixed = [each + (fraction if each.endswith(".%S") else "") for each in FIXED]
    found = dict.fromkeys([*_guesses(some), *_in_any_order(some), *fixed] if len(some) else [])
    return [pattern + after for pattern in found] if isinstance(after, str) else list(found)


def _guesses(texts: pd.Series) -> list[str]:
    found: dict[str, None] = {}
    for text in texts:
        day_first = "/" not in text
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the order is not the one asked for
            for order in (day_first, not day_first):
                guess = guess_datetime_format(text, dayfirst=order)
                if guess and not re.match(UNUSUAL, guess):
                    found[guess] = None
    return list(found)


def _in_any_order(texts: pd.Series) -> list[str]:
    """Formats of dates with years of two digits or clocks of twelve hours."""
    found: list[str] = []
    for pattern, year in ((SHORT_YEAR, "%y"), (TWELVE_HOURS, "%Y")):
        of_kind = texts[texts.str.fullmatch(pattern).eq(True)]
        if year == "%y" and _are_versions(of_kind):
            continue
        for mark in sorted(set(of_kind.str.extract(r"([ ./-])")[0])):
            orders = sorted(ORDERS, key=lambda order: order.startswith("%d") == (mark == "/"))
            orders.sort(key=lambda order: order.startswith("%y"))
            days = [order.format(mark).replace("%y", year) for order in orders]
            found += [day + clock for day, clock in product(days, CLOCKS)]
    return found


def _are_versions(texts: pd.Series) -> bool:
    """Whether three numbers, not all of two digits, may be of versions such as 1.4.10."""
    parts = texts.str.extract(f"^{VERSION}$").dropna()
    if not len(parts) or (parts[[0, 1]].map(len) > 1).to_numpy().all():
        return False
    numbers = parts.astype(int)
    return bool(numbers[0].max() <= LAST_MONTH or numbers[2].nunique() > numbers[0].nunique())
